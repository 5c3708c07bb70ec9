"""MTEB's numbers by query: against MTEB's own means, scikit-learn and counting by hand."""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from hbr.data.readers.mteb import loaded
from hbr.evaluation import mteb
from hbr.evaluation.mteb import mined, ranked

OWN = "mteb:tests.mteb_tasks:"
PLAIN = SimpleNamespace(ignore_identical_ids=False, skip_first_result=False)
JUDGED = {"q": {"a": 1, "c": 2, "z": 0}}
FOUND = {"q": {"a": 0.2, "b": 0.9, "c": 0.5, "q": 0.95}}  # q, b, c, a


def test_values_of_a_ranking_are_those_counted_by_hand() -> None:
    """Relevant are c, worth 2, at rank 3 and a, worth 1, at rank 4."""
    names = ["ndcg_at_10", "map_at_10", "mrr_at_10", "recall_at_3", "precision_at_3", "luck"]
    found = {name: values["q"] for name, values in ranked(PLAIN, JUDGED, FOUND, names).items()}
    ideal = 2 + 1 / math.log2(3)
    assert found == {
        "ndcg_at_10": pytest.approx((2 / math.log2(4) + 1 / math.log2(5)) / ideal),
        "map_at_10": pytest.approx((1 / 3 + 2 / 4) / 2),
        "mrr_at_10": pytest.approx(1 / 3),
        "recall_at_3": 0.5,
        "precision_at_3": pytest.approx(1 / 3),
    }


@pytest.mark.parametrize("how", ["ignore_identical_ids", "skip_first_result"])
def test_a_task_may_leave_out_the_query_itself_or_the_first(how: str) -> None:
    task = SimpleNamespace(**{**vars(PLAIN), how: True})
    found = ranked(task, JUDGED, FOUND, ["mrr_at_10", "map_at_10"])
    assert found["mrr_at_10"]["q"] == 1 / 2
    assert found["map_at_10"]["q"] == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_means_of_mined_sentences_are_the_weighted_scores_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    right = [str(n) for n in rng.integers(0, 12, 40)]
    nearest = [label if rng.random() < 0.6 else str(rng.integers(0, 15)) for label in right]
    found = mined({str(i): {label: 1} for i, label in enumerate(right)}, nearest)
    how: dict[str, Any] = {"average": "weighted", "zero_division": 0}
    for name, score in (("f1", f1_score), ("precision", precision_score), ("recall", recall_score)):
        assert np.mean([*found[name].values()]) == pytest.approx(score(right, nearest, **how))
    hits = np.mean([a == b for a, b in zip(right, nearest, strict=True)])
    assert np.mean([*found["accuracy"].values()]) == pytest.approx(hits)


class Hashing:
    """Stands for a retriever: a text's vector is made of the counts of its letters."""

    def __init__(self) -> None:
        lengths = {"query": ("Q: ", 9), "passage": ("P: ", 7)}
        self.config = SimpleNamespace(encoder=SimpleNamespace(inputs=lengths.__getitem__))
        self.encoder = SimpleNamespace(tokenize=self.plain)
        self.asked: list[Any] = []

    def plain(self, texts: list[str], longest: int) -> list[str]:
        self.asked.append(longest)
        return texts

    def tokenize(self, role: str, texts: list[str]) -> list[str]:
        self.asked.append(role)
        return texts

    def vectors(self, texts: list[str], _: Any = None) -> np.ndarray:
        counts = np.zeros((len(texts), 32), np.float32)
        for line, text in enumerate(texts):
            for letter in text:
                counts[line, ord(letter) * 7 % 32] += 1
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


def model() -> dict[str, Any]:
    from hbr.report.mteb import model_meta

    return model_meta({"name": "made", "revision": "1"}, ["de"])


def evaluated(folder: Path, name: str) -> tuple[dict[str, Any], Any]:
    """Evaluate; return our metrics and MTEB's own result, read by its cache."""
    from mteb import ResultCache

    mteb.evaluate(folder, loaded(OWN + name), Hashing(), model(), {"dataset": name})  # type: ignore[arg-type]
    cache = ResultCache(folder / "mteb")
    theirs = cache.load_task_result(name, "hbr/made", "1")
    return json.loads((folder / "metrics.json").read_text()), theirs


