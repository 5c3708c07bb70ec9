"""Dual encoders: one set of weights that turns queries and passages into unit vectors.

An encoder's folder is at once a `transformers` and a `sentence-transformers` model: backbone and
tokenizer at the top, `modules.json` naming pooling, dense layer and normalisation.
"""

import json
import logging
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hbr.core.errors import UserError, first_line
from hbr.core.settings import Train
from hbr.models import unpadded as packing
from hbr.models.dropout import quicken

logger = logging.getLogger(__name__)

LIBRARY = "sentence_transformers.models"
DENSE_TANH = "torch.nn.modules.activation.Tanh"
WEIGHTS = "model.safetensors"
WANTED = ["*.json", "*.txt", "*.model", WEIGHTS, f"*/{WEIGHTS}", "model-*.safetensors"]
AT_A_TIME = 1_000  # texts tokenised: more only wait in memory, fewer leave cores without work


class Pooling(NamedTuple):
    """What stands behind the backbone: `mean` or `cls`, and perhaps a dense layer with tanh."""

    tokens: str
    dense: nn.Linear | None = None


class Encoder(nn.Module):
    """A backbone with pooling; `forward` gives unit vectors, similarity is their dot product."""

    def __init__(
        self, backbone: Any, tokenizer: Any, pooling: Pooling, *, normalize: bool = True
    ) -> None:
        super().__init__()
        self.backbone: Any
        self.backbone, self.dense = backbone, pooling.dense
        self.tokens, self.normalize = pooling.tokens, normalize
        self.tokenizer = tokenizer
        if getattr(backbone, "pooler", None) is not None:
            backbone.pooler = None  # unused, and random where a checkpoint has none
        self.packs = packing.enable(backbone)
        self.places: np.ndarray | None = None  # of all words, while only some are trained

    @property
    def width(self) -> int:
        """Length of a vector."""
        return self.dense.out_features if self.dense else self.backbone.config.hidden_size

    @property
    def longest(self) -> int:
        """Most tokens that the backbone can take."""
        config = self.backbone.config
        places = getattr(config, "max_position_embeddings", None) or 512
        if "roberta" in config.model_type:  # its positions start behind the padding id
            places -= config.pad_token_id + 1
        return int(min(places, self.tokenizer.model_max_length))

    @property
    def words(self) -> Tensor:
        """The word embeddings: (vocabulary, their width)."""
        return self.backbone.get_input_embeddings().weight

    def encode(
        self,
        texts: Sequence[Any],
        device: torch.device | str = "cpu",
        shift: Tensor | None = None,
        *,
        unpadded: bool = True,
    ) -> Tensor:
        """Encode the token ids of texts, without padding where that can be: (texts, width).

        `shift` is that of `forward`.
        """
        if self.places is not None:
            texts = [self.places[text] for text in texts]
        if not (unpadded and self.packs):
            return self(*self.batch(texts, device), shift)
        row = packing.pack(texts, device)
        hidden = packing.forward(self.backbone, row, shift)
        return self._finish(packing.pool(hidden, row, self.tokens))

    def unpadded(self, asked: bool) -> bool:
        """Return whether texts are encoded without padding where that is asked for."""
        if asked and not self.packs:
            kind = type(self.backbone).__name__
            logger.info(f"{kind}: texts are padded; only {' and '.join(packing.MODELS)} do without")
        return asked and self.packs

    def forward(self, ids: Tensor, mask: Tensor, shift: Tensor | None = None) -> Tensor:
        """Encode texts: token ids and attention mask (texts, tokens) to vectors (texts, width).

        `shift` (texts, tokens, width of a word embedding) is added to the word embeddings, but
        for padding, which must stand on the right.
        """
        given = {"input_ids": ids}
        if shift is not None:
            words = self.backbone.get_input_embeddings()(ids)
            given = {"inputs_embeds": words + shift * mask[..., None]}
        hidden = self.backbone(**given, attention_mask=mask).last_hidden_state
        return self._finish(hidden[:, 0] if self.tokens == "cls" else _mean(hidden, mask))

    def _finish(self, vectors: Tensor) -> Tensor:
        if self.dense is not None:
            vectors = torch.tanh(self.dense(vectors.to(self.dense.weight.dtype)))
        vectors = vectors.float()
        return nn.functional.normalize(vectors, dim=-1) if self.normalize else vectors

    def tokenize(self, texts: Sequence[str], length: int) -> list[list[int]]:
        """Return the token ids of texts, special tokens included, cut to `length`."""
        fast = self.tokenizer.backend_tokenizer  # it cuts and keeps what nobody here asks for
        fast.no_padding()
        fast.enable_truncation(min(length, self.longest), direction=self.tokenizer.truncation_side)
        fast.encode_special_tokens = self.tokenizer.split_special_tokens
        some = (list(texts[at : at + AT_A_TIME]) for at in range(0, len(texts), AT_A_TIME))
        return [text.ids for each in some for text in fast.encode_batch_fast(each)]

    def batch(self, texts: Sequence[Any], device: torch.device | str = "cpu") -> tuple[Tensor, ...]:
        """Pad token ids to their own longest: ids and mask, both (texts, tokens)."""
        lengths = torch.tensor([len(text) for text in texts])
        mask = torch.arange(int(lengths.max()))[None] < lengths[:, None]
        ids = torch.full(mask.shape, self.tokenizer.pad_token_id)
        ids[mask] = torch.from_numpy(np.concatenate(texts).astype(np.int64))
        return ids.to(device, non_blocking=True), mask.long().to(device, non_blocking=True)


