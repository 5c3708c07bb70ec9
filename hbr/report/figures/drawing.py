"""A drawing of a report, and how it becomes a file or a part of a page."""

import hashlib
import io
import re
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from hbr.report.figures.style import paper_style


class Drawing(NamedTuple):
    """A figure with its file name (without suffix), its heading and the caption below it."""

    name: str
    heading: str
    caption: str
    figure: Figure


def to_svg(figure: Figure) -> str:
    """Return a figure as part of a page: texts as shapes, ids that no other figure has."""
    out = io.StringIO()
    with paper_style():
        _lay_out(figure)
        empty = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(out, format="svg", metadata=empty)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<!--.*?-->\s*|<style.*?</style>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns:xlink="[^"]*"', "", text).replace("xlink:href=", "href=")
    prefix = "f" + hashlib.sha256(text.encode()).hexdigest()[:8]
    text = re.sub(r'(\bid="|\bhref="#|url\(#)', rf"\g<1>{prefix}-", text)
    return text.replace("<svg ", '<svg style="stroke-linejoin:round" ', 1)


def save(figure: Figure, path: Path) -> list[Path]:
    """Write `path` with .png and .pdf added; the same figure gives the same bytes."""
    paths = [path.with_name(path.name + suffix) for suffix in (".png", ".pdf")]
    with paper_style():
        _lay_out(figure)
        figure.savefig(paths[0], metadata={"Software": None})
        figure.savefig(paths[1], metadata={"CreationDate": None})
    return paths


def _lay_out(figure: Figure) -> None:
    """Lay a figure out once for all the forms it is written in."""
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
        figure.set_layout_engine(None)
