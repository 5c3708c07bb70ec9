"""All settings of XQuAD-R from stored vectors: `hbr`, MTEB, BEIR, and the bare product.

    python benchmarks/evaluating.py [--texts FOLDER] [--languages 11] [--rounds 3] [--json FILE]

Eleven languages, 1,190 questions, the data set's own passages: 121 language pairs and the pool of
all. `--texts` takes XQuAD-R's files, without them made-up texts stand in; the vectors are made up
(unit normal noise around what a concept means, float32, 768 wide). Each way is a process of its
own, and its figure the median of some rounds, after one that does not count; peak is its resident
memory, mapped pages of the vectors included. `hbr` and the product do all; with fewer `--languages`
the peers get the queries of the first ones alone, against all passages, and their time counts
eleven over so many times: nothing they do spans queries. Their vectors come from memory, their data
sets are made before. All must agree with `hbr` on nDCG@10 and mAP@20 of every pair and pool.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import side

WIDTH, NOISE = 768, 3.0
BLOCK = 1024  # queries of the bare product
SIZES = dict(  # passages
    zip(
        ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh"),
        (1222, 1276, 1234, 1180, 1215, 1244, 1219, 852, 1167, 1209, 1196),
        strict=True,
    )
)
CONCEPTS, SENTENCES = 1190, 852  # sentences that answer
TOP = 20  # first passages that the measures of language bias look at
AGREE = 1e-4  # as far as means may differ: some round to five digits, and near ties may change
SHARED = "ndcg@10", "map@20"
Figures = dict[str, dict[str, float]]


class Case(NamedTuple):
    """A language pair or a pool: its queries, its passages, and what is relevant by query."""

    name: str
    queries: np.ndarray
    passages: np.ndarray
    relevant: dict[str, dict[str, int]]


def make(folder: Path, texts: Path | None) -> None:
    """Write the task and its vectors."""
    from hbr.data.readers import lareqa
    from hbr.data.tasks import open_task, write_task

    (folder / "task").mkdir()
    write_task(folder / "task", "xquad-r", lareqa.read(texts, "sentence") if texts else made_up())
    task = open_task(folder / "task", "bench")
    rng = np.random.default_rng(0)
    shape = len(task.indptr) - 1, WIDTH
    meaning = rng.standard_normal(shape, dtype=np.float32)
    queries = meaning[task.concept]
    passages = np.zeros((len(task.passage_language), WIDTH), np.float32)
    np.add.at(passages, task.relevant, np.repeat(meaning, np.diff(task.indptr), axis=0))
    for name, vectors in (("queries", queries), ("passages", passages)):
        vectors += NOISE * rng.standard_normal(vectors.shape, dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        np.save(folder / f"{name}.npy", vectors)


def made_up() -> Any:
    """Return a task of the shape of XQuAD-R."""
    from hbr.data.tasks import EvaluationData, Passage, Query

    return EvaluationData(
        [Query(f"{c}", lang, f"{c}", "?") for lang in SIZES for c in range(CONCEPTS)],
        [Passage(f"{i}", lang, "!") for lang, count in SIZES.items() for i in range(count)],
        {f"{c}": [(lang, f"{c % SENTENCES}") for lang in SIZES] for c in range(CONCEPTS)},
        "made up",
    )


class Bench:
    """The task and its vectors, as `hbr evaluate` opens them."""

    def __init__(self, folder: Path, languages: int) -> None:
        from hbr.data.tasks import open_task
        from hbr.retrieval.vectors import ShardedVectors

        self.task = open_task(folder / "task", "bench")
        self.languages = languages
        self.paths = [folder / f"{name}.npy" for name in ("queries", "passages")]
        self.vectors = tuple(ShardedVectors([np.load(path, mmap_mode="r")]) for path in self.paths)

    def in_memory(self) -> dict[str, np.ndarray]:
        """Return the vectors by the first letter of their ids."""
        return dict(zip("qp", map(np.load, self.paths), strict=True))

    def cases(self) -> Iterator[Case]:
        """Yield the pairs and pools of the first languages, one by one."""
        task, every = self.task, slice(0, len(self.task.passage_language))
        pools = [*zip(task.languages, task.blocks, strict=True), ("all", every)]
        for code in range(self.languages):
            block = task.query_blocks[code]
            queries = np.arange(block.start, block.stop)
            for pool, passages in pools:
                relevant = {f"q{q}": self._relevant(q, passages) for q in queries}
                inside = np.arange(passages.start, passages.stop)
                yield Case(f"{task.languages[code]}->{pool}", queries, inside, relevant)

    def _relevant(self, query: int, inside: slice) -> dict[str, int]:
        task = self.task
        first, last = task.indptr[task.concept[query] :][:2]
        relevant = task.relevant[first:last]
        return {f"p{p}": 1 for p in relevant if inside.start <= p < inside.stop}


def stage(bench: Bench) -> Callable[[], Figures]:
    """Run the evaluate stage, results written, and read them."""
    import torch

    from hbr.core.config import resolve_config
    from hbr.evaluation.evaluate import evaluate

    def run() -> Figures:
        with tempfile.TemporaryDirectory() as name:
            folder, config = Path(name), resolve_config({})
            evaluate(folder, config, bench.task, bench.vectors, {}, device=torch.device("cpu"))
            metrics = json.loads((folder / "metrics.json").read_text())
        pools = metrics["by_query_language"]["multi"]
        return metrics["by_pair"] | {f"{name}->all": values for name, values in pools.items()}

    return run


def ranks(bench: Bench) -> Callable[[], Figures]:
    """Run the stage's exact ranks alone, with the first passages that its bias measures need."""
    import torch

    from hbr.core.config import resolve_config
    from hbr.evaluation.ranking import rank_exactly

    def run() -> Figures:
        settings = resolve_config({}).evaluate
        rank_exactly(bench.task, bench.vectors, settings, torch.device("cpu"), TOP, Path())
        return {}

    return run