def _mean(hidden: Tensor, mask: Tensor) -> Tensor:
    weights = mask[..., None].to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1)


def tell_precision(device: torch.device, precision: str) -> None:
    """Say so where bfloat16 is asked for and a processor has no instructions for it."""
    if precision != "bf16":
        return
    if device.type == "cuda":
        has = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        x86 = platform.machine().lower() in ("x86_64", "amd64")
        has = not x86 or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    if not has:
        logger.info("bf16: this processor has no instructions for it; fp32 may be quicker")


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Compute in bfloat16 where that is asked for."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def budgeted(lengths: np.ndarray, budget: int, *, unpadded: bool = False) -> Iterator[np.ndarray]:
    """Cut texts, longest first, into batches of at most `budget` tokens, with padding if any."""
    order = np.argsort(-lengths, kind="stable")
    before = np.concatenate([[0], lengths[order].cumsum()])
    at = 0
    while at < len(order):
        count = max(1, budget // max(1, int(lengths[order[at]])))
        if unpadded:
            count = max(1, int(np.searchsorted(before, before[at] + budget, "right")) - 1 - at)
        yield order[at : at + count]
        at += count


def set_dropout(encoder: Encoder, settings: Train) -> None:
    """Return an encoder the dropout that settings of training ask for; UserError as below."""
    if settings.attention_dropout is not None:
        set_attention_dropout(encoder, settings.attention_dropout)
    if settings.quick_dropout and not settings.torch_compile:
        quicken(encoder.backbone)


def set_attention_dropout(encoder: Encoder, share: float) -> None:
    """Set the share of attention weights that training drops; the encoder's files keep theirs.

    Raises UserError where no layer drops any.
    """
    layers = [
        module
        for module in encoder.backbone.modules()
        if type(module).__name__.endswith("SelfAttention")
        and isinstance(getattr(module, "dropout", None), nn.Dropout)
    ]
    if not layers:
        raise UserError(
            f"train.attention_dropout: {type(encoder.backbone).__name__} has no layer for it"
        )
    for layer in layers:
        layer.dropout.p = share


def forget_truncation(tokenizer: Any) -> None:
    """Drop what earlier calls left in a tokenizer, so that its files depend on nothing else."""
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()


def locate(source: str, revision: str | None = None, *, download: bool = True) -> Path:
    """Return the local folder of an encoder: the folder itself, or a hub id's snapshot.

    Only JSON, vocabularies and safetensors are downloaded, and without `download` nothing. Raises
    UserError where there is none.
    """
    if Path(source).is_dir():
        return Path(source)
    if source.startswith((".", "/", "~")) or source.count("/") != 1:
        raise UserError(
            f"there is no encoder folder {source}; name a folder, a hub id such as "
            "FacebookAI/xlm-roberta-base, or a preset"
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                source, revision=revision, allow_patterns=WANTED, local_files_only=not download
            )
        )
    except Exception as error:  # the hub's many kinds of "not there" and "no network"
        raise UserError(
            f"encoder {source} cannot be downloaded ({type(error).__name__}); fetch it where there "
            f"is network (`hf download {source}`) and give its folder with --encoder FOLDER",
            exit_code=1,
        ) from error


def load(
    folder: Path, *, pooling: str | None = None, fallback: str = "mean", normalize: bool = True
) -> Encoder:
    """Load an encoder from a folder in the transformers or sentence-transformers layout.

    `pooling` (mean, cls, dense) overrides what `modules.json` says, `fallback` where it says
    nothing. A
    dense layer that the files do not hold is made anew, its weights from a fixed seed. Loads
    safetensors only. Raises UserError for anything else.
    """
    from transformers import AutoModel, AutoTokenizer

    modules = _read_modules(folder)
    where = folder / modules.get("Transformer", "")
    if not (where / "config.json").exists():
        raise UserError(f"{folder} is no encoder: it holds no config.json")
    if not list(where.glob("*.safetensors")):
        raise UserError(
            f"{where} holds no {WEIGHTS}; hbr loads no pickles: save the model again with "
            "save_pretrained(…, safe_serialization=True)"
        )
    try:
        backbone = AutoModel.from_pretrained(
            where, use_safetensors=True, local_files_only=True, dtype=torch.float32
        )
        tokenizer = AutoTokenizer.from_pretrained(where, local_files_only=True)
        forget_truncation(tokenizer)
    except Exception as error:
        raise UserError(f"{where} cannot be loaded: {first_line(error)}") from error
    found = _read_pooling(folder, modules)
    return Encoder(
        backbone,
        tokenizer,
        _choose(found, pooling or (None if found else fallback), backbone.config.hidden_size),
        normalize=normalize,
    ).eval()


