"""Everything with a name, by kind; each entry carries the facts of its thing.

`registry.toml` holds one line per name. A name may also be `package.module:attribute`, installed or
in the current folder: an entry from outside is used like any other. Entries are imported when they
are looked up, so that `hbr --help` loads none. The command line imports from outside only what was
typed or stands in a file below the current folder, unless it is `--allow-code`.
"""

import difflib
import hashlib
import importlib
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from hbr.core.errors import UserError, first_line

TABLE: dict[str, dict[str, str]] = tomllib.loads(
    (resources.files("hbr.core") / "registry.toml").read_text(encoding="utf-8")
)

_allowed: AbstractSet[str] | None = None  # names from outside to import; None: all, as in Python


@contextmanager
def guarded(names: AbstractSet[str] | None) -> Iterator[None]:
    """Let only these names from outside be imported, and those of `trust`; all where it is None.

    A frozenset is not added to.
    """
    global _allowed
    before, _allowed = _allowed, names
    try:
        yield
    finally:
        _allowed = before


@contextmanager
def untrusting() -> Iterator[None]:
    """Let no further names from outside be imported, while files of somebody else are read."""
    with guarded(None if _allowed is None else frozenset(_allowed)):
        yield


def references(text: str) -> set[str]:
    """Return all that may be `package.module:attribute` in a text, also behind `mteb:`."""
    return set(re.findall(r"(?<![\w.])(?=([A-Za-z_][\w.]*:[A-Za-z_]\w*))", text))


def trust(path: Path, text: str) -> None:
    """Let the names in a file's text be imported if it is below the current folder."""
    if isinstance(_allowed, set) and path.resolve().is_relative_to(Path.cwd().resolve()):
        _allowed.update(references(text))


def names(kind: str) -> tuple[str, ...]:
    """Return the names of a kind, in the order of the table."""
    return tuple(TABLE[kind])


def get(kind: str, name: str) -> Any:
    """Return the entry of a name, or of `package.module:attribute`.

    Raises UserError where there is none, where it cannot be imported or is no such thing.
    """
    name = canonical(kind, name)
    if name in TABLE[kind]:
        return _attribute(TABLE[kind][name])
    if ":" not in name:
        raise UserError(unknown(kind, name))
    entry = from_outside(kind, name)
    expected = type(get(kind, next(iter(TABLE[kind]))))
    if not isinstance(entry, expected):
        what, wanted = type(entry).__name__, f"{expected.__module__}.{expected.__name__}"
        raise UserError(f"{kind} {name!r} is a {what}; it must be a {wanted}")
    return entry


def from_outside(kind: str, name: str) -> Any:
    """Return what `package.module:attribute` names, of whatever type it is.

    Raises UserError where it cannot be imported, or may not be.
    """
    if _allowed is not None and name not in _allowed:
        raise UserError(
            f"{kind} {name!r} would import {name.partition(':')[0]}, and was neither typed "
            "nor is it in a file below the current folder; if you trust it, add --allow-code"
        )
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # a console script does not look there
    try:
        return _attribute(name)
    except Exception as error:  # somebody else's module may raise anything
        raise UserError(f"{kind} {name!r} cannot be imported: {first_line(error)}") from error


def _attribute(reference: str) -> Any:
    module, _, attribute = reference.partition(":")
    return getattr(importlib.import_module(module), attribute)


def known(kind: str, name: str) -> str:
    """Return a name as the table spells it. Raises ValueError for one without an entry."""
    name = canonical(kind, name)
    if name not in TABLE[kind]:
        try:
            get(kind, name)
        except UserError as error:
            raise ValueError(str(error)) from error
    return name


def source(kind: str, name: str) -> dict[str, str]:
    """Return a digest of the module of a name from outside; nothing for a name of ours.

    It is part of what decides a result, so that a changed source is not taken for the old one.
    """
    if canonical(kind, name) in TABLE[kind]:
        return {}
    get(kind, name)
    digest = source_digest(name)
    return {"source": digest} if digest else {}


def source_digest(name: str) -> str:
    """Return a digest of the module of an imported `package.module:attribute`, "" for none."""
    file = getattr(sys.modules[name.partition(":")[0]], "__file__", None)
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:12] if file else ""


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
    return likely(word, known) or f"; known: {', '.join(known)}"


def likely(word: str, known: Iterable[str]) -> str:
    """Return the known names that are like `word` as a clause, "" where none is."""
    found = difflib.get_close_matches(word, sorted(known), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(found)}?" if found else ""
