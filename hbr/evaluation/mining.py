"""Mine: the negatives of training rows, part by part, so that a killed attempt goes on."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hbr.core import distributed
from hbr.core.errors import UserError
from hbr.core.files import partial_of, replace_synced
from hbr.core.progress import Progress
from hbr.core.settings.negatives import RULES, Mine
from hbr.data.arrays import load_array
from hbr.data.rows import Rows
from hbr.evaluation.row_texts import TextsOfRows
from hbr.retrieval.hard_negatives import Candidates, Pool, choose, find
from hbr.retrieval.search import Search

ROWS = 4096  # mined at a time, and lost by a kill at most
ARRAYS = ("negative", "negatives_of", "score", "positive_score")


class Mined(NamedTuple):
    """Mined negatives: row r has `negative[negatives_of[r]:negatives_of[r + 1]]`, best first."""

    negative: np.ndarray  # (negatives,) items of passages
    negatives_of: np.ndarray  # (rows + 1,)
    score: np.ndarray  # (negatives,) by the miner, NaN where it gives none
    positive_score: np.ndarray  # (rows,) of the rows' passages, likewise


def pools(
    texts: TextsOfRows, search: Callable[[slice, slice], Search], *, joint: bool
) -> list[Pool]:
    """Return a pool for each language, or a `joint` one of all.

    `search` makes one of slices of the queries and the passages.
    """
    rows, queries, passages = texts.rows, texts.query_side, texts.passage_side
    whole = [(slice(0, len(queries.cell)), slice(0, len(passages.cell)), texts.codes)]
    each = [(queries.in_language(c), passages.in_language(c), (c,)) for c in texts.codes]
    made = []
    for asked, told, codes in whole if joint else each:
        if asked.start == asked.stop or told.start == told.stop:
            continue
        row, query, language = _queries_of(rows, texts, codes)
        made.append(
            Pool(
                search(asked, told),
                row,
                query - asked.start,
                language,
                passages.item[told],
                passages.language[told],
                len(codes),
            )
        )
    return made


def _queries_of(
    rows: Rows, texts: TextsOfRows, codes: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows that have a query in some languages, its place, and its language, by row."""
    stored = np.asarray(rows.queries.has)[rows.query_of][:, list(codes)]
    row, column = np.nonzero(stored)
    language = np.array(codes)[column]
    return row, texts.query_side.place_of[rows.query_cells(row, language)], language


def mine(
    folder: Path,
    rows: Rows,
    pools: Sequence[Pool],
    same: tuple[np.ndarray, np.ndarray],
    settings: Mine,
) -> dict[str, Any]:
    """Fill a folder with the negatives of some rows; return what the report says of them.

    Parts of the rows are dealt out among the ranks; rank 0 joins them, and has the report.
    """
    if not pools:
        raise UserError(f"{rows.name}: no row has a query and a passage in the languages to mine")
    parts = [range(at, min(at + ROWS, len(rows))) for at in range(0, len(rows), ROWS)]
    paths = [folder / f"part-{part.start // ROWS:06d}.npz" for part in parts]
    own = distributed.dealt(list(zip(parts, paths, strict=True)))
    todo = [(part, path) for part, path in own if not path.exists()]
    total, left = (sum(len(part) for part, _ in some) for some in (own, todo))
    with Progress(f"mining {rows.name}", total, "rows", total - left) as progress:
        for part, path in todo:
            _write_part(path, rows, pools, same, settings, part)
            progress.advance(len(part))
    distributed.barrier()
    if distributed.rank():
        return {}
    return _join(folder, paths)


def _write_part(
    path: Path,
    rows: Rows,
    pools: Sequence[Pool],
    same: tuple[np.ndarray, np.ndarray],
    settings: Mine,
    part: range,
) -> None:
    found, own = find(pools, part, np.asarray(rows.passage_of), same, settings.candidates)
    random = settings.sampling_strategy == "random"
    negatives, skipped = choose(
        found,
        own[found.row - part.start],
        num_negatives=settings.num_negatives,
        range_min=settings.range_min,
        rng=np.random.default_rng([settings.seed, part.start]) if random else None,
        **{rule: getattr(settings, rule) for rule in RULES},
    )
    report = {
        "candidates": len(found.row),
        "passed_over": skipped,
        "languages": _languages(rows, negatives),
    }
    counts = np.bincount(negatives.row - part.start, minlength=len(part))
    with partial_of(path).open("wb") as file:
        np.savez(
            file,
            negative=negatives.item.astype(np.int32),
            counts=counts,
            score=negatives.score,
            positive_score=own,
            report=np.array(json.dumps(report)),
        )
    replace_synced(partial_of(path), path)


def _languages(rows: Rows, found: Candidates) -> dict[str, int]:
    """Return how many negatives were found by which pair of languages: `de->en`."""
    codes = found.query_language * len(rows.languages) + found.passage_language
    return {
        "->".join(rows.languages[i] for i in divmod(int(code), len(rows.languages))): int(count)
        for code, count in zip(*np.unique(codes, return_counts=True), strict=True)
    }


def _join(folder: Path, paths: Sequence[Path]) -> dict[str, Any]:
    """Write what the parts hold as arrays, remove them, and return their reports as one."""
    arrays: dict[str, list[np.ndarray]] = {key: [] for key in ("counts", *ARRAYS)}
    totals = {key: Counter[str]() for key in ("passed_over", "languages")}
    candidates = 0
    for path in paths:
        with np.load(path) as part:
            for key in arrays.keys() & set(part.files):
                arrays[key].append(part[key])
            report = json.loads(str(part["report"]))
        candidates += report["candidates"]
        for key, total in totals.items():
            total.update(report[key])
    joined = {key: np.concatenate(some) for key, some in arrays.items() if some}
    report = write_mined(folder, joined.pop("counts"), joined)
    for path in paths:
        path.unlink()
    sums = {key: dict(sorted(total.items())) for key, total in totals.items()}
    return report | {"candidates": candidates, **sums}


def write_mined(
    folder: Path, counts: np.ndarray, arrays: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Write the negatives of rows, `counts` (rows,) of each; return what is told of them."""
    ends = np.concatenate([[0], np.cumsum(counts)])
    for key, array in {**arrays, "negatives_of": ends}.items():
        np.save(folder / f"{key}.npy", array)
    numbers, times = np.unique(counts, return_counts=True)
    return {
        "rows": len(counts),
        "negatives": int(counts.sum()),
        "rows_by_number": {str(n): int(t) for n, t in zip(numbers, times, strict=True)},
        "candidates": int(counts.sum()),
        "passed_over": {},
        "languages": {},
    }


def open_mined(folder: Path) -> Mined:
    """Open what `mine` wrote."""
    return Mined(*(load_array(folder / f"{key}.npy") for key in ARRAYS))
