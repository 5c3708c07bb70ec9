"""The model card of an encoder: what it is, how it was made, what it scores, how to load it."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hbr.compare.fairness import contamination
from hbr.compare.results import training_languages
from hbr.compare.table import SUMMARY, name
from hbr.models.folder import read_folder
from hbr.report.formats.markdown import escape
from hbr.report.terminal import number

Facts = Mapping[str, Any]

TEMPLATE = Path(__file__).with_name("card.md.j2")
PRIVATE = re.compile("q[a-t][a-z]")  # ISO 639's codes for private use
HUB = re.compile(r"hf:(\w[\w.-]*/[\w.-]+)(@.+)?")
POOLING = {"mean": "(hidden * mask).sum(1) / mask.sum(1)", "cls": "hidden[:, 0]"}


def card(
    config: Facts,
    train: Facts,
    results: Sequence[Facts],
    *,
    base_model: str | None = None,
    pooling: str | None = None,
) -> str:
    """Return Markdown under YAML front matter that describes a run; equal runs get equal bytes.

    `config` holds all settings, `train` is that stage's entry in the manifest, `results` are
    contents of `metrics.json`. `base_model` is the hub id of what the run started from, if it has
    one, and `pooling` what `pooling_of` returns. What is not known is left out.
    """
    from huggingface_hub import ModelCard, ModelCardData

    results = sorted(results, key=lambda r: (r["dataset"], r["search"]))
    encoder, trained = config["encoder"], config["train"]["max_steps"] > 0
    sampler = config["sampler"]["name"].rpartition(":")[2] if trained else "untrained"
    data = config["data"]["train"] if trained else []
    languages = sorted(training_languages(results))
    facts = _facts(config, train, languages, base_model, pooling)
    front_matter = ModelCardData(
        library_name="sentence-transformers",
        pipeline_tag="sentence-similarity",
        language=[code for code in languages if not PRIVATE.fullmatch(code)] or None,
        tags=["sentence-transformers", "dense-retrieval", "multilingual", "hbr", sampler],
        base_model=base_model,
        datasets=[match[1] for source in data if (match := HUB.fullmatch(source))] or None,
    )
    content = ModelCard.from_template(
        front_matter,
        str(TEMPLATE),
        sampler=sampler,
        trained=bool(data),
        base=escape(_base(config, base_model)),
        facts={k: escape(v) for k, v in facts.items()},
        synthetic="embedded" in data or any("synthetic" in r["protocol"] for r in results),
        results=list(map(_result, results)),
        query=repr(encoder["query_prompt"]),
        passage=repr(encoder["passage_prompt"]),
        vectors=_vectors(encoder, pooling),
        max_length=encoder["passage_max_seq_length"],
    ).content
    return f"{content}\n"


def pooling_of(folder: Path) -> str:
    """Return how a saved encoder pools: `mean`, say, and perhaps ` with a dense layer`."""
    files = read_folder(folder)
    dense = any(config for _, config in files.layers)
    return " and ".join(files.pooling or ()) + (" with a dense layer" if dense else "")


def _facts(
    config: Facts,
    train: Facts,
    languages: Sequence[str],
    base_model: str | None,
    pooling: str | None,
) -> dict[str, str]:
    encoder = config["encoder"]
    lengths = encoder["query_max_seq_length"], encoder["passage_max_seq_length"]
    trained = config["train"]["max_steps"] > 0 and config["data"]["train"]
    before = config["train"]["start_from"]
    base = _base(config, base_model)
    dims = config["train"]["matryoshka_dims"] or ()
    cut = f"; trained to be cut to {', '.join(map(str, dims))}" if dims else ""
    return {
        "started from": f"{_basename(before)}, a run of {base}" if before else base,
        **(_training(config, train, languages) if trained else {}),
        "pooling": pooling or "",
        "vectors": ("of length 1" if encoder["normalize"] else "not normalised") + cut,
        "most tokens": f"{lengths[0]} a query, {lengths[1]} a passage",
        "made with": ", ".join(f"{k} {v}" for k, v in train.get("versions", {}).items()),
    }


OPTIMISERS = {"adamw": "AdamW", "adamw_8bit": "AdamW in 8 bits"}


def _training(config: Facts, train: Facts, languages: Sequence[str]) -> dict[str, str]:
    data, settings, objective = config["data"], config["train"], config["objective"]
    alpha = train["settings"]["sampler"].get("alpha", [])  # only of a sampler that has one
    alphas = " to ".join(f"{a:g}" for a in (alpha if isinstance(alpha, list) else [alpha]))
    factors = settings["gradient_accumulation_steps"], settings["batch_size"]
    size = " × ".join(str(factor) for factor in factors if factor > 1)
    loss, rate, decay = (
        train["validation_loss"],
        settings["learning_rate"],
        settings["weight_decay"],
    )
    optimiser = OPTIMISERS[settings["optimizer"]]
    lowest = f", of the lowest loss on {_basename(data['validation'])}: {loss:.4f}" if loss else ""
    return {
        "training data": ", ".join(map(_basename, data["train"])),
        "languages": ", ".join(languages),
        "sampler": config["sampler"]["name"] + (f", α = {alphas}" if alphas else ""),
        "objective": f"{objective['name']}, temperature {objective['temperature']:g}",
        **_extras(config, train["settings"]),
        "steps": f"{train['steps']:,}, each of {size} pairs",
        "weights": f"those of step {train['best_step']:,}{lowest}",
        "optimiser": f"{optimiser}, learning rate {rate:g}, weight decay {decay:g}",
        "precision": settings["precision"],
        "seed": str(config["seed"]),
    }


def _extras(config: Facts, deciding: Facts) -> dict[str, str]:
    """Return what some runs have: mined negatives, a teacher, an adapter; `deciding` names it."""
    start, mined = "the encoder it started from", deciding.get("mine")
    teacher, adapter = deciding.get("teacher"), deciding.get("adapter")
    return {
        "hard negatives": f"{config['objective']['num_negatives']} a row, "
        f"mined with {_basename(mined['miner'] or start)}"
        if mined
        else "",
        "teacher": _basename(teacher["name"] or start) if teacher else "",
        "adapter": f"LoRA, rank {adapter['rank']}, α = {adapter['lora_alpha']:g}"
        if adapter
        else "",
    }


def _base(config: Facts, base_model: str | None) -> str:
    return base_model or _basename(config["encoder"]["name"])


def _result(result: Facts) -> dict[str, Any]:
    """Return a result with the rows of its table, and how much of its data was trained on."""
    settings = result["settings"]
    metrics = [metric for metric in SUMMARY if any(metric in v for v in settings.values())]
    rows = [["setting", *map(name, metrics)], ["---"] * (1 + len(metrics))]
    for setting, values in settings.items():
        cells = [values.get(metric) for metric in metrics]
        numbers = ["" if v is None else number(v, m) for v, m in zip(cells, metrics, strict=True)]
        rows.append([setting, *numbers])
    texts = {key: escape(result[key]) for key in ("dataset", "protocol")}
    return {**result, **texts, "rows": rows, "contamination": contamination(result)}


def _vectors(encoder: Facts, pooling: str | None) -> str:
    """Return the pooling in Python; "" where transformers alone cannot, as with a dense layer."""
    vectors = POOLING.get(pooling or "", "")
    normalized = vectors and encoder["normalize"]
    return f"torch.nn.functional.normalize({vectors}, dim=-1)" if normalized else vectors


def _basename(source: str) -> str:
    """Return the name of data or of an encoder without the folders it lies in."""
    return source if HUB.fullmatch(source) else Path(source.removesuffix("/model")).name
