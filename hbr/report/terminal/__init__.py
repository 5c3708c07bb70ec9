"""What commands show on the terminal: one file a command, plain values in, what rich prints out."""

import math

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import TextType

from hbr.compare.table import Cell


def new_table(title: TextType | None = None, caption: TextType | None = None) -> Table:
    """Return an empty table as all commands show them."""
    table = Table(title=title, caption=caption, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.header_style, table.title_justify, table.caption_justify = "bold", "left", "left"
    return table


def number(value: float | None, metric: str) -> str:
    """Write a metric's value as papers do, a dash where there is none."""
    return Cell(math.nan if value is None else value).text(metric)
