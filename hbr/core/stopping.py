"""Going when told: on SIGTERM, SIGUSR2 and Ctrl-C work ends where it can be gone on with."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from hbr.core import distributed
from hbr.core.errors import AGAIN, UserError

SAME = "the same command"  # goes on from here
SIGNALS = (signal.SIGTERM, signal.SIGUSR2, signal.SIGINT)


class Stopped(UserError):
    """Told to go: what is done is kept, and the same command goes on.

    `together` says that all ranks agreed to it.
    """

    def __init__(
        self, number: int, kept: str = "what is finished is kept", together: bool = False
    ) -> None:
        self.together = together
        reason = f"told to go ({signal.Signals(number).name})" if number else "another rank goes"
        self.number = number  # of the signal, 0 where another rank was told
        super().__init__(f"{reason}; {kept}; {SAME} goes on from here", AGAIN)


class _Told:
    """The signal that has come, 0 for none, and whether it is waited with."""

    number = 0
    waits = False


@contextmanager
def listening() -> Iterator[None]:
    """Obey the signals for a while, by an exception or as `at_safe_places` has it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _receive)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def at_safe_places() -> Iterator[None]:
    """Let a signal wait for work that looks at `told` often; a second Ctrl-C does not wait."""
    _Told.number, _Told.waits = 0, True
    try:
        yield
    finally:
        _Told.waits = False


def end_ranks(going: Stopped) -> None:
    """Leave the other ranks: they go too, or are told."""
    if going.together:
        distributed.destroy_process_group()
    else:
        distributed.fail(str(going), AGAIN)


def told() -> bool:
    """Return whether a signal waits to be obeyed."""
    return bool(_Told.number)


def leave(kept: str, *, together: bool = True) -> NoReturn:
    """Obey: raise KeyboardInterrupt after Ctrl-C, else Stopped, with what was kept."""
    number, _Told.number = _Told.number, 0
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise Stopped(number, kept, together)


def _receive(number: int, frame: FrameType | None) -> None:
    if _Told.waits and not (number == _Told.number == signal.SIGINT):
        _Told.number = _Told.number or number
    elif number == signal.SIGINT:
        signal.default_int_handler(number, frame)
    else:
        raise Stopped(number)