@pytest.mark.parametrize("name", ["Parallel", "Alone", "PassagesFirst", "Domains"])
def test_the_main_score_is_mtebs_also_as_a_mean_by_query(tmp_path: Path, name: str) -> None:
    import pandas as pd

    metrics, theirs = evaluated(tmp_path, name)
    by_query = pd.read_parquet(tmp_path / "per_query.parquet")
    by_query["subset"] = by_query["query"].str.rpartition("/")[0]
    several = len(theirs.scores) > 1
    for split, scores in theirs.scores.items():
        for one in scores:
            subset = f"{split}/{one['hf_subset']}" if several else one["hf_subset"]
            mean = by_query[by_query["subset"] == subset]["mteb.main_score"].mean()
            assert mean == pytest.approx(one["main_score"], abs=6e-6)
    assert metrics["mteb"]["score"] == pytest.approx(theirs.get_score(), abs=1e-6)
    pairs = [values["mteb.main_score"] for values in metrics["by_pair"].values()]
    assert np.mean(pairs) == pytest.approx(theirs.get_score(), abs=6e-6)
    assert 0 < theirs.get_score() < 1 or name == "Domains"


@pytest.mark.parametrize("name", ["Parallel", "Mapped"])
def test_hbr_shows_no_bars_of_others_while_mteb_works_and_leaves_them_afterwards(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    from tqdm.auto import tqdm

    evaluated(tmp_path, name)
    assert "%|" not in capsys.readouterr().err
    list(tqdm([1]))
    assert "100%|" in capsys.readouterr().err


def test_settings_languages_and_spread_follow_from_the_subsets(tmp_path: Path) -> None:
    metrics, _ = evaluated(tmp_path, "PassagesFirst")
    assert [*metrics["settings"]] == ["mono", "cross"]
    assert [*metrics["by_pair"]] == ["en->en", "de->en", "de->th"]
    both = [metrics["by_pair"][pair]["mteb.ndcg@10"] for pair in ("de->en", "de->th")]
    assert metrics["by_query_language"]["cross"]["de"]["mteb.ndcg@10"] == np.mean(both)
    assert metrics["languages"] == ["de", "en", "th"]
    assert metrics["bias"]["spread"]["cross"]["mteb.main_score"]["sd"] == 0  # of one language


def test_queries_of_one_id_are_one_concept(tmp_path: Path) -> None:
    import pandas as pd

    evaluated(tmp_path, "PassagesFirst")
    by_query = pd.read_parquet(tmp_path / "per_query.parquet")
    names = by_query["query"].str.rpartition("/")[2]
    assert by_query["concept"].tolist() == [int(name[1:]) for name in names]


def test_a_main_score_of_the_tasks_own_has_no_values_by_query(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import pyarrow.parquet as pq

    metrics, _ = evaluated(tmp_path, "OwnScore")
    assert metrics["settings"]["mono"]["mteb.main_score"] == 0.25
    assert "OwnScore has a main_score of its own" in caplog.text
    names = pq.read_schema(tmp_path / "per_query.parquet").names
    assert "mteb.main_score" not in names
    assert "mteb.ndcg@10" in names


def test_mined_sentences_have_no_prompt_and_the_greater_length_others_their_own() -> None:
    retriever, texts = Hashing(), [{"text": ["a"]}]
    encoder = mteb.MtebEncoder(retriever, None)  # type: ignore[arg-type]
    for kind in ("query", "document"):
        encoder.encode(texts, prompt_type=SimpleNamespace(value=kind))
    encoder.encode(texts)
    assert retriever.asked == ["query", "passage", 9]


def test_a_killed_attempt_goes_on_where_its_files_are_whole(tmp_path: Path) -> None:
    metrics, _ = evaluated(tmp_path, "Domains")
    (kept,) = tmp_path.glob("mteb/results/*/*/Domains.json")
    before = kept.stat().st_mtime_ns
    assert evaluated(tmp_path, "Domains")[0] == metrics
    assert kept.stat().st_mtime_ns == before
    (torn,) = tmp_path.glob("predictions/*.json")
    torn.write_text(torn.read_text()[:50])
    assert evaluated(tmp_path, "Domains")[0] == metrics
    assert kept.stat().st_mtime_ns > before
