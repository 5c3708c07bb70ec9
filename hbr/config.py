"""What a run is made of: small frozen sections, layered from defaults, files, and flags."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from hbr.errors import UserError
from hbr.names import NAMES, base, canonical, near, unknown

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Precision = Literal["fp32", "bf16"]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def known_name(kind: str, name: str) -> str:
    """Give a name as the table spells it. Raises ValueError for one that is not in it."""
    name = canonical(kind, name)
    if base(kind, name) not in NAMES[kind] and ":" not in name:
        raise ValueError(unknown(kind, name))
    return name


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_several), Field(min_length=1)]


WITHOUT_ALPHA = {"monolingual", "cross-lingual", "mixed", "english", "untrained"}
LOG_ONLY = {"log_every", "checkpoint_every", "tensorboard"}  # change the log, not the weights
# settings younger than finished runs, and where they leave these valid
LATER: dict[str, Any] = {
    "symmetric": False,
    "unpadded": True,
    "attention_dropout": None,
    "trim_vocabulary": True,
    "quick_dropout": True,
}
OBJECTIVE_SETTINGS: dict[str, set[str]] = {  # those that one objective reads and others do not
    "adversarial": {
        *("perturbed", "weight", "epsilon", "norm"),
        *("ascent_steps", "ascent_size", "start", "average"),
    },
    "smoothing": {"perturbed", "sigma", "swap"},
    "language-adversarial": {"weight", "ramp", "classifier_lr"},
    "language-contrastive": {"weight", "language_weight"},
}


class Sampler(Section):
    """How a batch chooses its languages."""

    name: Annotated[str, AfterValidator(partial(known_name, "sampler"))] = "hybrid"
    alpha: Share | tuple[Share, Share] = 0.5  # probability of a monolingual batch, or [start, end]


class Encoder(Section):
    """Backbone, pooling and text lengths; the weights are shared by queries and passages."""

    name: Annotated[str, AfterValidator(partial(canonical, "encoder"))] = "xlm-r-tiny"
    # a preset, a hub id, or a folder
    revision: str | None = None
    pooling: Literal["mean", "cls", "dense"] | None = None  # null: as the encoder's files say
    normalize: bool = True
    query_prefix: str = "Query: "
    passage_prefix: str = "Passage: "
    query_length: Positive = 64  # tokens, the prefix and special tokens included
    passage_length: Positive = 256


class Data(Section):
    """What is trained on."""

    train: Names = ("embedded",)
    languages: Names | None = None  # null: all that the data have
    temperature: Share = 1.0  # data sets are drawn in proportion to size ** temperature
    validation: str | None = "auto"  # auto: what comes with the training data; null: none
    validation_languages: Names | None = None  # null: the pivot, English for real data
    limit: Positive | None = None  # rows of each language and data set, for a trial


class Train(Section):
    """Optimisation."""

    objective: Annotated[str, AfterValidator(partial(known_name, "objective"))] = "infonce"
    temperature: Annotated[float, Field(gt=0)] = 0.05
    mask: Literal["group", "none"] = "group"
    negatives: Annotated[int, Field(ge=0)] = 1  # given negatives used per row, where there are any
    steps: Positive = 300
    batch_size: Annotated[int, Field(ge=2)] = 64  # pairs in the global batch
    accumulate: Positive = 1  # batches per step, each with negatives of its own
    chunk_size: Positive | None = None  # gradient cache: pairs encoded at a time
    lr: Annotated[float, Field(gt=0)] | None = None  # null: the encoder's own (3e-5, tiny: 3e-3)
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    warmup: Share = 0.1  # share of the steps
    clip: Annotated[float, Field(gt=0)] = 1.0  # norm of the gradient
    precision: Precision = "fp32"
    compile: bool = False
    unpadded: bool = True  # texts end to end, as far as the encoder can; not where it is compiled
    attention_dropout: Share | None = None  # null: as the encoder's files say; 0 is quicker
    quick_dropout: bool = True  # on a CPU, 16 random bits a number; not where it is compiled
    trim_vocabulary: bool = True  # words that the data lack wait outside; the result is the same
    log_every: Positive = 10  # steps
    validate_every: Positive = 100
    patience: Positive | None = None  # stop after so many validations without a better one
    checkpoint_every: Positive = 200
    tensorboard: bool = True
    symmetric: bool = False  # rank queries for passages too
    # What follows is read by the objectives that OBJECTIVE_SETTINGS names, and by no others.
    perturbed: Literal["queries", "passages", "both"] = "both"  # given negatives go with passages
    weight: Annotated[float, Field(gt=0)] = 1.0
    # λ: of the perturbed loss (1 in arXiv 1605.07725), of the reversal, of the semantic loss
    epsilon: Annotated[float, Field(gt=0)] = 0.1
    # Radius, as a share of the mean norm of a word embedding, for a whole text (l2) or, spread over
    # the embedding's numbers, for each of them (linf: .01 is as far as .1 in a text of 100 tokens).
    # The code of arXiv 1909.11764 has .15 to .7 for norms near 1.5; at .3 tiny encoders collapse.
    norm: Literal["l2", "linf"] = "l2"
    ascent_steps: Positive = 1  # 1: FGM; more: PGD
    ascent_size: Annotated[float, Field(gt=0)] | None = None
    # of a step, as a share of epsilon; null: 2.5 / ascent_steps (arXiv 1706.06083), at most 1
    start: Literal["zero", "random"] = "zero"
    average: bool = False  # every point of the ascent counts (FreeLB), not the last alone
    sigma: Annotated[float, Field(ge=0)] = 0.1  # noise on a token, as a share of its norm
    swap: Share = 0.0  # probability that a text is swapped for its row's in another language
    ramp: bool = True  # the reversal rises from 0 to its weight
    classifier_lr: Annotated[float, Field(gt=0)] = 1e-3
    language_weight: Annotated[float, Field(ge=0)] = 0.1  # of the language contrastive loss

    def deciding(self) -> dict[str, Any]:
        """Give the settings that decide the trained weights, as plain values.

        Settings of other objectives are left out; for one's own objective, those that are as usual.
        So are those of LATER that change nothing: a run is the same with and without padding, quick
        dropout and a trimmed vocabulary but for rounding and the masks of dropout, as it is on one
        and on two ranks, and a finished one stays valid, whichever it had.
        """
        every = set().union(*OBJECTIVE_SETTINGS.values())
        idle = every - OBJECTIVE_SETTINGS.get(self.objective, set())
        if self.objective not in NAMES["objective"]:  # what one's own reads is not known
            usual = type(self).model_fields
            idle = {name for name in every if getattr(self, name) == usual[name].default}
        idle |= LOG_ONLY | {name for name, value in LATER.items() if getattr(self, name) == value}
        return self.model_dump(mode="json", exclude=idle)


class Encode(Section):
    """Vectors of an evaluation set."""

    precision: Precision = "fp32"
    dtype: Literal["float32", "float16"] = "float32"  # on disk
    unpadded: bool = True  # texts end to end, as far as the encoder can: vectors are the same
    token_budget: Positive = 4096  # tokens in one forward pass, padding included if any
    shard_size: Positive = 16384  # vectors


class Index(Section):
    """A faiss index and its parameters."""

    kind: Literal["flat", "ivf", "hnsw", "pq"] = "flat"
    lists: Positive | None = None  # ivf; null: the square root of the corpus size
    probes: Positive = 8  # ivf
    links: Positive = 32  # hnsw
    breadth: Positive = 64  # hnsw, while searching
    bytes: Positive = 32  # pq, a vector
    depth: Positive = 1000  # passages retrieved for a query


RANKING, MINING = {"metrics", "passage"}, {"margin", "neighbours"}  # what results depend on


def known_metric(name: str) -> None:
    """Raise ValueError for a metric that there is not, or whose cut-off is wrong."""
    base, at, cutoff = name.removeprefix("drop_").partition("@")
    known = NAMES["metric"] | ({} if name.startswith("drop_") else NAMES["bias"])
    if base in ("f1", "precision"):
        raise ValueError(f"{base} of mined translations has no values by query; name recall")
    if base not in {*known, "map_spread"} and ":" not in base:
        raise ValueError(f"there is no metric {base!r}{near(base, known)}")
    if at and not (cutoff.isdigit() and int(cutoff) > 0):
        raise ValueError(f"the cut-off of {name!r} is no positive number")
    if base == "same_language" and not at:
        raise ValueError("same_language needs a cut-off, such as same_language@10")


def _known_metrics(names: tuple[str, ...]) -> tuple[str, ...]:
    wrong = []
    for name in names:
        try:
            known_metric(name)
        except ValueError as error:
            wrong.append(str(error))
        if name == "map_spread" or name.startswith("drop_"):
            of = "map" if name == "map_spread" else name.removeprefix("drop_")
            wrong.append(f"{name} comes with {of}")
    if wrong:
        raise ValueError("; ".join(wrong))
    return names


class Evaluate(Section):
    """What is measured."""

    metrics: Annotated[tuple[str, ...], AfterValidator(_known_metrics)] = (
        "map",
        "map@20",
        "ndcg@10",
        "recall@1",
        "recall@5",
        "recall@10",
        "recall@100",
        "mrr",
        "rank_distance",
        "peer@20",
        "same_language@10",
    )
    passage: Literal["sentence", "sentence+context"] = "sentence"
    block_mb: Positive = 64  # memory of one block of scores
    memory_mb: Positive = 4096  # a corpus that needs more is streamed
    margin: Literal["absolute", "ratio", "distance"] = "absolute"  # mining: of cosines, or over
    # the mean one of the neighbours
    neighbours: Positive = 4  # mining: of each sentence
    limit: Positive | None = None  # concepts of each language, for a trial
    seed: Annotated[int, Field(ge=0)] = 0  # of perturbations


class Config(Section):
    """Everything a run depends on. `hbr train -C config.yaml` makes the same run again."""

    seed: Annotated[int, Field(ge=0)] = 0
    sampler: Sampler = Sampler()
    encoder: Encoder = Encoder()
    data: Data = Data()
    train: Train = Train()
    encode: Encode = Encode()
    index: Index = Index()
    evaluate: Evaluate = Evaluate()

    def to_yaml(self) -> str:
        """Write the whole config; reading it back gives an equal one."""
        values = self.model_dump(mode="json")
        text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
        if yaml.safe_load(text) != values:  # PyYAML reads some line ends, such as U+0085, as spaces
            text = yaml.safe_dump(values, sort_keys=False)
        return text

    def identity(self) -> dict[str, Any]:
        """Give the part that decides the trained weights, as plain values."""
        chosen = self.model_dump(mode="json", include={"seed", "sampler", "encoder", "data"})
        if self.sampler.name == "untrained":
            return {"encoder": chosen["encoder"], "sampler": "untrained"}
        if self.sampler.name in WITHOUT_ALPHA:
            chosen["sampler"].pop("alpha")
        if self.data.limit is None:
            chosen["data"].pop("limit")
        return chosen | {"train": self.train.deciding()}


SECTIONS: dict[str, Any] = {name: field.annotation for name, field in Config.model_fields.items()}
SHORT = {"sampler": "sampler.name", "encoder": "encoder.name"}  # a bare value is the name


def short_name(encoder: str) -> str:
    """Give the last telling word of an encoder's name: a folder called `model` tells nothing."""
    parts = [part for part in Path(encoder).parts if part != "model"]
    return parts[-1] if parts else encoder


