"""Progress of long work: a bar on a terminal or in a notebook, else a line in the log at times."""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from html import escape
from typing import Any, TypeVar

T = TypeVar("T")
logger = logging.getLogger(__name__)

LOG_INTERVAL = 10.0  # seconds between lines where there is no terminal
NOTEBOOK_INTERVAL = 0.5  # seconds between updates of a notebook's bar
Listener = Callable[[float, str], None]


class Progress:
    """Shows how far work is, at what rate, and how long it will take.

    Use it as a context manager and call `advance(n, note)` as work is done. Work within work has no
    bar of its own.
    """

    drawn = False  # whether there is a bar
    listener: Listener | None = None  # in a worker of a sweep: hears the share done, and of what
    stage = (0, 1)  # how many stages of a run are done, of how many

    def __init__(self, title: str, total: int, unit: str, done: int = 0) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.done = self.initial = done
        self.started = self.reported = time.monotonic()
        quiet = not logger.isEnabledFor(logging.WARNING)
        shown = sys.stderr.isatty() and not quiet and not Progress.drawn
        self.bar = _bar(title, total, unit, done) if shown else None
        self.cell = None if self.bar or quiet or Progress.drawn else _notebook_cell()

    def __enter__(self) -> "Progress":
        if self.bar:
            Progress.drawn = True
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()
            Progress.drawn = False
        elif self.cell:
            self.cell.update(self._html(""))

    def advance(self, n: int = 1, note: str = "") -> None:
        """Count `n` more units as done; `note` stands behind the rate."""
        self.done += n
        if Progress.listener:
            before, stages = Progress.stage
            share = (before + self.done / max(self.total, 1)) / stages
            Progress.listener(share, self._so_far)
        self._show(self.done, note)

    def show(self, begun: float, lines: Sequence[str]) -> None:
        """Show units that are not done as far as they are begun, with lines on each of them."""
        if self.bar:
            self.bar.lines = lines
        self._show(self.done + begun, "" if self.bar else "; ".join(lines))

    def _show(self, done: float, note: str) -> None:
        now = time.monotonic()
        words = left = ""
        if done - self.initial >= 1:  # of less than one, a rate says nothing
            rate = (done - self.initial) / max(now - self.started, 1e-9)
            words = f"{_amount(rate)} {self.unit}/s"
            left = f"{timedelta(seconds=max(0, round((self.total - done) / rate)))} left"
        if self.bar:
            task = self.bar.task_ids[0]
            self.bar.update(task, completed=done, rate=f"{words or self.unit} {left}", note=note)
        elif now - self.reported >= (NOTEBOOK_INTERVAL if self.cell else LOG_INTERVAL):
            self.reported = now
            text = ", ".join(filter(None, (words, left, note)))
            if self.cell:
                self.cell.update(self._html(text))
            else:
                logger.info(f"{self._so_far}, {text}")

    @property
    def _so_far(self) -> str:
        return f"{self.title}: {self.done:,} of {self.total:,} {self.unit}"

    def _html(self, text: str) -> Any:
        from IPython.display import HTML

        bar = f'<progress value="{self.done}" max="{self.total}"></progress>'
        return HTML(f"{bar} {escape(f'{self._so_far} {text}')}")


def track(items: Iterable[T], title: str, total: int, unit: str) -> Iterator[T]:
    """Yield the items and show progress."""
    with Progress(title, total, unit) as progress:
        for item in items:
            yield item
            progress.advance()


def _amount(number: float) -> str:
    """Write a rate with as many decimals as say something."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.1f}" if number >= 1 else f"{number:.2g}"


def _bar(title: str, total: int, unit: str, done: int):  # type: ignore[no-untyped-def]
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as RichProgress
    from rich.text import Text

    class Bar(RichProgress):
        lines: Sequence[str] = ()  # below the bar

        def get_renderables(self) -> Iterator[Any]:
            yield self.make_tasks_table(self.tasks)
            for line in self.lines:
                yield Text(f"  {line}", "dim", no_wrap=True, overflow="ellipsis")

    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("[dim]{task.fields[note]}"),
        console=Console(stderr=True),
        transient=True,
    )
    bar.add_task(title, total=total, completed=done, rate=unit, note="")
    return bar


def _notebook_cell() -> Any:
    """Return the handle of a line in a notebook's output that can be updated, None elsewhere."""
    if "ipykernel" not in sys.modules:
        return None
    from IPython.display import HTML, display

    return display(HTML(""), display_id=True)
