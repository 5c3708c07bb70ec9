"""Settings in layers: defaults, files in their order, `--set`, flags; all mistakes at once.

Kept by hand: OmegaConf and Hydra stop at the first mistake, and know neither near matches nor a
setting by its last word.
"""

import difflib
from collections.abc import Iterable, Mapping
from textwrap import shorten
from typing import Any

import yaml
from pydantic import ValidationError

from hbr.core import values
from hbr.core.errors import UserError
from hbr.core.settings import SECTIONS, UNTRAINED, Config, objective_section
from hbr.core.values import leaves
from hbr.core.yaml_files import load

SHORT = {  # sections that may be given one value
    **{name: f"{name}.name" for name in ("sampler", "encoder", "objective", "adapter", "teacher")},
    **{"data": "data.train", "index": "index.kind"},
}
OTHER_NAMES = {  # what others call them: Hugging Face, sentence-transformers, faiss, older hbr
    "encoder.name": "model model_name model_name_or_path backbone",
    "encoder.query_prompt": "prefix prompt query_prefix query_instruction",
    "encoder.passage_prompt": "passage_prefix document_prompt corpus_prompt",
    "encoder.query_max_seq_length": "query_length query_max_length query_max_len",
    "encoder.passage_max_seq_length": "max_length max_seq_length passage_length passage_max_len",
    "encoder.normalize": "normalise normalize_embeddings",
    "data.train": "train_file train_data train_dataset dataset_name",
    "data.languages": "language langs",
    "adapter.name": "lora peft peft_type",
    "adapter.rank": "r lora_r lora_rank",
    "adapter.target_modules": "lora_target_modules",
    "objective.name": "loss",
    "objective.temperature": "tau",
    "objective.num_negatives": "negatives",
    "teacher.name": "teacher_model cross_encoder",
    "train.max_steps": "steps epochs num_epochs num_train_epochs",
    "train.batch_size": "per_device_train_batch_size train_batch_size global_batch_size",
    "train.learning_rate": "lr peak_lr",
    "train.warmup_ratio": "warmup warmup_steps",
    "train.weight_decay": "wd decay",
    "train.max_grad_norm": "clip grad_clip gradient_clip_val",
    "train.gradient_accumulation_steps": "accumulate accumulate_grad_batches",
    "train.mini_batch_size": "chunk_size",
    "train.precision": "bf16 fp16 amp",
    "train.optimizer": "optim",
    "train.parallel": "ddp fsdp",
    "train.torch_compile": "compile",
    "train.attention_dropout": "dropout",
    "train.early_stopping_patience": "patience",
    "train.keep_checkpoint": "save_only_model save_total_limit",
    "train.metric_for_best_model": "validate",
    "train.report_to": "tensorboard tracker logger",
    "encode.token_budget": "per_device_eval_batch_size eval_batch_size",
    "index.nlist": "lists",
    "index.nprobe": "probes",
    "index.m": "links",
    "index.ef_search": "ef efsearch",
    "index.top_k": "k depth",
    "evaluate.n_neighbors": "neighbours",
    "evaluate.metrics": "metric",
}
ALIASES = {other: ours for ours, others in OTHER_NAMES.items() for other in others.split()}


def full_path(key: str) -> str:
    """Return a setting's path, from itself or, where one section alone has it, its last word.

    Raises UserError where there is none, with what may be meant.
    """
    key = key.replace("-", "_")
    paths = leaves()
    if key in SHORT:
        return SHORT[key]
    if key in paths or key in SECTIONS or key.startswith("objective."):  # from outside, perhaps
        return key
    ending = [path for path in paths if path.endswith(f".{key}")]
    if len(ending) == 1:
        return ending[0]
    if ending:
        raise UserError(f"setting {key!r} is ambiguous: {' or '.join(ending)}")
    raise UserError(f"there is no setting {key!r}{hint(key, paths)}")


