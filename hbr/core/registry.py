"""Everything with a name, by kind; each entry carries the facts of its thing.

`registry.toml` holds one line per name. A name may also be `package.module:attribute`, installed or
in the current folder: an entry from outside is used like any other. Entries are imported when they
are looked up, so that `hbr --help` loads none.
"""

import difflib
import importlib
import sys
import tomllib
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

from hbr.core.errors import UserError

TABLE: dict[str, dict[str, str]] = tomllib.loads(
    (resources.files("hbr.core") / "registry.toml").read_text(encoding="utf-8")
)


def names(kind: str) -> tuple[str, ...]:
    """Return the names of a kind, in the order of the table."""
    return tuple(TABLE[kind])


def get(kind: str, name: str) -> Any:
    """Return the entry of a name, or of `package.module:attribute`.

    Raises UserError where there is none, where it cannot be imported or is no such thing.
    """
    name = canonical(kind, name)
    is_ours = name in TABLE[kind]
    reference = TABLE[kind].get(name, name)
    if ":" not in reference:
        raise UserError(unknown(kind, name))
    if not is_ours and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # a console script does not look there
    module, _, attribute = reference.partition(":")
    try:
        entry = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        if is_ours:
            raise
        raise UserError(f"{kind} {name!r} cannot be imported: {error}") from error
    if name not in TABLE[kind]:
        expected = type(get(kind, next(iter(TABLE[kind]))))
        if not isinstance(entry, expected):
            what, wanted = type(entry).__name__, f"{expected.__module__}.{expected.__name__}"
            raise UserError(f"{kind} {name!r} is a {what}; it must be a {wanted}")
    return entry


def known(kind: str, name: str) -> str:
    """Return a name as the table spells it. Raises ValueError for one that is not in it."""
    name = canonical(kind, name)
    if name not in TABLE[kind] and ":" not in name:
        raise ValueError(unknown(kind, name))
    return name


def canonical(kind: str, name: str) -> str:
    """Return a name as the table spells it: `_` and `-` are the same."""
    spelled = {ours.replace("_", "-"): ours for ours in TABLE[kind]}
    return spelled.get(name.replace("_", "-"), name)


def unknown(kind: str, name: str) -> str:
    """Return the message for a name that is not in the table, with those like it."""
    return f"there is no {kind} {name!r}{near(name, TABLE[kind])}"


def near(word: str, known: Iterable[str]) -> str:
    """Return the known names that are like `word`, or all of them where none is."""
    known = sorted(known)
    likely = difflib.get_close_matches(word, known, n=3, cutoff=0.6)
    if likely:
        return f"; did you mean {' or '.join(likely)}?"
    return f"; known: {', '.join(known)}"
