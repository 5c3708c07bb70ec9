"""What a setting may be, read from its type: allowed values, unit, and values typed as text."""

from collections.abc import Iterator
from functools import partial
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import AfterValidator
from pydantic.fields import FieldInfo

from hbr.core import registry
from hbr.core.settings import SECTIONS, Config, Objective
from hbr.core.yaml_files import dump, load


def alternatives(field: FieldInfo) -> list[tuple[Any, tuple[Any, ...]]]:
    """Return the types a setting's value may have, each with its constraints and its unit."""
    return list(_alternatives(field.annotation, tuple(field.metadata)))


def _alternatives(kind: Any, about: tuple[Any, ...]) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    if get_origin(kind) is Annotated:
        kind, *more = get_args(kind)
        inner = [m for item in more for m in (item.metadata if _is_field(item) else [item])]
        yield from _alternatives(kind, (*about, *inner))
    elif get_origin(kind) in (Union, UnionType):
        for part in get_args(kind):
            yield from _alternatives(part, about)
    else:
        yield kind, about


def _is_field(item: Any) -> bool:
    return isinstance(item, FieldInfo)


def read(field: FieldInfo, text: str) -> Any:
    """Return a setting's value from text as somebody types it.

    A setting declared as text takes it as it is, without quotes around it. A list may be written
    `a,b` or `[a, b]`; all else is YAML. Raises yaml.YAMLError.
    """
    kinds = [kind for kind, _ in alternatives(field)]
    null = ("null", "~") if str in kinds else ("", "null", "~")  # a text may be empty
    if NoneType in kinds and text.strip() in null:
        return None
    if str in kinds:
        quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
        return text[1:-1] if quoted else text
    lists = [kind for kind in kinds if get_origin(kind) is tuple]
    bare = lists and not text.lstrip().startswith("[")
    if any(str in get_args(kind) for kind in lists):  # a language may be `no`
        parts = [part.strip() for part in text.split(",")]
        return parts if bare else yaml.load(text, yaml.BaseLoader)
    return load(f"[{text}]" if bare and "," in text else text)


def unit(field: FieldInfo) -> str:
    """Return a setting's unit, or an empty text."""
    return next((m for _, about in alternatives(field) for m in about if isinstance(m, str)), "")


def allowed(field: FieldInfo) -> str:
    """Return a setting's allowed values in words, such as `integer > 0 or null`."""
    words = [_words(*part) for part in alternatives(field)]
    names = choices(field) if words[0] == NAMES[str] else ()
    return " or ".join(dict.fromkeys([*([", ".join(names)] if names else []), *words]))


def choices(field: FieldInfo) -> tuple[str, ...]:
    """Return the names that a setting may have, where there is a list of them."""
    for kind, about in alternatives(field):
        if get_origin(kind) is Literal:
            return get_args(kind)
        if kinds := [m.func.args[0] for m in about if _is_named(m)]:
            return registry.names(kinds[0])
    return ()


def _is_named(item: Any) -> bool:
    return isinstance(item, AfterValidator) and isinstance(item.func, partial)


LISTED = {int: "integers", float: "numbers"}
NAMES = {bool: "true or false", str: "text", int: "integer", float: "number", NoneType: "null"}


def _words(kind: Any, about: tuple[Any, ...]) -> str:
    if get_origin(kind) is Literal:
        return ", ".join(get_args(kind))
    if get_origin(kind) is tuple:
        parts = get_args(kind)
        if parts[-1] is Ellipsis:
            kind, _ = next(_alternatives(parts[0], ()))
            return f"list of {LISTED.get(kind, 'names')}"
        return f"[{', '.join(_words(*next(_alternatives(part, ()))) for part in parts)}]"
    bounds = {sign: getattr(m, sign) for m in about for sign in _SIGNS if hasattr(m, sign)}
    bounds = {sign: f"{b:,}" if kind is int else f"{b:.10g}" for sign, b in bounds.items()}
    if bounds.keys() == {"ge", "le"}:
        return f"{NAMES[kind]} from {bounds['ge']} to {bounds['le']}"
    return " ".join([NAMES[kind], *(f"{_SIGNS[sign]} {bound}" for sign, bound in bounds.items())])


_SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}


def default(field: FieldInfo) -> str:
    """Return a setting's default as a YAML file has it."""
    value = field.get_default()
    value = list(value) if isinstance(value, tuple) else value
    text = dump(value, default_flow_style=True, width=10_000)
    return text.removesuffix("...\n").strip()


def is_a(field: FieldInfo, kind: type) -> bool:
    """Return whether a setting's value may be of a type, such as `bool` or `tuple`."""
    return any(kind in (part, get_origin(part)) for part, _ in alternatives(field))


def sections(*objectives: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield a title, the section's name and its settings' fields, for every section.

    After the sections of Config come those of objectives that add settings: of all that have a
    name, and of `objectives` as `package.module:attribute`. They are all part of `objective`.
    """
    yield "general", "", {"seed": Config.model_fields["seed"]}
    for name, section in SECTIONS.items():
        yield name, name, section.model_fields
    for name in (*registry.names("objective"), *objectives):
        fields = registry.get("objective", name).settings.model_fields
        if added := {leaf: f for leaf, f in fields.items() if leaf not in Objective.model_fields}:
            yield f"objective {name}", "objective", added


def leaves() -> dict[str, Any]:
    """Return every setting's field by its path, such as `train.learning_rate`.

    Settings that one objective alone reads are among them, once.
    """
    paths: dict[str, Any] = {}
    for _, name, fields in sections():
        for leaf, field in fields.items():
            paths.setdefault(f"{name}.{leaf}" if name else leaf, field)
    return paths
