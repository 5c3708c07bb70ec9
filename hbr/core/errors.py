"""Errors that a person reads."""

import re

PEER_LOST = 76  # exit code: another rank has ended; the same command goes on
AGAIN = 75  # exit code: told to go, the same command goes on (EX_TEMPFAIL of sysexits.h)


class UserError(Exception):
    """A message to show without a traceback: what is wrong, where, and what to do about it.

    `exit_code` is 2 where the person who typed the command can mend it and 1 where it is not
    their fault (training diverged, a disk is full), or AGAIN.
    """

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def printable(text: str) -> str:
    """Return a text whose control characters, which a terminal would obey, are shown as `�`."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", "�", text)


def first_line(error: BaseException) -> str:
    """Return the first line of a library's error message, or its kind where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].strip()
