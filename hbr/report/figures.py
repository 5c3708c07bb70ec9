"""Which figures a report has, with the words that stand below them."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from hbr.compare.model import Report, Series
from hbr.core.target import EvaluationTarget, folder_name
from hbr.report import plots

TRADEOFF = """Monolingual against cross-lingual and multilingual retrieval, means over seeds. The
line joins the samplers in order of α, the share of monolingual batches. An untrained encoder far
off the others stands on the frame, with its values."""
LANGUAGES = "{}: mAP by the language of the query, means over seeds."
RANKS = """{}: mean rank of the relevant passage in the pool of all languages, by the languages of
query and passage. An encoder without language bias has even rows."""
ROBUSTNESS = """{}: mAP when queries are perturbed, by the strength of the perturbation, means over
seeds; at 0 stand the clean queries."""
CURVES = """Loss by step, means over seeds. A point of training loss is the mean over a tenth of the
steps around it."""
CLAIMS = """What the claims rest on: each comparison's difference with its 95 % interval. A claim
holds only if all of its comparisons do."""


class Drawn(NamedTuple):
    """A figure, its file name without an ending, and its words."""

    name: str
    heading: str
    caption: str
    figure: Figure


def figures(report: Report) -> Iterator[Drawn]:
    """Draw what there is to show."""
    series = report.series
    if any(plots.drawable(cell) for cell in series):
        yield _drawn("tradeoff", "Trade-off", TRADEOFF, plots.tradeoff(series))
    by_language = [cell for cell in series if _known(cell.by_language)]
    yield from _by_encoder(by_language, "languages", "Languages", LANGUAGES, plots.languages)
    ranked = [cell for cell in series if _known(cell.mean_rank)]
    yield from _by_encoder(ranked, "ranks", "Language bias", RANKS, plots.mean_ranks_grid)
    for key, cells in plots.grouped(series).items():
        own = [
            c
            for c in report.perturbed
            if (EvaluationTarget.parse(c.dataset).dataset, c.encoder) == key
        ]
        if own:
            words = ROBUSTNESS.format(f"{key[1]} on {key[0]}")
            file = f"robustness-{folder_name(key[0])}-{key[1]}"
            yield _drawn(file, "Robustness", words, plots.robustness(cells, own))
    if any(line for cell in series for line in (*cell.losses, *cell.validation)):
        yield _drawn("training", "Training", CURVES, plots.curves(series))
    if any(not math.isnan(f.effect) for verdict in report.verdicts for f in verdict.findings):
        yield _drawn("effects", "Effects", CLAIMS, plots.claims(report.verdicts))


def _known(values: Mapping[str, Mapping[str, float]]) -> bool:
    return any(not math.isnan(value) for inner in values.values() for value in inner.values())


def _by_encoder(
    series: Sequence[Series],
    name: str,
    heading: str,
    caption: str,
    draw: Callable[[Sequence[Series]], Figure],
) -> Iterator[Drawn]:
    """Draw a figure for each encoder on each data set."""
    for (dataset, encoder), cells in plots.grouped(series).items():
        words = caption.format(f"{encoder} on {dataset}")
        yield _drawn(f"{name}-{folder_name(dataset)}-{encoder}", heading, words, draw(cells))


def _drawn(name: str, heading: str, caption: str, figure: Figure) -> Drawn:
    return Drawn(name, heading, " ".join(caption.split()), figure)
