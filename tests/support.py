"""The command line, called in this process: quick, and with its exit code."""

import contextlib
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hbr.cli import main
from hbr.core.config import resolve_config
from hbr.core.settings import Config
from hbr.core.store import Store
from hbr.experiments.run_spec import complete, slug


class Said(NamedTuple):
    code: int
    out: str
    err: str


def hbr(*words: object) -> Said:
    """Type `hbr` and some words; give the exit code and what was said."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    argv = ["hbr", *map(str, words)]
    with (
        mock.patch.object(sys, "argv", argv),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as done:
            code = int(done.code or 0)
    return Said(code, out.getvalue(), err.getvalue())


def log_of(run: Path) -> list[dict[str, Any]]:
    """Read a training log, without the fields that are times."""
    lines = (run / "train" / "log.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(x).items() if k[-6:] != "_per_s"} for x in lines]


def only_run(folder: Path) -> Path:
    """Return the one run in a folder of runs."""
    (config,) = (path for path in folder.glob("*/config.yaml") if path.parent.name != "latest")
    return config.parent


def beside(world: Path, folder: Path) -> Path:
    """Make a folder of runs that shares prepared data and tiny encoders with another."""
    folder.mkdir(parents=True, exist_ok=True)
    for shared in ("data", "encoders"):
        (world / shared).mkdir(exist_ok=True)
        if not (folder / shared).exists():
            (folder / shared).symlink_to((world / shared).resolve())
    return folder


LANGUAGES = ("de", "en", "so", "th")  # so: little text; th: another script; family: de and en


def finished(
    runs: Path,
    sampler: str,
    values: dict[str, Any],
    *,
    encoder: str = "xlm-r-tiny",
    seed: int = 0,
    dataset: str = "embedded",
    languages: tuple[str, ...] = LANGUAGES,
    concepts: int = 24,
    trained_on: tuple[str, ...] = ("de", "en", "th"),
    contamination: tuple[int, int] = (0, 0),
    about: dict[str, Any] | None = None,
    done: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
) -> Path:
    """Write the folder of a run that was trained and evaluated, from chosen values by query.

    `values` are by "setting metric": numbers, or arrays that fit (concepts, query languages), and
    in "cross" (concepts, query languages, passage languages). What `metrics.json` says follows
    from them. `about` is laid over `metrics.json`, `done` over what the manifest says of the
    training, and `settings` over the config. A data set may be added to a run that is there.
    """
    chosen = {"sampler": sampler, "encoder": encoder, "seed": seed} | (settings or {})
    config = complete(resolve_config(chosen))
    run = runs / slug(config)
    evaluated = run / "evaluate" / dataset
    evaluated.mkdir(parents=True)
    (run / "config.yaml").write_text(config.to_yaml())
    (run / "train").mkdir(exist_ok=True)
    log = [{"step": 10, "loss": 2.5}, {"step": 20, "loss": 1.5, "validation_loss": 1.25}]
    (run / "train" / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    table = _by_query(values, languages, concepts)
    pq.write_table(table, evaluated / "per_query.parquet")
    counts = dict(zip(("queries", "passages"), contamination, strict=True))
    training = {
        "languages": dict.fromkeys(trained_on, 100),
        "contamination": counts,
        "validation": dict.fromkeys(counts, 0),
    }
    metrics = {
        "dataset": dataset,
        "protocol": "by hand",
        "search": "exact",
        "task": "task-1",
        "training": training,
        **_means(table),
        "languages": list(languages),
        "queries": concepts * len(languages),
        "passages": 10 * concepts * len(languages),
        **(about or {}),
    }
    text = json.dumps(metrics, indent=1).replace("NaN", "null")  # as evaluate has it
    (evaluated / "metrics.json").write_text(text)
    _note_stages(run, config, dataset, done or {})
    return run


def _by_query(values: dict[str, Any], languages: tuple[str, ...], concepts: int) -> pa.Table:
    tables = []
    size = len(languages)
    for setting in ("mono", "cross", "multi"):
        own = {k.partition(" ")[2]: v for k, v in values.items() if k.startswith(f"{setting} ")}
        if not own:
            continue
        shape = (concepts, size, size) if setting == "cross" else (concepts, size)
        kept = ~np.eye(size, dtype=bool) if setting == "cross" else np.ones(size, dtype=bool)
        places = np.argwhere(np.broadcast_to(kept, shape))  # (rows, 2 or 3)
        names = np.array(languages, dtype=object)
        answered = {"mono": names[places[:, 1]], "cross": names[places[:, -1]]}.get(setting)
        columns = {
            "setting": pa.array([setting] * len(places)).dictionary_encode(),
            "concept": pa.array(places[:, 0]),
            "query": pa.array([f"q{n}" for n in places[:, 0]], pa.large_string()),
            "query_language": pa.array(names[places[:, 1]], pa.string()),
            "passage_language": pa.array(
                [None] * len(places) if answered is None else answered, pa.string()
            ),
        }
        if setting != "multi":
            columns["pool_rank"] = pa.array(1.0 + places.sum(1))
        for metric, value in own.items():
            every = np.broadcast_to(np.asarray(value, dtype=float), shape)
            columns[metric] = pa.array(every[tuple(places.T)])
        tables.append(pa.table(columns))
    return pa.concat_tables(tables, promote_options="default")


def _means(table: pa.Table) -> dict[str, Any]:
    """Return what follows from values by query, the slow way: a list for every group."""
    keys = ("setting", "concept", "query", "query_language", "passage_language", "pool_rank")
    metrics = [name for name in table.column_names if name not in keys]
    groups: dict[str, dict[tuple[str, Any], list[dict[str, Any]]]] = {}
    for row in table.to_pylist():
        pair = (row["query_language"], row["passage_language"])
        groups.setdefault(row["setting"], {}).setdefault(pair, []).append(row)
    found: dict[str, Any] = {"settings": {}, "by_query_language": {}, "by_pair": {}}
    ranks: dict[str, dict[str, float]] = {}
    for setting, own in groups.items():
        here = [m for m in metrics if next(iter(own.values()))[0][m] is not None]
        means = {p: {m: fmean(r[m] for r in rows) for m in here} for p, rows in own.items()}
        every: dict[str, list[dict[str, float]]] = {}
        for (asked, answered), of in means.items():
            every.setdefault(asked, []).append(of)
            if setting != "multi":
                found["by_pair"][f"{asked}->{answered}"] = of
                pair_ranks = [r["pool_rank"] for r in own[asked, answered]]
                ranks.setdefault(asked, {})[answered] = fmean(pair_ranks)
        found["by_query_language"][setting] = {
            asked: {m: fmean(o[m] for o in of) for m in here} for asked, of in every.items()
        }
        found["settings"][setting] = {m: fmean(o[m] for o in means.values()) for m in here}
    found["bias"] = {"spread": {}}
    for setting, own in found["by_query_language"].items():
        if maps := [of["map"] for of in own.values() if "map" in of]:
            about = {"lowest": min(maps), "highest": max(maps), "sd": pstdev(maps)}
            found["bias"]["spread"][setting] = {"map": about}
            found["settings"][setting]["map_spread"] = about["sd"]
    if "multi" in groups:
        found["bias"]["mean_rank"] = ranks
    return found


def _note_stages(run: Path, config: Config, dataset: str, done: dict[str, Any]) -> None:
    how = {
        "versions": {"hbr": "0.1.0", "torch": "2.13.0"},
        "commit": "abc1234",
        "finished": "2031-01-01T00:00:00+0000",
        "seconds": 10.5,
    }
    train = {
        "id": f"train-{run.name}",
        "settings": config.identity(),
        "inputs": {"rows embedded": "rows-1", "validation": "rows-2", "encoder": "files-1"},
        "steps": config.train.max_steps,
        "pairs": config.train.max_steps * config.train.batch_size,
        "plan": {"batches": config.train.max_steps, "hash": "f00d"},
        "device": "cpu",
        "started_from": "encoders/tiny/model",
        **how,
    }
    identity = config.identity()["encoder"]
    encode = {
        "id": f"encode-{run.name}",
        "settings": config.encode.model_dump(mode="json") | {"encoder": identity},
        "inputs": {"task": "task-1", "train": train["id"]},
        **how,
    }
    evaluate = {
        "id": f"evaluate-{run.name}",
        "settings": config.evaluate.model_dump(mode="json"),
        "inputs": {"task": "task-1", "encode": encode["id"]},
        **how,
    }
    if not config.is_trained:
        train |= {"steps": 0, "pairs": 0, "plan": None, "inputs": {"encoder": "files-1"}}
    stages = Store(run).entries()
    stages = {"train": train | done} | stages
    stages |= {f"encode/{dataset}": encode, f"evaluate/{dataset}": evaluate}
    (run / "manifest.json").write_text(json.dumps({"stages": stages}))


def tabulars(text: str) -> list[tuple[int, list[int]]]:
    """Return the columns of every LaTeX table, and the cells of each of its lines, spans counted.

    Raises where braces or environments are not balanced.
    """
    from pylatexenc.latexwalker import LatexEnvironmentNode, LatexMacroNode, LatexWalker

    found = []

    def look(nodes: Any) -> None:
        for node in nodes or ():
            if isinstance(node, LatexEnvironmentNode) and node.environmentname == "tabular":
                form = node.nodeargd.argnlist[-1].latex_verbatim()[1:-1]
                form = re.sub(r"p\{.*?\}", "p", form)
                found.append((len(form), widths(node.nodelist)))
            look(getattr(node, "nodelist", None))

    def widths(nodes: Any) -> list[int]:
        lines, cells = [], 1
        for number, node in enumerate(nodes):
            if getattr(node, "specials_chars", "") == "&":
                cells += 1
            elif isinstance(node, LatexMacroNode) and node.macroname == "multicolumn":
                cells += int(nodes[number + 1].latex_verbatim().strip("{}")) - 1
            elif isinstance(node, LatexMacroNode) and node.macroname == "\\":
                lines.append(cells)
                cells = 1
        return lines

    look(LatexWalker(text, tolerant_parsing=False).get_latex_nodes()[0])
    return found


def pdflatex(folder: Path, text: str, options: str = "") -> str:
    """Compile an article that has booktabs and nothing else; give what TeX says.

    Skips where there is no pdflatex, and fails where TeX finds an error.
    """
    if shutil.which("pdflatex") is None:
        pytest.skip("needs pdflatex, of Debian's texlive-latex-recommended")
    document = [
        f"\\documentclass[{options}]{{article}}",
        "\\usepackage{booktabs}",
        "\\begin{document}",
    ]
    (folder / "a.tex").write_text("\n".join([*document, text, "\\end{document}", ""]), "utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "a.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=60, check=False)
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, [line for line in said.splitlines() if line.startswith("!")]
    return said