def _choose(found: Pooling | None, asked: str | None, width: int) -> Pooling:
    if asked is None:
        assert found is not None
        return found
    if asked != "dense":
        return Pooling(asked)
    if found and found.dense:
        return found
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Pooling("cls", nn.Linear(width, width))


def _read_modules(folder: Path) -> dict[str, str]:
    """Return the folder of each module by its kind, as sentence-transformers' modules.json says."""
    try:
        listed = json.loads((folder / "modules.json").read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UserError(f"{folder / 'modules.json'} is not JSON: {error}") from error
    modules = {module["type"].rpartition(".")[2]: module["path"] for module in listed}
    if unknown := sorted(set(modules) - {"Transformer", "Pooling", "Dense", "Normalize"}):
        raise UserError(f"{folder / 'modules.json'}: hbr has no module {', '.join(unknown)}")
    return modules


def _read_pooling(folder: Path, modules: dict[str, str]) -> Pooling | None:
    if "Pooling" not in modules:
        return None
    path = folder / modules["Pooling"] / "config.json"
    config = json.loads(path.read_text())
    old = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}
    modes = [config["pooling_mode"]] if "pooling_mode" in config else []
    modes += [mode for key, mode in old.items() if config.get(key)]
    modes += [key for key, on in config.items() if key.startswith("pooling_mode_") and on is True]
    modes = [mode for mode in modes if mode not in old]
    if len(modes) != 1 or modes[0] not in ("cls", "mean"):
        raise UserError(f"{path}: hbr pools by mean or cls, not by {modes}")
    return Pooling(modes[0], _read_dense(folder / modules["Dense"]) if "Dense" in modules else None)


def _read_dense(folder: Path) -> nn.Linear:
    config = json.loads((folder / "config.json").read_text())
    if config.get("activation_function") != DENSE_TANH:
        raise UserError(f"{folder / 'config.json'}: hbr's dense layer is followed by tanh only")
    if not (folder / WEIGHTS).exists():
        raise UserError(f"{folder} holds no {WEIGHTS}; hbr loads no pickles")
    layer = nn.Linear(config["in_features"], config["out_features"], bias=config["bias"])
    weights = load_file(folder / WEIGHTS)
    layer.load_state_dict({name.removeprefix("linear."): value for name, value in weights.items()})
    return layer


def save(encoder: Encoder, folder: Path, prefixes: dict[str, str], length: int) -> None:
    """Write an encoder so that transformers and sentence-transformers load it.

    `prefixes` become its prompts by name; `length` is the longest text it should be given.
    """
    forget_truncation(encoder.tokenizer)
    encoder.backbone.save_pretrained(folder)
    encoder.tokenizer.save_pretrained(folder)
    modules = [("Transformer", ""), ("Pooling", "1_Pooling")]
    pooling = {
        "word_embedding_dimension": encoder.backbone.config.hidden_size,
        "pooling_mode_cls_token": encoder.tokens == "cls",
        "pooling_mode_mean_tokens": encoder.tokens == "mean",
    }
    _write(folder / "1_Pooling" / "config.json", pooling)
    if encoder.dense is not None:
        modules.append(("Dense", "2_Dense"))
        _write_dense(folder / "2_Dense", encoder.dense)
    if encoder.normalize:
        modules.append(("Normalize", f"{len(modules)}_Normalize"))
        (folder / modules[-1][1]).mkdir(exist_ok=True)
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"{LIBRARY}.{kind}"}
        for i, (kind, path) in enumerate(modules)
    ]
    _write(folder / "modules.json", listed)
    length = min(length, encoder.longest)
    _write(folder / "sentence_bert_config.json", {"max_seq_length": length, "do_lower_case": False})
    prompts = {"prompts": prefixes, "default_prompt_name": None, "similarity_fn_name": "cosine"}
    _write(folder / "config_sentence_transformers.json", prompts)


def _write_dense(folder: Path, dense: nn.Linear) -> None:
    config = {
        "in_features": dense.in_features,
        "out_features": dense.out_features,
        "bias": dense.bias is not None,
        "activation_function": DENSE_TANH,
    }
    _write(folder / "config.json", config)
    weights = {f"linear.{name}": value.contiguous() for name, value in dense.state_dict().items()}
    save_file(weights, folder / WEIGHTS)


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")
