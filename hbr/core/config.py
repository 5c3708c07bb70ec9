"""Settings in layers: defaults, files in their order, `--set`, flags; all mistakes at once.

Kept by hand: OmegaConf and Hydra stop at the first mistake, and know neither near matches nor a
setting by its last word.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from hbr.core.errors import UserError
from hbr.core.registry import near
from hbr.core.settings import SECTIONS, UNTRAINED, Config, leaves

SHORT = {name: f"{name}.name" for name in ("sampler", "encoder", "objective")}  # a bare value


def full_path(key: str) -> str:
    """Return a setting's path, from itself or, where one section alone has it, its last word."""
    key = key.replace("-", "_")
    paths = [path for path, _ in leaves()]
    if key in SHORT:
        return SHORT[key]
    if key in paths or key in SECTIONS or key.startswith("objective."):  # perhaps of one's own
        return key
    ending = [path for path in paths if path.endswith(f".{key}")]
    if len(ending) == 1:
        return ending[0]
    if ending:
        raise UserError(f"setting {key!r} is ambiguous: {' or '.join(ending)}")
    words = paths + [path.rpartition(".")[2] for path in paths]
    raise UserError(f"there is no setting {key!r}{near(key, set(words))}")


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as a tree: `{"train.max_steps": 1}` as `{"train": {"max_steps": 1}}`.

    Every unknown key is reported, all of them in one UserError.
    """
    tree, mistakes = _nested(settings)
    if mistakes:
        raise UserError("\n".join(mistakes))
    return tree


def _nested(settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    tree: dict[str, Any] = {}
    mistakes = []
    for key, value in settings.items():
        name = str(key).replace("-", "_")
        if name in SECTIONS and (value is None or isinstance(value, Mapping)):
            section = {str(leaf).replace("-", "_"): item for leaf, item in (value or {}).items()}
            tree = merge(tree, {name: section})
            continue
        try:
            section_name, _, leaf = full_path(name).partition(".")
        except UserError as error:
            mistakes.append(str(error))
            continue
        tree = merge(tree, {section_name: {leaf: value} if leaf else value})
    return tree, mistakes


def merge(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one nested mapping over another; the higher one wins leaf by leaf."""
    merged = dict(low)
    for key, value in high.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def parse_set(assignments: Iterable[str]) -> dict[str, Any]:
    """Read `key=value` assignments; the value is YAML (`alpha=[0.8, 0.2]`)."""
    settings: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise UserError(
                f"--set {assignment!r}: write it as key=value, such as train.max_steps=100"
            )
        try:
            settings[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UserError(f"--set {assignment!r}: the value is not YAML: {error}") from error
    return settings


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; a missing or broken file is a UserError that names file and line."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UserError(f"{where}: not YAML: {getattr(error, 'problem', error)}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"{path}: must hold settings as `key: value`")
    return content


def resolve_config(*layers: Mapping[str, Any]) -> Config:
    """Lay settings over the defaults, later layers winning, and check them.

    Raises one UserError that lists every mistake, unknown keys with near matches.
    """
    tree: dict[str, Any] = {}
    mistakes: list[str] = []
    for layer in layers:
        found, unknown = _nested(layer)
        tree = merge(tree, found)
        mistakes += unknown
    sampler = tree.get("sampler")
    if isinstance(sampler, Mapping) and sampler.get("name") == UNTRAINED:  # a run, not a sampler
        named = {key: value for key, value in sampler.items() if key != "name"}
        tree = tree | {"sampler": named}
        tree = merge(tree, {"train": {"max_steps": 0}})
    try:
        config = Config.model_validate(tree)
    except ValidationError as error:
        places = {item["loc"][:2]: item for item in reversed(error.errors())}  # one a setting
        mistakes += [_mistake(item) for item in reversed(places.values())]
    if mistakes:
        raise UserError("\n".join(mistakes))
    return config


def _mistake(item: Any) -> str:
    path = ".".join(str(part) for part in item["loc"][:2])
    if item["type"] == "extra_forbidden":
        known = [p.rpartition(".")[2] for p, _ in leaves() if p.startswith(f"{item['loc'][0]}.")]
        return f"there is no setting {path!r}{near(item['loc'][-1], known)}"
    told = item["msg"].removeprefix("Value error, ").lower()
    return f"{path} = {item['input']!r}: {told}"
