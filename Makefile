# make sweep, make test: each sets up what it needs, on a machine with Python 3.11 to 3.13 and make.
PYTHON ?= python3
JOBS ?= $(shell nproc 2>/dev/null || echo 1)
BIN := .venv/bin
INSTALL := PIP_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/pip install --quiet

.PHONY: sweep test test-cluster lint types smoke fuzz docs clean
.DEFAULT_GOAL := sweep

sweep: .venv/base  ## the embedded study end to end, and its table
	$(BIN)/hbr sweep experiments/embedded.yaml --jobs $(JOBS)

test: .venv/dev  ## all tests, or those of MARKS="not slow"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(if $(MARKS),-m "$(MARKS)")

test-cluster: .venv/dev  ## a study on a two-node Slurm in namespaces, as root; see tests/cluster
	HBR_TEST_CLUSTER=1 $(BIN)/python -m pytest -q tests/cluster $(if $(ONLY),-k "$(ONLY)")

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/dev
	$(BIN)/mypy

smoke: .venv/base  ## four short runs of the embedded study
	$(BIN)/hbr sweep experiments/embedded.yaml --jobs $(JOBS) --output-dir build/smoke --force \
	    --set encoder=xlm-r-tiny --set seed=0 --set max_steps=20

fuzz: .venv/dev  ## atheris over every reader of files, for an hour or SECONDS
	$(INSTALL) --editable '.[fuzz]'
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz $(or $(SECONDS),3600)

docs: .venv/docs  ## the site, in build/site; its notebooks are run
	$(BIN)/hbr settings --markdown > docs/settings.md
	$(BIN)/mkdocs build --quiet
	HBR_RUNS=$(CURDIR)/build/notebooks $(BIN)/python -m nbconvert --execute --to html --log-level WARN \
	    --output-dir build/site/notebooks docs/notebooks/*.ipynb

clean:
	rm -rf build runs .venv

.venv/bin/python:
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; \
	    sys.exit(0 if (3, 11) <= v < (3, 14) else f"hbr needs Python 3.11 to 3.13, this is {v[0]}.{v[1]}; say make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv

.venv/base: .venv/bin/python pyproject.toml constraints.txt
	$(INSTALL) --editable .
	@touch $@

.venv/docs: .venv/base
	$(INSTALL) --editable '.[docs]'
	@touch $@

.venv/dev: .venv/base
	$(INSTALL) --editable '.[dev]'
	@touch $@
