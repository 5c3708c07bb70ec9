"""The card of an encoder: what it is, how it was made, what it scores, how to load it."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from hbr.compare.table import Cell, name

Facts = Mapping[str, Any]

SHOWN = ("map", "recall@1", "recall@10", "rank_distance", "f1", "precision", "recall")
PRIVATE = re.compile("q[a-t][a-z]")  # ISO 639's codes for private use
HUB = re.compile(r"hf:(\w[\w.-]*/[\w.-]+)(@.+)?")
WHAT = """A dense retriever: one encoder for queries and passages in many languages, compared by
the dot product of their vectors. Made with `hbr`, hybrid batch retrieval; its batch samplers are
from Elmahdy, Lin and Ahmad, *Synergistic Approach for Simultaneous Optimization of Monolingual,
Cross-lingual, and Multilingual Information Retrieval*, 2024,
[arXiv 2408.10536](https://arxiv.org/abs/2408.10536)."""
SYNTHETIC = """**Synthetic:** it was trained or evaluated on made-up languages. That shows whether
a pipeline works, not how good the model is for any real language."""
LIMITS = """Limits: it was made to compare ways of mixing languages in training batches; nothing is
known of it beyond this page, and it keeps the biases of its data and of what it started from."""
USE = """```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("path/to/model")  # this folder, or its hub id
queries = model.encode(["Who wrote it?"], prompt_name="query")  # puts {query!r} in front
passages = model.encode(["She wrote it."], prompt_name="passage")  # puts {passage!r} in front
scores = queries @ passages.T
```"""
PLAIN_USE = """```python
import torch
from transformers import AutoModel, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("path/to/model")
model = AutoModel.from_pretrained("path/to/model").eval()
texts = [{query!r} + "Who wrote it?", {passage!r} + "She wrote it."]
batch = tokenizer(texts, padding=True, truncation=True, max_length={length}, return_tensors="pt")
with torch.no_grad():
    hidden = model(**batch).last_hidden_state
mask = batch["attention_mask"][..., None]
vectors = {vectors}
scores = vectors[:1] @ vectors[1:].T
```"""
POOLED = {"mean": "(hidden * mask).sum(1) / mask.sum(1)", "cls": "hidden[:, 0]"}


def card(
    config: Facts,
    train: Facts,
    results: Sequence[Facts],
    *,
    base_model: str | None = None,
    pooling: str | None = None,
) -> str:
    """Describe a run in Markdown under YAML front matter; equal runs get equal bytes.

    `config` holds all settings, `train` is what the manifest says of that stage, `results` are
    contents of `metrics.json`. `base_model` is the hub id of what the run started from, if it
    has one, and `pooling` what `pooling_of` says. What is not known is left out.
    """
    results = sorted(results, key=lambda r: (r["dataset"], r["search"]))
    encoder, sampler = config["encoder"], config["sampler"]["name"].rpartition(":")[2]
    trained = config["train"]["max_steps"] > 0
    sampler = sampler if trained else "untrained"
    data = config["data"]["train"] if trained else []
    languages = sorted({x for r in results for x in r.get("training", {}).get("languages", ())})
    facts = {
        "started from": base_model or _last(encoder["name"]),
        **(_training(config, train, languages) if data else {}),
        "pooling": pooling or "",
        "vectors": "of length 1" if encoder["normalize"] else "not normalised",
        "most tokens": "{query_max_seq_length} a query, {passage_max_seq_length} a passage".format(
            **encoder
        ),
        "made with": ", ".join(f"{k} {v}" for k, v in train.get("versions", {}).items()),
    }
    made_up = "embedded" in data or any("synthetic" in r["protocol"] for r in results)
    parts = [
        _front_matter(sampler, data, languages, base_model),
        f"# {facts['started from']}, {sampler}" + (" batches" if data else ""),
        *(WHAT, *([SYNTHETIC] if made_up else []), LIMITS),
        *("## How it was made", _table([("", ""), *(f for f in facts.items() if f[1])])),
        *(["## Results", *map(_result, results)] if results else []),
        *("## How to use it", *_snippets(encoder, pooling)),
    ]
    return "\n\n".join(parts) + "\n"


def pooling_of(folder: Path) -> str:
    """Return how a saved encoder pools: `mean` or `cls`, and perhaps ` with a dense layer`."""
    config = json.loads((folder / "1_Pooling" / "config.json").read_text())
    tokens = "cls" if config["pooling_mode_cls_token"] else "mean"
    return tokens + (" with a dense layer" if (folder / "2_Dense").exists() else "")


def _front_matter(
    sampler: str, data: Sequence[str], languages: Sequence[str], base_model: str | None
) -> str:
    content = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "language": [language for language in languages if not PRIVATE.fullmatch(language)],
        "tags": ["sentence-transformers", "dense-retrieval", "multilingual", "hbr", sampler],
        "base_model": base_model,
        "datasets": [found[1] for one in data if (found := HUB.fullmatch(one))],
    }
    known = {key: value for key, value in content.items() if value}
    return f"---\n{yaml.safe_dump(known, sort_keys=False)}---"


