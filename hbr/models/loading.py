"""Encoders read from folders and written to them.

An encoder's folder is at once a `transformers` and a `sentence-transformers` model: backbone and
tokenizer at the top, `modules.json` naming pooling, dense layer and normalization.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import normalizers
from torch import nn

from hbr.core.errors import UserError, first_line
from hbr.models.adapter import load_adapter
from hbr.models.encoder import Dense, Encoder, Normalize, Pooling
from hbr.models.folder import POOLINGS, DenseConfig, EncoderFolder, read_folder
from hbr.models.sources import hub_name, read_encoder

logger = logging.getLogger(__name__)

LIBRARY = "sentence_transformers.models"
WEIGHTS = "model.safetensors"
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")


def load(
    folder: Path,
    *,
    pooling: str | None = None,
    fallback: str = "mean",
    normalize: bool | None = None,
) -> Encoder:
    """Load an encoder from a folder in the transformers or sentence-transformers layout.

    `pooling` (a mode, or dense) overrides what the files say; `fallback` is used where they say
    nothing. Without `normalize`, the files decide. A dense layer that they do not hold is made
    anew, its weights from a fixed seed. An adapter is merged into its encoder. Only safetensors are
    loaded, and no code. Raises UserError for what cannot be honoured, for weights that are not
    there, and for what encodes no text.
    """
    logger.info(f"loading the encoder in {folder}")
    files, base = read_encoder(folder)
    backbone = _load_backbone(read_folder(base).path if base else files.path)
    if base:
        backbone = load_adapter(backbone, read_folder(folder).path)
    tokenizer = _load_tokenizer(files)
    chosen = _choose_pooling(files, pooling, fallback, backbone.config.hidden_size)
    if normalize is None:
        normalize = files.resolved()["normalize"]
    encoder = Encoder(backbone, tokenizer, chosen, normalize=normalize).eval()
    encoder.lower_case, encoder.files = files.transformer.do_lower_case, folder
    try:
        with torch.inference_mode():
            vectors = encoder(*encoder.pad([[0], [0, 0, 0]]))
        works = vectors.shape == (2, encoder.embedding_dimension)
        reason = "" if works else f"it gives {tuple(vectors.shape)} numbers for two texts"
    except Exception as error:
        reason = first_line(error)
    if reason:
        raise UserError(f"{folder}: {type(backbone).__name__} encodes no text here: {reason}")
    return encoder


def _load_backbone(path: Path) -> Any:
    from transformers import AutoModel

    if not (path / "config.json").exists():
        raise UserError(f"{path} is no encoder: it holds no config.json")
    if not list(path.glob("*.safetensors")):
        raise UserError(
            f"{path} holds no {WEIGHTS}; hbr loads no pickles: save the model again with "
            "save_pretrained(…, safe_serialization=True)"
        )
    try:
        backbone, keys = AutoModel.from_pretrained(
            path,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,  # they are named below
            output_loading_info=True,
        )
    except Exception as error:
        raise UserError(f"{path} cannot be loaded: {first_line(error)}") from error
    if backbone.config.is_encoder_decoder:
        raise UserError(f"{path}: {type(backbone).__name__} has a decoder; hbr takes encoders only")
    prefix, parts = f"{backbone.base_model_prefix}.", dict(backbone.named_children())
    extra = [key.removeprefix(prefix) for key in keys["unexpected_keys"]]
    faults = {
        "no weights for": keys["missing_keys"],
        "weights of another size for": [key for key, *_ in keys["mismatched_keys"]],
        "weights that its config has no place for:": [
            key for key in extra if key.partition(".")[0] in parts and not key.endswith("_ids")
        ],
    }
    for fault, found in faults.items():
        if names := sorted(key for key in found if not key.startswith("pooler.")):
            rest = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise UserError(f"{path} has {fault} {names[0]}{rest}; it is damaged or incomplete")
    return backbone


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer of an encoder's folder alone."""
    return _load_tokenizer(read_folder(folder))


def _load_tokenizer(files: EncoderFolder) -> Any:
    from transformers import AutoTokenizer

    path = files.path
    if not any(found for pattern in VOCABULARIES for found in path.glob(pattern)):
        raise UserError(f"{path} holds no tokenizer; save it with tokenizer.save_pretrained(…)")
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            path, local_files_only=True, trust_remote_code=False
        )
        reset_tokenizer(tokenizer)
    except Exception as error:
        raise UserError(f"{path}: its tokenizer cannot be loaded: {first_line(error)}") from error
    if files.transformer.do_lower_case:
        fast = tokenizer.backend_tokenizer
        before = [fast.normalizer] if fast.normalizer else []
        fast.normalizer = normalizers.Sequence([normalizers.Lowercase(), *before])
    return tokenizer


