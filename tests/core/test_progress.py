"""Progress says how far work is: to a log, and to whom listens."""

import logging

import pytest

from hbr.core import log
from hbr.core.progress import Progress


@pytest.fixture
def lines(caplog, monkeypatch):
    """The lines of a log without a terminal, at every advance."""
    monkeypatch.setattr("hbr.core.progress.LOG_INTERVAL", 0)
    logger = logging.getLogger("hbr")
    monkeypatch.setattr(logger, "propagate", True)
    caplog.set_level(logging.INFO, logger="hbr")
    return caplog


def test_a_line_says_how_many_at_what_rate_and_how_long_it_takes(lines, monkeypatch):
    now = iter([100.0, 110.0])
    monkeypatch.setattr("hbr.core.progress.time.monotonic", lambda: next(now))
    with Progress("training", 6, "steps", done=1) as progress:
        progress.advance(1, "loss 1.6")
    assert lines.messages == ["training: 2 of 6 steps, 0.1 steps/s, 0:00:40 left, loss 1.6"]


def test_what_is_begun_counts_for_the_time_left_but_not_as_done(lines, monkeypatch):
    now = iter([100.0, 110.0, 120.0])
    monkeypatch.setattr("hbr.core.progress.time.monotonic", lambda: next(now))
    with Progress("sweep", 4, "cells") as progress:
        progress.advance()
        progress.show(1.0, ["hybrid: training: 1 of 2 steps"])
    assert lines.messages[1] == (
        "sweep: 1 of 4 cells, 0.1 cells/s, 0:00:20 left, hybrid: training: 1 of 2 steps"
    )


def test_a_listener_hears_the_share_of_all_stages(monkeypatch):
    heard = []
    monkeypatch.setattr(Progress, "listener", lambda share, text: heard.append((share, text)))
    monkeypatch.setattr(Progress, "stage", (1, 4))
    with Progress("encoding", 10, "texts") as progress:
        progress.advance(5)
    assert heard == [(0.375, "encoding: 5 of 10 texts")]


def test_a_terminal_breaks_lines_between_words_but_not_in_a_command(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    handler = log._StderrHandler()
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    sentence = "a sentence of words that is longer than forty columns"
    for text in (sentence, f"next: hbr evaluate {sentence}"):
        handler.emit(logging.LogRecord("hbr", logging.INFO, "", 0, text, None, None))
    first, second, command = capsys.readouterr().err.splitlines()
    assert (first, second) == ("a sentence of words that is longer than", "    forty columns")
    assert command.endswith(sentence)