def _training(config: Facts, train: Facts, languages: Sequence[str]) -> dict[str, str]:
    data, how, objective = config["data"], config["train"], config["objective"]
    alpha = train["settings"]["sampler"].get("alpha", [])  # only of a sampler that has one
    alphas = " to ".join(f"{a:g}" for a in (alpha if isinstance(alpha, list) else [alpha]))
    size = " × ".join(
        str(n) for n in (how["gradient_accumulation_steps"], how["batch_size"]) if n > 1
    )
    loss = train["validation_loss"]
    lowest = f", of the lowest loss on {_last(data['validation'])}: {loss:.4f}" if loss else ""
    return {
        "training data": ", ".join(map(_last, data["train"])),
        "languages": ", ".join(languages),
        "sampler": config["sampler"]["name"] + (f", α = {alphas}" if alphas else ""),
        "objective": f"{objective['name']}, temperature {objective['temperature']:g}",
        "steps": f"{train['steps']:,}, each of {size} pairs",
        "weights": f"those of step {train['best_step']:,}{lowest}",
        "optimiser": f"AdamW, learning rate {how['learning_rate']:g}, weight decay {how['weight_decay']:g}",
        "precision": how["precision"],
        "seed": str(config["seed"]),
    }


def _result(result: Facts) -> str:
    settings = result["settings"]
    shown = [metric for metric in SHOWN if any(metric in values for values in settings.values())]
    lines = [(s, *(_cell(values, metric) for metric in shown)) for s, values in settings.items()]
    counts = f"{result['queries']:,} queries, {result['passages']:,} passages"
    how = f"Protocol: {result['protocol']}; {counts}; search: {result['search']}."
    table = _table([("setting", *map(name, shown)), *lines])
    return "\n\n".join([f"### {result['dataset']}", *_contamination(result), how, table])


def _contamination(result: Facts) -> list[str]:
    """Return the mark of a result on texts that were trained on, if any were."""
    found = result.get("training", {}).get("contamination", {})
    seen = [f"{found[kind]:,} of its {kind}" for kind in ("queries", "passages") if found.get(kind)]
    return [f"**Contaminated:** {' and '.join(seen)} are training texts."] if seen else []


def _cell(values: Mapping[str, float | None], metric: str) -> str:
    value = values.get(metric)
    return "" if value is None else Cell(value).text(metric)


def _table(lines: Sequence[Sequence[str]]) -> str:
    rule = ["---"] * len(lines[0])
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])


def _snippets(encoder: Facts, pooling: str | None) -> list[str]:
    """Show how to load it; transformers alone does not know of a dense layer."""
    prefixes = {"query": encoder["query_prompt"], "passage": encoder["passage_prompt"]}
    vectors = POOLED.get(pooling or "", "")
    if not vectors:
        return [USE.format(**prefixes)]
    if encoder["normalize"]:
        vectors = f"torch.nn.functional.normalize({vectors}, dim=-1)"
    plain = PLAIN_USE.format(**prefixes, vectors=vectors, length=encoder["passage_max_seq_length"])
    return [USE.format(**prefixes), "Or with transformers alone:", plain]


def _last(source: str) -> str:
    """Name data or an encoder without the folders it lies in."""
    return source if HUB.fullmatch(source) else Path(source.removesuffix("/model")).name