def hint(key: str, paths: Iterable[str]) -> str:
    """Return what a name that is no setting's may mean, of the settings with these paths."""
    last = key.rpartition(".")[2].lower()
    words = {name: [name] for name in SHORT} | {a: [path] for a, path in ALIASES.items()}
    for path in paths:
        words.setdefault(path.rpartition(".")[2], []).append(path)
    likely = [last] if last in words else difflib.get_close_matches(last, words, cutoff=0.65)
    meant = dict.fromkeys(path for word in likely for path in words[word])
    return f"; did you mean {' or '.join(meant)}?" if meant else "; `hbr settings` lists them all"


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as a tree: `{"train.max_steps": 1}` as `{"train": {"max_steps": 1}}`.

    Every unknown key is reported, and every setting that two spellings give two values, all of them
    in one UserError.
    """
    tree, mistakes = _nested(settings)
    if mistakes:
        raise UserError("\n".join(mistakes))
    return tree


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the leaves of a tree by their path, `train.max_steps`."""
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        leaves |= (
            flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
        )
    return leaves


def _nested(settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    tree: dict[str, Any] = {}
    said: dict[str, Any] = {}  # its leaves
    mistakes = []
    for key, value in settings.items():
        name = str(key).replace("-", "_")
        if name in SECTIONS and (value is None or isinstance(value, Mapping)):
            section = {str(leaf).replace("-", "_"): item for leaf, item in (value or {}).items()}
            more = {name: section}
        else:
            try:
                section_name, _, leaf = full_path(name).partition(".")
            except UserError as error:
                mistakes.append(str(error))
                continue
            more = {section_name: {leaf: value} if leaf else value}
        new = flat(more)
        twice = [path for path in new if path in said and new[path] != said[path]]
        mistakes += [f"{path} is said twice, the second time by {key!r}" for path in twice]
        said |= new
        tree = merge(tree, more)
    return tree, mistakes


def merge(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one nested mapping over another; the higher one wins leaf by leaf."""
    merged = dict(low)
    for key, value in high.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def parse_set(assignments: Iterable[str]) -> dict[str, Any]:
    """Read `key=value` assignments; a value is read as its setting is declared, else as YAML."""
    settings: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        key = key.strip()
        if not equals:
            raise UserError(
                f"--set {assignment!r}: write it as key=value, such as train.max_steps=100"
            )
        for other in [other for other in settings if _path(other) == _path(key)]:
            del settings[other]  # later ones win, however they are spelled
        try:
            settings[key] = _read(key, value)
        except yaml.YAMLError as error:
            raise UserError(f"--set {assignment!r}: the value is not YAML: {error}") from error
    return settings


def _path(key: str) -> str:
    try:
        return full_path(key)
    except UserError:  # reported with all other mistakes by `resolve_config`
        return key


def _read(key: str, value: str) -> Any:
    field = leaves().get(_path(key))
    return values.read(field, value) if field else load(value)


def resolve_config(*layers: Mapping[str, Any]) -> Config:
    """Lay settings over the defaults, later layers winning, and check them.

    Raises one UserError that lists every mistake, unknown keys with near matches.
    """
    tree: dict[str, Any] = {}
    mistakes: list[str] = []
    for layer in layers:
        section, unknown = _nested(layer)
        tree = merge(tree, section)
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
        mistakes += [_mistake(item, tree) for item in reversed(places.values())]
    if mistakes:
        raise UserError("\n".join(mistakes))
    return config


def _mistake(item: Any, tree: Mapping[str, Any]) -> str:
    path = ".".join(str(part) for part in item["loc"][:2])
    if item["type"] == "extra_forbidden":
        name = item["loc"][0]
        section = SECTIONS[name]
        if name == "objective":  # each objective has its own
            section = objective_section(tree[name].get("name", section().name))
        likely = hint(path, [f"{name}.{leaf}" for leaf in section.model_fields])
        return f"there is no setting {path!r}{likely}"
    message = item["msg"].removeprefix("Value error, ")  # names in it keep their case
    message = message[:1].lower() + message[1:]
    return f"{path} = {shorten(repr(item['input']), 100)}: {message}"
