"""The log on stderr: plain lines, as loud as the command was asked to be, and nobody else's."""

import logging
import sys
from types import ModuleType

import pytest

from hbr.core import log
from hbr.core.progress import track


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ({}, "a result\na warning\n"),
        ({"verbose": True}, "a detail\na result\na warning\n"),
        ({"quiet": True}, ""),
    ],
)
def test_messages_are_plain_lines_on_stderr(capsys, options, lines):
    log.configure(**options)
    logger = logging.getLogger("hbr.core.somewhere")
    logger.debug("a detail")
    logger.info("a result")
    logger.warning("a warning")
    assert capsys.readouterr() == ("", lines)


def test_configuring_twice_does_not_write_twice_and_leaves_other_loggers_alone(capsys):
    others = (logging.root.handlers[:], logging.root.level)
    log.configure()
    log.configure()
    logging.getLogger("hbr").info("once")
    assert capsys.readouterr().err == "once\n"
    assert (logging.root.handlers, logging.root.level) == others


def test_without_a_terminal_progress_is_a_line_now_and_then(monkeypatch, caplog):
    caplog.set_level("INFO", "hbr")
    monkeypatch.setattr("hbr.core.progress.LOG_INTERVAL", 0.0)
    assert list(track("abc", "letters", 3, "letters")) == ["a", "b", "c"]
    assert [line.partition(", ")[0] for line in caplog.messages] == [
        "letters: 1 of 3 letters",
        "letters: 2 of 3 letters",
        "letters: 3 of 3 letters",
    ]


def test_in_a_notebook_progress_is_a_line_that_changes(monkeypatch):
    shown = []

    class Handle:
        def update(self, html):
            shown.append(html)

    display = ModuleType("IPython.display")
    display.HTML, display.display = str, lambda *_, **__: Handle()
    for name in ("ipykernel", "IPython"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setattr("hbr.core.progress.NOTEBOOK_INTERVAL", 0.0)
    assert list(track("ab", "<letters>", 2, "letters")) == ["a", "b"]
    assert "1 of 2 letters" in shown[0]
    assert "&lt;letters&gt;" in shown[0]
    assert shown[-1].startswith('<progress value="2" max="2">')
