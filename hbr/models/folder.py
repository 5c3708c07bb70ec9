"""What the files of an encoder's folder say beside its weights: all of it obeyed, or refused.

The files are those of sentence-transformers. A field that hbr does not know, or a value that it
cannot honour, raises UserError with its name: a field passed over gives other vectors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    RootModel,
    ValidationError,
)

from hbr.core.errors import UserError

LIBRARY = "sentence_transformers."
POOLINGS = {  # each with its name in the files of older versions
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}
LONGEST = 512  # tokens, where the files name no limit
PASSAGES = "document", "passage", "corpus"  # names of prompts, as sentence-transformers looks


def _nothing(value: Any) -> Any:
    if value:
        raise ValueError("hbr does not do that")
    return value


def _plain_text(value: Any) -> Any:
    text = {"method": "forward", "method_output_name": "last_hidden_state"}
    if value and value != {"text": text}:
        raise ValueError("hbr encodes plain texts by their last hidden states")
    return value


Nothing = Annotated[Any, AfterValidator(_nothing)]
Vectors = Literal["sentence_embedding"] | None
Mode = Literal["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Module(_File):
    idx: int = 0
    name: str = ""
    path: str
    type: str
    kwargs: Nothing = None

    @property
    def kind(self) -> str:
        own = self.type.startswith(LIBRARY)  # others name code beside the weights
        return self.type.rpartition(".")[2] if own else self.type


class _Model(_File):
    version: Any = Field(None, alias="__version__")
    requirements: Any = None
    model_type: Literal["SentenceTransformer"] = "SentenceTransformer"
    prompts: dict[str, str | None] = {}
    default_prompt_name: str | None = None
    similarity_fn_name: Literal["cosine", "dot"] | None = None
    truncate_dim: PositiveInt | None = None


class _Transformer(_File):
    max_seq_length: PositiveInt | None = None
    query_length: PositiveInt | None = None
    document_length: PositiveInt | None = None
    do_lower_case: bool = False
    unpad_inputs: bool | None = None  # the vectors are the same
    transformer_task: Literal["feature-extraction"] = "feature-extraction"
    modality_config: Annotated[Any, AfterValidator(_plain_text)] = None
    module_output_name: Literal["token_embeddings"] = "token_embeddings"
    query_expansion: Nothing = None
    processing_kwargs: Nothing = None
    model_args: Nothing = None
    config_args: Nothing = None
    tokenizer_args: Nothing = None


class _Pooling(_File):
    width: int = Field(
        validation_alias=AliasChoices("embedding_dimension", "word_embedding_dimension")
    )
    pooling_mode: Mode | tuple[Mode, ...] | None = None
    include_prompt: Literal[True] = True
    pooling_mode_cls_token: bool = False
    pooling_mode_max_tokens: bool = False
    pooling_mode_mean_tokens: bool = False
    pooling_mode_mean_sqrt_len_tokens: bool = False
    pooling_mode_weightedmean_tokens: bool = False
    pooling_mode_lasttoken: bool = False

    @property
    def modes(self) -> tuple[str, ...]:
        if self.pooling_mode:
            named = self.pooling_mode
            return (named,) if isinstance(named, str) else named
        return tuple(mode for mode, key in POOLINGS.items() if getattr(self, key)) or ("mean",)


class DenseConfig(_File):
    """A linear layer with an activation."""

    in_features: PositiveInt
    out_features: PositiveInt
    bias: bool = True
    activation_function: str | None = "torch.nn.modules.activation.Tanh"
    module_input_name: Vectors = None
    module_output_name: Vectors = None
    use_residual: Literal[False] = False


class _Normalize(_File):
    module_input_name: Vectors = None
    module_output_name: Vectors = None


class _Limits(BaseModel):
    """What tokenizer_config.json and config.json say of lengths, in tokens."""

    model_max_length: float | None = None
    max_position_embeddings: int | None = None


_Any = TypeVar("_Any", bound=BaseModel)


@dataclass(frozen=True)
class EncoderFolder:
    """The configs of an encoder's folder."""

    path: Path  # of the backbone and its tokenizer
    model: _Model
    transformer: _Transformer
    pooling: tuple[str, ...] | None  # None: no modules.json names one
    layers: tuple[tuple[Path, DenseConfig | None], ...]  # behind the pooling; None: normalization

    def resolved(self) -> dict[str, Any]:
        """Return the settings of an encoder that its files decide, by name."""
        prompts, default = self.model.prompts, self.model.default_prompt_name
        found: dict[str, Any] = {}
        if default or {"query", *PASSAGES} & set(prompts):
            for side, name in (("query", "query"), ("passage", passage_prompt_name(prompts))):
                found[f"{side}_prompt"] = prompts.get(name, prompts.get(default or "")) or ""
        tokenizer = _read(_Limits, self.path / "tokenizer_config.json")
        backbone = _read(_Limits, self.path / "config.json")
        named = tokenizer.model_max_length, backbone.max_position_embeddings
        some = [int(n) for n in named if n and 0 < n < 1e6]
        longest = self.transformer.max_seq_length or min(some, default=LONGEST)
        ends = bool(self.layers) and self.layers[-1][1] is None
        return found | {
            "query_max_seq_length": self.transformer.query_length or longest,
            "passage_max_seq_length": self.transformer.document_length or longest,
            "normalize": ends or self.model.similarity_fn_name != "dot",
        }


