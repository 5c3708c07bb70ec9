"""Evaluation by MTEB itself, and its numbers by query, as hbr's tests take them.

MTEB encodes by the run's encoder, searches, scores and writes its own files. From the predictions
that it leaves follow its numbers by query, by the same code: trec_eval for retrieval, and for
bitext mining the terms of its weighted means. One whose mean is not MTEB's is left out.
"""

import json
import logging
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hbr.core.progress import Progress
from hbr.data.readers.mteb import Part, Stratum, part, quiet, strata
from hbr.evaluation.bias import spread
from hbr.evaluation.metrics import MTEB_MAIN
from hbr.evaluation.retriever import Retriever

logger = logging.getLogger(__name__)

ROUNDING = 6e-6  # MTEB rounds most scores to five decimals
MAIN = "main_score"
ROLES = {"query": "query", "document": "passage"}  # of MTEB's types of prompts
TREC = {  # MTEB's names in trec_eval
    **{"ndcg": "ndcg_cut", "map": "map_cut", "recall": "recall"},
    **{"precision": "P", "hit_rate": "success"},
}
KEPT = (  # beside the main score; MTEB's file has all
    *("ndcg_at_10", "map_at_10", "mrr_at_10"),
    *("recall_at_1", "recall_at_10", "recall_at_100"),
)
MINED = ("f1", "precision", "recall", "accuracy")
FOLDER, PREDICTIONS = "mteb", "predictions"  # MTEB's cache of results, and what it predicted
ByQuery = dict[str, dict[str, float]]  # by MTEB's name of the metric, then by query
Predictions = Mapping[str, Any]


class Scored(NamedTuple):
    """A stratum with MTEB's scores and its numbers by query."""

    stratum: Stratum
    scores: Mapping[str, float]
    by_query: ByQuery

    def agrees(self, name: str) -> bool:
        """Whether the mean over queries is MTEB's score."""
        values = self.by_query.get(name)
        return bool(values and abs(fmean(values.values()) - self.scores[name]) <= ROUNDING)


class MtebEncoder:
    """A run's encoder as MTEB calls it: its prompts and lengths for queries and for documents.

    Where MTEB does not say which of the two a text is, as in bitext mining, it has no prompt, as
    with MTEB's own wrapper of sentence-transformers. Vectors are compared by inner product.
    """

    def __init__(self, retriever: Retriever, meta: Any) -> None:
        self.retriever, self.mteb_model_meta = retriever, meta

    def encode(self, inputs: Any, *, prompt_type: Any = None, **_: Any) -> np.ndarray:
        """Return the vectors of the texts in a data loader: (texts, width)."""
        texts = [text for batch in inputs for text in batch["text"]]
        kind = prompt_type.value if prompt_type else None
        if kind:
            tokens = self.retriever.tokenize(ROLES[kind], texts)
        else:
            inputs_of = self.retriever.config.encoder.inputs
            longest = max(inputs_of(role)[1] for role in ROLES.values())
            tokens = self.retriever.encoder.tokenize(texts, longest)
        with Progress(f"encoding for MTEB: {kind or 'sentences'}", len(texts), "texts") as progress:
            return self.retriever.vectors(tokens, progress)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> np.ndarray:
        """Return the inner products of all pairs: (first, second)."""
        return np.asarray(embeddings1) @ np.asarray(embeddings2).T

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> np.ndarray:
        """Return the inner product of each pair: (pairs,)."""
        return (np.asarray(embeddings1) * np.asarray(embeddings2)).sum(-1)


