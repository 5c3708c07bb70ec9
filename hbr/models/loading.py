"""Encoders read from folders and written to them.

An encoder's folder is at once a `transformers` and a `sentence-transformers` model: backbone and
tokenizer at the top, `modules.json` naming pooling, dense layer and normalization.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from hbr.core.errors import UserError, first_line
from hbr.models.encoder import Encoder, Pooling

LIBRARY = "sentence_transformers.models"
DENSE_TANH = "torch.nn.modules.activation.Tanh"
WEIGHTS = "model.safetensors"


def load(
    folder: Path, *, pooling: str | None = None, fallback: str = "mean", normalize: bool = True
) -> Encoder:
    """Load an encoder from a folder in the transformers or sentence-transformers layout.

    `pooling` (mean, cls, dense) overrides what `modules.json` says; `fallback` is used where it
    says nothing. A dense layer that the files do not hold is made anew, its weights from a fixed
    seed. Only safetensors are loaded. Raises UserError for anything else.
    """
    from transformers import AutoModel, AutoTokenizer

    modules = _read_modules(folder)
    path = folder / modules.get("Transformer", "")
    if not (path / "config.json").exists():
        raise UserError(f"{folder} is no encoder: it holds no config.json")
    if not list(path.glob("*.safetensors")):
        raise UserError(
            f"{path} holds no {WEIGHTS}; hbr loads no pickles: save the model again with "
            "save_pretrained(…, safe_serialization=True)"
        )
    try:
        backbone = AutoModel.from_pretrained(
            path, use_safetensors=True, local_files_only=True, dtype=torch.float32
        )
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        reset_tokenizer(tokenizer)
    except Exception as error:
        raise UserError(f"{path} cannot be loaded: {first_line(error)}") from error
    stored = _read_pooling(folder, modules)
    chosen = _choose_pooling(stored, pooling, fallback, backbone.config.hidden_size)
    return Encoder(backbone, tokenizer, chosen, normalize=normalize).eval()


def save(encoder: Encoder, folder: Path, prompts: dict[str, str], max_seq_length: int) -> None:
    """Write an encoder so that transformers and sentence-transformers load it.

    `prompts` are stored by name; `max_seq_length` is that of queries and passages alike.
    """
    reset_tokenizer(encoder.tokenizer)
    encoder.backbone.save_pretrained(folder)
    encoder.tokenizer.save_pretrained(folder)
    modules = [("Transformer", ""), ("Pooling", "1_Pooling")]
    pooling = {
        "word_embedding_dimension": encoder.backbone.config.hidden_size,
        "pooling_mode_cls_token": encoder.pooling_mode == "cls",
        "pooling_mode_mean_tokens": encoder.pooling_mode == "mean",
    }
    _write_json(folder / "1_Pooling" / "config.json", pooling)
    if encoder.dense is not None:
        modules.append(("Dense", "2_Dense"))
        _write_dense(folder / "2_Dense", encoder.dense)
    if encoder.normalize:
        modules.append(("Normalize", f"{len(modules)}_Normalize"))
        (folder / modules[-1][1]).mkdir(exist_ok=True)
    entries = [
        {"idx": i, "name": str(i), "path": path, "type": f"{LIBRARY}.{kind}"}
        for i, (kind, path) in enumerate(modules)
    ]
    _write_json(folder / "modules.json", entries)
    length = min(max_seq_length, encoder.max_seq_length)
    lengths = {"max_seq_length": length, "do_lower_case": False}
    _write_json(folder / "sentence_bert_config.json", lengths)
    config = {"prompts": prompts, "default_prompt_name": None, "similarity_fn_name": "cosine"}
    _write_json(folder / "config_sentence_transformers.json", config)


def reset_tokenizer(tokenizer: Any) -> None:
    """Undo the truncation and padding of earlier calls, which would be saved with a tokenizer."""
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()


def _choose_pooling(
    stored: Pooling | None, pooling: str | None, fallback: str, hidden_size: int
) -> Pooling:
    if stored and (pooling is None or (pooling == "dense" and stored.dense)):
        return stored
    mode = pooling or fallback
    if mode != "dense":
        return Pooling(mode)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Pooling("cls", nn.Linear(hidden_size, hidden_size))


def _read_modules(folder: Path) -> dict[str, str]:
    """Return the folder of each module by its kind, as sentence-transformers' modules.json says."""
    try:
        entries = json.loads((folder / "modules.json").read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UserError(f"{folder / 'modules.json'} is not JSON: {error}") from error
    modules = {module["type"].rpartition(".")[2]: module["path"] for module in entries}
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
    enabled = [key for key, on in config.items() if key.startswith("pooling_mode_") and on is True]
    modes += [old.get(key, key) for key in enabled]
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


def _write_dense(folder: Path, dense: nn.Linear) -> None:
    config = {
        "in_features": dense.in_features,
        "out_features": dense.out_features,
        "bias": dense.bias is not None,
        "activation_function": DENSE_TANH,
    }
    _write_json(folder / "config.json", config)
    weights = {f"linear.{name}": value.contiguous() for name, value in dense.state_dict().items()}
    save_file(weights, folder / WEIGHTS)


def _write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")
