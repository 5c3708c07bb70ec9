"""The job of `end_to_end.py` as a user of sentence-transformers and pytrec_eval writes it.

python benchmarks/by_hand.py ENCODER TRAIN.jsonl EVALUATION_FOLDER OUTPUT STEPS PRECISION
"""

import argparse
import json
import random
from collections import defaultdict
from itertools import product
from pathlib import Path

import numpy as np
import pytrec_eval
import torch
from datasets import Dataset, DatasetDict
from scipy.stats import ttest_rel
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
    losses,
)

BATCH, RATE, DEPTH = 32, 1e-4, 1000
QUERY, PASSAGE = "query: ", "passage: "


def training_data(path: Path, sampler: str) -> DatasetDict:
    """Pairs in one language, a data set a language; or in two, drawn for each row."""
    rows = [json.loads(line) for line in path.open(encoding="utf-8")]
    languages, rng = sorted(rows[0]["query"]), random.Random(0)
    pairs = defaultdict(list)
    for row in rows:
        for language in languages:
            if sampler == "monolingual":
                pairs[language].append((row["query"][language], row["passage"][language]))
            else:
                other = rng.choice([code for code in languages if code != language])
                pairs["all"].append((row["query"][language], row["passage"][other]))
    for some in pairs.values():
        rng.shuffle(some)  # else all languages' batches hold the same few rows
    return DatasetDict(
        {
            name: Dataset.from_dict(
                {"anchor": [a for a, _ in some], "positive": [b for _, b in some]}
            )
            for name, some in pairs.items()
        }
    )


def train(
    encoder: str, path: Path, sampler: str, folder: Path, steps: int, precision: str
) -> SentenceTransformer:
    """Train by in-batch negatives."""
    model = SentenceTransformer(encoder, device="cpu")
    model.max_seq_length = 128
    arguments = SentenceTransformerTrainingArguments(
        str(folder / sampler),
        per_device_train_batch_size=BATCH,
        max_steps=steps,
        learning_rate=RATE,
        warmup_ratio=0.1,
        bf16=precision == "bf16",
        use_cpu=True,
        prompts={"anchor": QUERY, "positive": PASSAGE},
        batch_sampler="no_duplicates",
        multi_dataset_batch_sampler="proportional",
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )
    data = training_data(path, sampler)
    loss = losses.MultipleNegativesRankingLoss(model, scale=20)
    SentenceTransformerTrainer(model, arguments, train_dataset=data, loss=loss).train()
    return (model.bfloat16() if precision == "bf16" else model).eval()


def evaluation_data(folder: Path) -> tuple[dict, dict, dict]:
    """Read LAReQA's layout: queries, candidate sentences and answers by language."""
    queries, passages, answers = {}, {}, {}
    for path in sorted(folder.glob("*.json")):
        language = path.stem
        queries[language], passages[language], answers[language] = {}, {}, {}
        for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
            for paragraph in article["paragraphs"]:
                first = len(passages[language])
                for number, (start, end) in enumerate(paragraph["sentence_breaks"], first):
                    passages[language][f"{language}-{number}"] = paragraph["context"][start:end]
                for question in paragraph["qas"]:
                    at = question["answers"][0]["answer_start"]
                    for number, (start, end) in enumerate(paragraph["sentence_breaks"], first):
                        if start <= at < end:
                            queries[language][question["id"]] = question["question"]
                            answers[language][question["id"]] = f"{language}-{number}"
    return queries, passages, answers


def evaluate(model: SentenceTransformer, folder: Path) -> dict[str, dict[str, float]]:
    """Return mAP@20 by query in the three settings, and rank distance in the pool."""
    queries, passages, answers = evaluation_data(folder)

    def encode(texts: dict[str, str], prompt: str) -> torch.Tensor:
        vectors = model.encode(
            list(texts.values()), prompt=prompt, batch_size=32, convert_to_tensor=True,
            normalize_embeddings=True, show_progress_bar=False,
        )  # fmt: skip
        return vectors.float()

    asked = {code: encode(texts, QUERY) for code, texts in queries.items()}
    told = {code: encode(texts, PASSAGE) for code, texts in passages.items()}
    values: dict[str, dict[str, float]] = {"mono": {}, "cross": {}, "multi": {}, "distance": {}}

    def scores(code: str, pool: list[str], relevant: dict[str, dict[str, int]]) -> dict[str, float]:
        ids = [id for language in pool for id in passages[language]]
        found = asked[code] @ torch.cat([told[language] for language in pool]).T
        best = found.topk(min(DEPTH, len(ids)))
        run = {
            query: {ids[place]: score for place, score in zip(places, row, strict=True)}
            for query, places, row in zip(
                queries[code], best.indices.tolist(), best.values.tolist(), strict=True
            )
        }
        if len(pool) > 1:
            place_of = {id: place for place, id in enumerate(ids)}
            ranks = found.argsort(descending=True, stable=True).argsort()
            for row, query in enumerate(queries[code]):
                places = [int(ranks[row, place_of[id]]) for id in relevant[query]]
                values["distance"][f"{code} {query}"] = max(places) - min(places)
        evaluator = pytrec_eval.RelevanceEvaluator(relevant, {"map_cut.20"})
        return {query: one["map_cut_20"] for query, one in evaluator.evaluate(run).items()}

    for code, other in product(queries, queries):
        relevant = {query: {answers[other][query]: 1} for query in queries[code]}
        setting = "mono" if code == other else "cross"
        for query, value in scores(code, [other], relevant).items():
            values[setting][f"{code} {other} {query}"] = value
    for code in queries:
        relevant = {query: {answers[o][query]: 1 for o in queries} for query in queries[code]}
        for query, value in scores(code, list(queries), relevant).items():
            values["multi"][f"{code} {query}"] = value
    return values


def main() -> None:
    """Train both, evaluate both, and compare them by a paired t test over questions."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("encoder", "data", "evaluation", "output", "steps", "precision"):
        parser.add_argument(name)
    given = parser.parse_args()
    results = {}
    for sampler in ("monolingual", "cross-lingual"):
        output, steps = Path(given.output), int(given.steps)
        model = train(given.encoder, Path(given.data), sampler, output, steps, given.precision)
        results[sampler] = evaluate(model, Path(given.evaluation))
    for setting in ("mono", "cross", "multi", "distance"):
        concepts = defaultdict(lambda: ([], []))
        for side, values in enumerate(results.values()):
            for key, value in values[setting].items():
                concepts[key.split()[-1]][side].append(value)
        one, other = (np.array([np.mean(c[side]) for c in concepts.values()]) for side in (0, 1))
        print(
            f"{setting:9} {one.mean():.4f} {other.mean():.4f} p {ttest_rel(one, other).pvalue:.4f}"
        )


if __name__ == "__main__":
    main()