def evaluate(
    folder: Path,
    task: Any,
    retriever: Retriever,
    model: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> None:
    """Fill a folder with MTEB's results and predictions on a loaded task, and what hbr reads.

    `model` has the fields of MTEB's `ModelMeta`; `facts` stand in `metrics.json` as they are. Of a
    killed attempt the subsets that MTEB had finished are kept.
    """
    import mteb
    from mteb.models import ModelMeta

    _drop_torn(folder)
    with quiet():
        result = mteb.evaluate(
            MtebEncoder(retriever, ModelMeta(**model)),
            task,
            cache=mteb.ResultCache(folder / FOLDER),
            prediction_folder=folder / PREDICTIONS,
            encode_kwargs={"batch_size": 1024, "show_progress_bar": False},  # of the data loader
            show_progress_bar=False,
            co2_tracker=False,
        )[0]
    scored = _scored(task, result.scores, folder / PREDICTIONS / task.prediction_file_name)
    main = task.metadata.main_score
    names = [MAIN, *_kept(task, scored[0].scores)]
    exact = [name for name in names if all(one.agrees(name) for one in scored)]
    if lacking := [name for name in names if name not in exact]:
        why = "of its own: there are no values by query, and no tests"
        logger.warning(f"{task.metadata.name} has a {' and '.join(lacking)} {why}")
    metrics = {
        **facts,
        "protocol": f"MTEB {mteb.__version__}, {' and '.join(task.eval_splits)}, main score {main}",
        "search": "exact",
        "mteb": {"task": task.metadata.name, MAIN: main, "score": float(result.get_score())},
        **_averages(scored, names, exact),
    }
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1), "utf-8")
    pq.write_table(_table(scored, exact), folder / "per_query.parquet")


def _drop_torn(folder: Path) -> None:
    """Remove what a killed attempt left where a file of it is not whole."""
    places = [folder / FOLDER, folder / PREDICTIONS]
    try:
        for file in (file for place in places for file in place.rglob("*.json")):
            json.loads(file.read_text("utf-8"))
    except ValueError:
        for place in places:
            shutil.rmtree(place, ignore_errors=True)


def _scored(task: Any, scores: Mapping[str, Any], predictions: Path) -> list[Scored]:
    found = json.loads(predictions.read_text("utf-8"))
    theirs = {(split, one["hf_subset"]): one for split, all in scores.items() for one in all}
    scored = []
    for stratum in strata(task):
        of_stratum, data = theirs[stratum.split, stratum.subset], part(task, stratum)
        by_query = _by_query(task, stratum, data, of_stratum, found)
        main = by_query.get(task.metadata.main_score)
        by_query |= {MAIN: main} if main else {}
        scored.append(Scored(stratum, of_stratum, by_query))
    return scored


def _kept(task: Any, scores: Mapping[str, Any]) -> list[str]:
    """Return the metrics that are kept beside the main score, by MTEB's names."""
    if task.metadata.type == "BitextMining":
        return [*MINED]
    return [name for name in KEPT if name in scores]


def _by_query(
    task: Any, stratum: Stratum, data: Part, scores: Mapping[str, Any], found: Predictions
) -> ByQuery:
    """Return every metric that is kept, and the main score where it follows, by query."""
    subset, split = stratum.subset, stratum.split
    if task.metadata.type != "BitextMining":
        names = dict.fromkeys([task.metadata.main_score, *_kept(task, scores)])
        return ranked(task, data.judged, found[subset][split], names)
    if task.parallel_subsets:
        nearest = found["parallel"][split][subset]
    else:
        nearest = found[subset][split]["sentence1-sentence2"]
    return mined(data.judged, [str(one["corpus_id"]) for one in nearest])


def ranked(
    task: Any,
    judged: Mapping[str, Mapping[str, int]],
    found: Mapping[str, Mapping[str, float]],
    names: Iterable[str],
) -> ByQuery:
    """Return metrics of retrieved passages, `found` with their scores for each query, by query.

    They are those of trec_eval, and the reciprocal rank, of which a name is `ndcg_at_10`. Others
    are left out.
    """
    import pytrec_eval

    if task.ignore_identical_ids:
        found = {q: {p: s for p, s in one.items() if p != q} for q, one in found.items()}
    if task.skip_first_result:
        found = {q: dict(sorted(one.items(), key=_score)[1:]) for q, one in found.items()}
    parsed = {name: re.fullmatch(r"(\w+)_at_(\d+)", name) for name in names}
    wanted = {n: (m[1], int(m[2])) for n, m in parsed.items() if m and m[1] in {*TREC, "mrr"}}
    asked = {f"{TREC[metric]}.{cutoff}" for metric, cutoff in wanted.values() if metric in TREC}
    values = pytrec_eval.RelevanceEvaluator(judged, asked).evaluate(found)
    by_query: ByQuery = {}
    for name, (metric, cutoff) in wanted.items():
        if metric == "mrr":
            by_query[name] = {q: _reciprocal_rank(judged[q], found[q], cutoff) for q in values}
        else:
            by_query[name] = {q: one[f"{TREC[metric]}_{cutoff}"] for q, one in values.items()}
    return by_query