def product(bench: Bench) -> Callable[[], Figures]:
    """Multiply queries by passages in torch, in blocks, into the same memory."""
    import torch

    queries, passages = (torch.from_numpy(vectors) for vectors in bench.in_memory().values())

    def run() -> Figures:
        scores = torch.empty((BLOCK, len(passages)))
        for some in queries.split(BLOCK):
            torch.mm(some, passages.T, out=scores[: len(some)])
        return {}

    return run


def numpy_product(bench: Bench) -> Callable[[], Figures]:
    """Multiply them in numpy: another library of linear algebra."""
    queries, passages = bench.in_memory().values()

    def run() -> Figures:
        scores = np.empty((BLOCK, len(passages)), np.float32)
        for at in range(0, len(queries), BLOCK):
            some = queries[at : at + BLOCK]
            np.matmul(some, passages.T, out=scores[: len(some)])
        return {}

    return run


def mteb(bench: Bench) -> Callable[[], Figures]:
    """Let `mteb.evaluate` run a multilingual retrieval task, a subset a case."""
    import datasets
    import torch
    from mteb import evaluate
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.models.model_meta import ModelMeta
    from mteb.types import PromptType

    vectors = bench.in_memory()

    class Stored:
        """Gives the vector that a text names."""

        mteb_model_meta = ModelMeta.create_empty({"name": "hbr/stored", "revision": "1"})

        def encode(self, inputs: Any, *, prompt_type: PromptType, **_: Any) -> np.ndarray:
            places = [int(text) for batch in inputs for text in batch["text"]]
            return vectors["q" if prompt_type == PromptType.query else "p"][places]

        def similarity(self, one: np.ndarray, other: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(one) @ torch.from_numpy(other).T

        def similarity_pairwise(self, one: np.ndarray, other: np.ndarray) -> torch.Tensor:
            return torch.from_numpy((one * other).sum(1))

    def split(case: Case) -> dict[str, Any]:
        sides = {
            side: datasets.Dataset.from_dict(
                {"id": [f"{side[0]}{i}" for i in places], "text": [f"{i}" for i in places]}
            )
            for side, places in (("queries", case.queries), ("passages", case.passages))
        }
        return {
            "queries": sides["queries"],
            "corpus": sides["passages"],
            "relevant_docs": case.relevant,
            "top_ranked": None,
        }

    cases = {case.name: {"test": split(case)} for case in bench.cases()}

    class Stacked(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name="StoredVectors",
            description="Vectors of all settings",
            dataset={"path": "none", "revision": "none"},
            type="Retrieval",
            category="t2t",
            eval_splits=["test"],
            eval_langs={name: ["eng-Latn"] for name in cases},
            main_score="ndcg_at_10",
        )

        def load_data(self, *_: Any, **__: Any) -> None:
            self.dataset, self.data_loaded = cases, True

    def run() -> Figures:
        options = {"batch_size": BLOCK, "show_progress_bar": False}
        quiet = {"cache": None, "co2_tracker": False, "show_progress_bar": False}
        task = Stacked()
        task.load_data()
        (results,) = evaluate(Stored(), task, encode_kwargs=options, **quiet).task_results
        return {
            one["hf_subset"]: {"ndcg@10": one["ndcg_at_10"], "map@20": one["map_at_20"]}
            for one in results.scores["test"]
        }

    datasets.disable_progress_bars()
    return run


class Stored:
    """Gives the vectors that texts name, as BEIR and sentence-transformers ask for them."""

    similarity_fn_name = "dot"

    def __init__(self, vectors: dict[str, np.ndarray]) -> None:
        self.vectors = vectors

    def encode_queries(self, texts: list[str], **_: Any) -> Any:
        """Return vectors of queries."""
        return self._take("q", texts)

    def encode_corpus(self, texts: list[Any], **_: Any) -> Any:
        """Return vectors of passages."""
        return self._take("p", [text["text"] if isinstance(text, dict) else text for text in texts])

    encode_query, encode_document = encode_queries, encode_corpus

    def _take(self, which: str, texts: list[str]) -> Any:
        import torch

        return torch.from_numpy(self.vectors[which][[int(text) for text in texts]])


def beir(bench: Bench) -> Callable[[], Figures]:
    """Search exactly and evaluate with BEIR, a case at a time."""
    from beir.retrieval.evaluation import EvaluateRetrieval
    from beir.retrieval.search.dense import DenseRetrievalExactSearch

    search = DenseRetrievalExactSearch(Stored(bench.in_memory()), show_progress_bar=False)
    cases = [
        (
            {f"q{i}": f"{i}" for i in case.queries},
            {f"p{i}": {"title": "", "text": f"{i}"} for i in case.passages},
            case,
        )
        for case in bench.cases()
    ]

    def run() -> Figures:
        figures: Figures = {}
        retrieval = EvaluateRetrieval(search, k_values=[1, 10, 20, 100, 1000], score_function="dot")
        for queries, corpus, case in cases:
            results = retrieval.retrieve(corpus, queries)
            ndcg, maps, _, _ = retrieval.evaluate(case.relevant, results, retrieval.k_values)
            figures[case.name] = {"ndcg@10": ndcg["NDCG@10"], "map@20": maps["MAP@20"]}
        return figures

    return run


def sentence_transformers(bench: Bench) -> Callable[[], Figures]:
    """Evaluate the first hundred with sentence-transformers, a case at a time."""
    from sentence_transformers.evaluation import InformationRetrievalEvaluator
    from sentence_transformers.util import dot_score

    model = Stored(bench.in_memory())
    cases = [
        (
            case.name,
            InformationRetrievalEvaluator(
                {f"q{i}": f"{i}" for i in case.queries},
                {f"p{i}": f"{i}" for i in case.passages},
                {query: set(ids) for query, ids in case.relevant.items()},
                map_at_k=[20, 100],
                score_functions={"dot": dot_score},
                write_csv=False,
            ),
        )
        for case in bench.cases()
    ]

    def run() -> Figures:
        figures: Figures = {}
        for name, evaluator in cases:
            values = evaluator.compute_all_metrics(model)["dot"]
            figures[name] = {"ndcg@10": values["ndcg@k"][10], "map@20": values["map@k"][20]}
        return figures

    return run


OURS = {
    "bare product, torch": product,
    "bare product, numpy": numpy_product,
    "hbr, exact ranks": ranks,
    "hbr, the whole stage": stage,
}
PEERS = {
    "MTEB, first 1,000": mteb,
    "BEIR, first 1,000": beir,
    "sentence-transformers, first 100": sentence_transformers,
}
WAYS = OURS | PEERS


def measure(args: argparse.Namespace, way: str) -> dict[str, Any]:
    """Run one way in this process; give the turns, memory, and figures."""
    bench = Bench(args.measure, args.languages)
    run = WAYS[way](bench)
    figures = {
        name: {metric: values[metric] for metric in SHARED} for name, values in run().items()
    }
    share = 1 if way in OURS else args.languages / len(bench.task.languages)
    turns = side.changed(side.turns(run, args.rounds), lambda seconds: seconds / share)
    return {"turns": turns, "mb": side.resident_mb(), "figures": figures}


def farthest(one: Figures, other: Figures) -> float:
    """Return by how much a figure that both have differs at most."""
    assert other
    return max(
        abs(one[c][metric] - values[metric]) for c, values in other.items() for metric in SHARED
    )


def main() -> None:
    """Make the vectors, run every way, check that they agree, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--languages", type=int, default=len(SIZES), help="that the peers run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--allocator", nargs="+", default=list(side.MALLOC))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args, args.ways[0])))
        return
    shown: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as name:
        make(Path(name), args.texts)
        words = ["--measure", name, "--languages", str(args.languages)]
        words += ["--rounds", str(args.rounds), "--ways"]
        for allocator in args.allocator:
            found = {way: side.child([*words, way], allocator) for way in args.ways}
            rows = {way: [side.Turn(*turn) for turn in one["turns"]] for way, one in found.items()}
            about = f"peers: queries of {args.languages} of {len(SIZES)} languages, scaled to all"
            side.compare(f"{about}, {allocator}", rows, args.ways[0], "s")
            side.table("memory", {way: {"MB": one["mb"]} for way, one in found.items()}, "at most")
            shown[allocator] = {"ways": found, "apart": check(found)}
    if args.json:
        args.json.write_text(json.dumps(shown, indent=1))


def check(found: dict[str, Any]) -> dict[str, float]:
    """Return how far each peer's figures are from `hbr`'s, and print it; they must be near."""
    whole = "hbr, the whole stage"
    peers = [way for way in found if way in PEERS and whole in found]
    apart = {way: farthest(found[whole]["figures"], found[way]["figures"]) for way in peers}
    for way, most in apart.items():
        print(f"{way}: figures differ from hbr's by {most:.1e} at most")
    assert all(most < AGREE for most in apart.values()), apart
    return apart


if __name__ == "__main__":
    main()
