"""A drawing of a report, and how it becomes a file or a part of a page."""

import hashlib
import io
import re
from pathlib import Path
from typing import NamedTuple

from matplotlib.artist import Artist
from matplotlib.figure import Figure

from hbr.report.figures.style import paper_style

TOLD = "value: "  # begins the id of an artist that is told
FONTS = "'DejaVu Sans', Verdana, sans-serif"
COLOURS = {  # in place of ours, those of a page
    "#000000": "currentColor",
    "#333333": "var(--ink, #333333)",
    "#555555": "var(--soft, #555555)",
    "#e6e6e6": "var(--hatch, #e6e6e6)",
    "#ffffff": "var(--paper, #ffffff)",
}


class Drawing(NamedTuple):
    """A figure with its file name (without suffix), its heading and the caption below it.

    It is of one data set and encoder, or of all that a study has.
    """

    name: str
    heading: str
    caption: str
    figure: Figure
    dataset: str = ""
    encoder: str = ""

    @property
    def values(self) -> list[str]:
        """What the marks of the figure stand for, as `tell` has it."""
        gids = (artist.get_gid() or "" for artist in self.figure.findobj())
        return [gid.removeprefix(TOLD) for gid in gids if gid.startswith(TOLD)]


def tell(artist: Artist, text: str) -> None:
    """Say what a mark stands for: a page shows it where the pointer is."""
    artist.set_gid(TOLD + text)


def to_svg(figure: Figure) -> str:
    """Return a figure as part of a page, with ids that no other figure has.

    Texts are texts; its ink, grey and paper are those of the page, black and white elsewhere.
    """
    out = io.StringIO()
    with paper_style():
        _lay_out(figure)
        empty = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(out, format="svg", metadata=empty)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<!--.*?-->\s*|<style.*?</style>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns:xlink="[^"]*"', "", text).replace("xlink:href=", "href=")
    text = re.sub(rf'<g id="{TOLD}([^"]*)">', r'<g class="told"><title>\1</title>', text)
    for colour, of_page in COLOURS.items():
        text = text.replace(colour, of_page)
    text = text.replace("'DejaVu Sans'", FONTS)
    prefix = "f" + hashlib.sha256(text.encode()).hexdigest()[:8]
    text = re.sub(r'(\bid="|\bhref="#|url\(#)', rf"\g<1>{prefix}-", text)
    return text.replace("<svg ", '<svg style="stroke-linejoin:round" fill="currentColor" ', 1)


def save(figure: Figure, path: Path) -> list[Path]:
    """Write `path` with .png and .pdf added; the same figure gives the same bytes."""
    paths = [path.with_name(path.name + suffix) for suffix in (".png", ".pdf")]
    with paper_style():
        _lay_out(figure)
        figure.savefig(paths[0], metadata={"Software": None}, facecolor="white")
        figure.savefig(paths[1], metadata={"CreationDate": None}, facecolor="white")
    return paths


def _lay_out(figure: Figure) -> None:
    """Lay a figure out once for all the forms it is written in."""
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
        figure.set_layout_engine(None)
