"""Atheris, guided by coverage, over every reader: `make fuzz`, an hour unless SECONDS says else.

Ends at the first file that gives neither a result nor one line of refusal. What it found worth
keeping goes on from `build/fuzz` the next time.
"""

import random
import sys
from pathlib import Path
from typing import Any

import atheris
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

with atheris.instrument_imports(include=["hbr.data"], enable_loader_override=False):
    from tests.data.test_fuzz import EVALUATE, KINDS, TRAIN, mutated, read_or_refuse

CORPUS = Path("build/fuzz")


@settings(deadline=None, database=None, suppress_health_check=[*HealthCheck])
@given(kind=st.sampled_from(KINDS), data=st.data())
def one(kind: tuple[str, str], data: Any) -> None:
    """Read the files of a data set, some of them changed."""
    use, name = kind
    files = data.draw(mutated((TRAIN if use == "train" else EVALUATE)[name]))
    read_or_refuse(use, name, files)


if __name__ == "__main__":
    CORPUS.mkdir(parents=True, exist_ok=True)
    for use, name in KINDS:  # what is imported on the way is not to be instrumented
        samples = TRAIN if use == "train" else EVALUATE
        read_or_refuse(use, name, {file: text.encode() for file, text in samples[name].items()})
    for seed in range(32):  # from nothing, inputs would be too short for a draw for long
        (CORPUS / f"seed-{seed}").write_bytes(random.Random(seed).randbytes(1024))
    seconds = sys.argv[1] if len(sys.argv) > 1 else "3600"
    limits = [f"-max_total_time={seconds}", "-max_len=4096", "-len_control=0"]
    atheris.Setup(
        [sys.argv[0], *limits, f"-artifact_prefix={CORPUS.parent}/", str(CORPUS)],
        one.hypothesis.fuzz_one_input,
    )
    atheris.Fuzz()