def passage_prompt_name(prompts: Mapping[str, str | None]) -> str:
    """Return which of an encoder's prompts is for passages: the first that is no empty text."""
    named = [name for name in PASSAGES if name in prompts]
    return next((name for name in named if prompts[name]), next(iter(named), ""))


def read_folder(folder: Path) -> EncoderFolder:
    """Read the configs of an encoder's folder. Raises UserError for what hbr cannot honour."""
    model = _read(_Model, folder / "config_sentence_transformers.json")
    listed = folder / "modules.json"
    modules = _read(RootModel[list[_Module]], listed).root if listed.exists() else []
    kinds = [module.kind for module in modules]
    if modules and kinds[:2] != ["Transformer", "Pooling"]:
        raise UserError(f"{listed}: hbr runs a Transformer and then a Pooling, not {kinds[:2]}")
    if unknown := sorted(set(kinds[2:]) - {"Dense", "Normalize"}):
        raise UserError(f"{listed}: hbr has no module {', '.join(unknown)} behind the pooling")
    paths = [folder / module.path for module in modules]
    if outside := [p for p in paths if not p.resolve().is_relative_to(folder.resolve())]:
        raise UserError(f"{listed}: {outside[0]} is outside the encoder's folder")
    main = paths[0] if paths else folder
    lengths = sorted(main.glob("sentence_*_config.json")) or [main / "sentence_bert_config.json"]
    layers = []
    for kind, path in zip(kinds[2:], paths[2:], strict=True):
        if kind == "Normalize":
            _read(_Normalize, path / "config.json")
        layers.append((path, _read(DenseConfig, path / "config.json") if kind == "Dense" else None))
    if model.truncate_dim and model.similarity_fn_name == "dot" and "Normalize" in kinds:
        raise UserError(f"{listed}: hbr has no vectors that are scaled first and cut then")
    pooling = _read(_Pooling, paths[1] / "config.json").modes if paths else None
    return EncoderFolder(main, model, _read(_Transformer, lengths[0]), pooling, tuple(layers))


def _read(kind: type[_Any], path: Path) -> _Any:
    """Read a config; a file that is not there says nothing."""
    try:
        return kind.model_validate_json(path.read_bytes() if path.is_file() else b"{}")
    except ValidationError as error:
        mistake = error.errors()[0]
    where = ".".join(map(str, mistake["loc"]))
    if mistake["type"] == "extra_forbidden":
        raise UserError(f"{path}: hbr does not know {where!r}, and passes over nothing")
    value = f" = {mistake['input']!r:.60}" if where and mistake["type"] != "missing" else ""
    raise UserError(f"{path}: {where}{value}: {mistake['msg'].removeprefix('Value error, ')}")