def save(encoder: Encoder, folder: Path, prompts: Mapping[str, str], *lengths: int) -> None:
    """Write an encoder so that transformers and sentence-transformers load it.

    `prompts` are stored by name; `lengths` are the most tokens of a query and of a passage, or of
    both. Of an encoder with an adapter, the adapter alone is written, which names the encoder.
    """
    reset_tokenizer(encoder.tokenizer)
    if encoder.adapter:
        encoder.adapter.save(folder, *hub_name(encoder.files))
    else:
        encoder.backbone.save_pretrained(folder)
    encoder.tokenizer.save_pretrained(folder)
    modules = [("Transformer", ""), ("Pooling", "1_Pooling")]
    modes: dict[str, Any] = {key: mode in encoder.modes for mode, key in POOLINGS.items()}
    if list(encoder.modes) != [mode for mode in POOLINGS if mode in encoder.modes]:
        modes = {"pooling_mode": list(encoder.modes)}  # flags would say another order
    width = {"word_embedding_dimension": encoder.backbone.config.hidden_size}
    _write_json(folder / "1_Pooling" / "config.json", width | modes)
    normalize = [Normalize()] if encoder.normalize else []
    for number, layer in enumerate([*encoder.layers, *normalize], 2):
        modules.append((type(layer).__name__, f"{number}_{type(layer).__name__}"))
        place = folder / modules[-1][1]
        place.mkdir(exist_ok=True)
        if isinstance(layer, Dense):
            _write_dense(place, layer)
    entries = [
        {"idx": i, "name": str(i), "path": path, "type": f"{LIBRARY}.{kind}"}
        for i, (kind, path) in enumerate(modules)
    ]
    _write_json(folder / "modules.json", entries)
    query, passage = (min(n, encoder.max_seq_length) for n in (lengths * 2)[:2])
    longest = {"max_seq_length": max(query, passage), "do_lower_case": encoder.lower_case}
    if query != passage:
        longest |= {"query_length": query, "document_length": passage}
    _write_json(folder / "sentence_bert_config.json", longest)
    config: dict[str, Any] = {
        "prompts": {**prompts, **({"document": prompts["passage"]} if prompts else {})},
        "default_prompt_name": None,
        "similarity_fn_name": "cosine" if encoder.normalize else "dot",
    }
    if encoder.truncate_dim:
        config["truncate_dim"] = encoder.truncate_dim
    _write_json(folder / "config_sentence_transformers.json", config)


def reset_tokenizer(tokenizer: Any) -> None:
    """Undo the truncation and padding of earlier calls, which would be saved with a tokenizer."""
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()


def _choose_pooling(
    files: EncoderFolder, pooling: str | None, fallback: str, hidden_size: int
) -> Pooling:
    truncate_dim, mode = files.model.truncate_dim, pooling or fallback
    dense = any(config for _, config in files.layers)
    if files.pooling and (pooling is None or (pooling == "dense" and dense)):
        layers = [_read_dense(p, config) if config else Normalize() for p, config in files.layers]
        if layers and isinstance(layers[-1], Normalize):
            layers.pop()  # `normalize` decides on the last one
        return Pooling(files.pooling, tuple(layers), truncate_dim)
    if mode != "dense":
        return Pooling((mode,), (), truncate_dim)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Pooling(("cls",), (Dense(nn.Linear(hidden_size, hidden_size)),), truncate_dim)


def _read_dense(folder: Path, config: DenseConfig) -> Dense:
    name = config.activation_function or "torch.nn.modules.linear.Identity"
    activation = getattr(nn, name.rpartition(".")[2], None)
    if not name.startswith("torch.nn.") or not isinstance(activation, type):
        raise UserError(f"{folder / 'config.json'}: activation_function: torch has no {name}")
    if not (folder / WEIGHTS).exists():
        raise UserError(f"{folder} holds no {WEIGHTS}; hbr loads no pickles")
    try:
        layer = Dense(nn.Linear(config.in_features, config.out_features, config.bias), activation())
        layer.load_state_dict(load_file(folder / WEIGHTS))
    except Exception as error:
        raise UserError(f"{folder} cannot be loaded: {' '.join(str(error).split())}") from error
    return layer


def _write_dense(folder: Path, layer: Dense) -> None:
    kind = type(layer.activation_function)
    config = {
        "in_features": layer.linear.in_features,
        "out_features": layer.linear.out_features,
        "bias": layer.linear.bias is not None,
        "activation_function": f"{kind.__module__}.{kind.__qualname__}",
    }
    _write_json(folder / "config.json", config)
    weights = {name: value.contiguous() for name, value in layer.state_dict().items()}
    save_file(weights, folder / WEIGHTS)


def _write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