def leaves() -> Iterator[str]:
    """Yield the path of every setting, such as `train.lr`."""
    for name, section in SECTIONS.items():
        if isinstance(section, type) and issubclass(section, Section):
            yield from (f"{name}.{leaf}" for leaf in section.model_fields)
        else:
            yield name


def full_path(key: str) -> str:
    """Give the path of a setting from its path or, where only one section has it, its last word."""
    key = key.replace("-", "_")
    paths = list(leaves())
    if key in SHORT:
        return SHORT[key]
    if key in paths or key in SECTIONS:
        return key
    ending = [path for path in paths if path.endswith(f".{key}")]
    if len(ending) == 1:
        return ending[0]
    if ending:
        raise UserError(f"setting {key!r} is ambiguous: {' or '.join(ending)}")
    words = paths + [path.rpartition(".")[2] for path in paths]
    raise UserError(f"there is no setting {key!r}{near(key, set(words))}")


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Turn `{"train.lr": 1}` or `{"lr": 1}` or `{"train": {"lr": 1}}` into the last of these.

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
        if name in SECTIONS and name != "seed" and (value is None or isinstance(value, Mapping)):
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
            raise UserError(f"--set {assignment!r}: write it as key=value, such as train.steps=100")
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
        section = SECTIONS[item["loc"][0]]
        return f"there is no setting {path!r}{near(item['loc'][-1], section.model_fields)}"
    told = item["msg"].removeprefix("Value error, ").lower()
    return f"{path} = {item['input']!r}: {told}"
