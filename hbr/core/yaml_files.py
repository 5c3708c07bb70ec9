"""YAML as configs and studies are written in it: scalars of YAML 1.2, and nothing unbounded.

PyYAML follows YAML 1.1, where `no` is false, `1:30` is 90, `1e-5` is text and the last of two equal
keys wins. Here these are text, text, a number and a mistake.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from hbr.core import registry
from hbr.core.errors import UserError

MOST_BYTES, MOST_NODES = 10_000_000, 100_000  # of a file, and of what its aliases unfold to
INT = re.compile(r"[-+]?(0|[1-9][0-9]*(_[0-9]+)*)")
FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
SCALARS = (  # tag, pattern, first characters
    ("null", re.compile("~|null|Null|NULL|"), ["~", "n", "N", ""]),
    ("bool", re.compile("true|True|TRUE|false|False|FALSE"), list("tTfF")),
    ("int", INT, list("-+0123456789")),
    ("float", FLOAT, list("-+.0123456789")),
    ("merge", re.compile("<<"), ["<"]),
)


class _Loader(yaml.SafeLoader):
    """Reads scalars of YAML 1.2, and refuses a key that stands twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in keys:
                problem = f"{key.value!r} stands here twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            keys.add(key.value if isinstance(key, yaml.ScalarNode) else None)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Writes what both YAML 1.1 and 1.2 read back."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in SCALARS:
    _whole = re.compile(f"(?:{_pattern.pattern})$")
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _whole, _first)


def load(text: str) -> Any:
    """Return what YAML text holds. Raises yaml.YAMLError, also for what unfolds without bound."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _size(node, {}) > MOST_NODES:
            raise yaml.YAMLError("its aliases (*name) unfold to too much")
        return loader.construct_document(node)
    except (ValueError, RecursionError) as error:  # such as an integer of 5,000 digits
        raise yaml.YAMLError(f"not to be read: {error}") from error
    finally:
        loader.dispose()


def _size(node: Any, sizes: dict[int, float]) -> float:
    """Return the nodes of a tree, one that holds itself having infinitely many."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in sizes:
        sizes[id(node)] = float("inf")
        is_mapping = isinstance(node, yaml.MappingNode)
        parts = [part for pair in node.value for part in pair] if is_mapping else node.value
        sizes[id(node)] = 1 + sum(_size(part, sizes) for part in parts)
    return sizes[id(node)]


def dump(values: Any, **layout: Any) -> str:
    """Return values as YAML text that reads back equal."""
    text: str = yaml.dump(values, Dumper=_Dumper, allow_unicode=True, sort_keys=False, **layout)
    if load(text) != values:  # PyYAML reads some line ends, such as U+0085, as spaces
        text = yaml.dump(values, Dumper=_Dumper, sort_keys=False, **layout)
    return text


def read_yaml(path: Path) -> dict[str, Any]:
    """Return a file's YAML mapping; a missing or broken file is a UserError with file and line."""
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{path}: is no regular file")
        if path.stat().st_size > MOST_BYTES:
            raise UserError(f"{path}: is too large for settings ({path.stat().st_size:,} bytes)")
        text = path.read_text(encoding="utf-8-sig")
        content = load(text)
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UserError(f"{where}: not YAML: {getattr(error, 'problem', error)}") from error
    registry.trust(path, text)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"{path}: must hold settings as `key: value`")
    return content