def _score(item: tuple[str, float]) -> float:
    return -item[1]


def _reciprocal_rank(judged: Mapping[str, int], found: Mapping[str, float], cutoff: int) -> float:
    """Return one over the rank of the first relevant passage; of equal scores the last id leads."""
    order = sorted(found, key=lambda passage: (found[passage], passage), reverse=True)[:cutoff]
    ranks = (rank for rank, passage in enumerate(order, start=1) if judged.get(passage, 0) > 0)
    return 1 / next(ranks, np.inf)


def mined(judged: Mapping[str, Mapping[str, int]], nearest: Sequence[str]) -> ByQuery:
    """Return values of sentences whose means are MTEB's scores of mining.

    For MTEB the right translation of a sentence is a class, weighted by its sentences
    (scikit-learn's weighted average): a sentence has the precision, recall and F1 of its class.
    `nearest` are the translations found, in the order of `judged`.
    """
    right = {sentence: next(iter(of)) for sentence, of in judged.items()}
    pairs = list(zip(right, right.values(), nearest, strict=True))
    hits = Counter(label for _, label, mate in pairs if label == mate)
    named, support = Counter(nearest), Counter(right.values())
    return {
        "f1": {s: 2 * hits[of] / (named[of] + support[of]) for s, of, _ in pairs},
        "precision": {s: hits[of] / max(named[of], 1) for s, of, _ in pairs},
        "recall": {s: hits[of] / support[of] for s, of, _ in pairs},
        "accuracy": {s: float(of == mate) for s, of, mate in pairs},
    }


def _measure(name: str) -> str:
    """Return hbr's name of a score: `ndcg_at_10` is `mteb.ndcg@10`."""
    return f"mteb.{name.replace('_at_', '@')}"


def _averages(
    scored: Sequence[Scored], names: Sequence[str], exact: Sequence[str]
) -> dict[str, Any]:
    """Return means over strata, by setting, by query language and by pair of languages."""
    found: dict[str, Any] = {"settings": {}, "by_query_language": {}, "by_pair": {}}
    spreads = {}
    for setting in dict.fromkeys(one.stratum.setting for one in scored):
        by_language: dict[str, list[dict[str, float]]] = {}
        for (_, _, _, query, passage), scores, by_query in _of_setting(scored, setting):
            values = {
                _measure(n): fmean(by_query[n].values()) if n in exact else float(scores[n])
                for n in names
            }
            found["by_pair"][f"{query}->{passage}"] = values
            by_language.setdefault(query, []).append(values)
        every = [values for several in by_language.values() for values in several]
        found["settings"][setting] = _mean(every)
        means = {language: _mean(several) for language, several in by_language.items()}
        found["by_query_language"][setting] = means
        main = np.array([values[MTEB_MAIN.name] for values in means.values()])
        spreads[setting] = {MTEB_MAIN.name: spread(main)}
    codes = {code for one in scored for code in one.stratum[3:]}
    return found | {"bias": {"spread": spreads}, "languages": sorted(codes)}


def _of_setting(scored: Iterable[Scored], setting: str) -> Iterator[Scored]:
    return (one for one in scored if one.stratum.setting == setting)


def _mean(several: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: fmean(one[name] for one in several) for name in several[0]}


def _table(scored: Sequence[Scored], exact: Sequence[str]) -> pa.Table:
    """Return a line for each query; queries of one id, in several subsets, are one concept."""
    lines = [
        (one.stratum, query, {_measure(name): one.by_query[name][query] for name in exact})
        for one in scored
        for query in next(iter(one.by_query.values()), {})
    ]
    concepts = {query: i for i, query in enumerate(dict.fromkeys(query for _, query, _ in lines))}
    columns = {
        "setting": pa.array([stratum.setting for stratum, *_ in lines]).dictionary_encode(),
        "concept": pa.array([concepts[query] for _, query, _ in lines], pa.int64()),
        "query": pa.array([f"{stratum.name}/{query}" for stratum, query, _ in lines], pa.string()),
        "query_language": pa.array([s.query_language for s, *_ in lines], pa.string()),
        "passage_language": pa.array([s.passage_language for s, *_ in lines], pa.string()),
    }
    return pa.table(
        columns | {_measure(n): pa.array([v[_measure(n)] for *_, v in lines]) for n in exact}
    )
