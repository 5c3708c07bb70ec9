"""hbr from Python: what the command line gives, and encoders that are no runs."""

import json
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

import hbr
from hbr.core.errors import UserError
from hbr.core.settings import Config
from hbr.data.tasks import EvaluationData, Passage, Query
from tests.support import beside, finished
from tests.support import hbr as typed

FEW = {"max_steps": 3, "batch_size": 16}


@pytest.fixture(scope="module")
def run(world: Path, tmp_path_factory: pytest.TempPathFactory) -> "hbr.Run":
    runs = beside(world, tmp_path_factory.mktemp("python"))
    return hbr.train(runs=runs, sampler="hybrid", **FEW)


def by_hand() -> EvaluationData:
    """Two questions in two languages over four passages, whose texts are vectors."""
    queries = [
        Query("q1", "de", "c1", "1 0"),
        Query("q1", "en", "c1", "0 2"),
    ]
    passages = [
        Passage("p1", "de", "0.5 0"),
        Passage("p2", "de", "3 4"),
        Passage("p1", "en", "1 1"),
        Passage("p2", "en", "0 1"),
    ]
    return EvaluationData(queries, passages, {"c1": [("de", "p1"), ("en", "p1")]}, "by hand")


def read_numbers(texts: list[str]) -> list[list[float]]:
    return [[float(word) for word in text.split()] for text in texts]


def test_a_callable_is_evaluated_by_the_cosines_of_its_vectors() -> None:
    """German asks: p1 de 1, en .71, p2 de .6, p2 en 0. English asks: p2 en 1, p2 de .8, en .71."""
    result = hbr.evaluate(read_numbers, by_hand(), metrics=["map", "rank_distance"])
    ranks = {"de": (1, 2), "en": (3, 4)}
    precision = {q: np.mean([1 / a, 2 / b]) for q, (a, b) in ranks.items()}
    assert result.by_language.loc[("multi", "de"), "map"] == pytest.approx(precision["de"])
    assert result.values.loc["multi", "map"] == pytest.approx(np.mean([*precision.values()]))
    assert result.values.loc["multi", "rank_distance"] == 1
    assert result.values.loc["mono", "map"] == pytest.approx(0.75)
    assert set(result.by_query["setting"]) == {"mono", "cross", "multi"}
    assert "by hand" in result.metrics["protocol"]


def test_settings_that_would_do_nothing_are_refused(run: "hbr.Run") -> None:
    for settings in ({"query_prompt": "q: "}, {"batch_size": 4}, {"encode.precision": "bf16"}):
        with pytest.raises(UserError, match="has no use for these settings"):
            hbr.evaluate(read_numbers, by_hand(), **settings)
    for words in ({"name": "mine"}, {"normalize": False}):
        with pytest.raises(UserError, match="are of encoders that are no runs"):
            hbr.evaluate(run, **words)


def test_a_limit_is_one_of_data_in_memory_too() -> None:
    result = hbr.evaluate(read_numbers, by_hand(), metrics=["map"], **{"evaluate.limit": 1})
    assert "LIMITED to 1" in result.metrics["protocol"]


def test_without_normalization_lengths_count() -> None:
    result = hbr.evaluate(read_numbers, by_hand(), normalize=False, metrics=["mrr"])
    assert result.by_language.loc[("multi", "de"), "mrr"] == 0.5  # p2 de scores 3, p1 en 1


def test_centred_vectors_of_length_1_have_it_again() -> None:
    seen = []

    def kept(folder: Path, config: Config, *_: object, **__: object) -> None:
        seen.append(config.encoder.normalize)
        raise ZeroDivisionError

    for normalize in (True, False):
        with (
            mock.patch("hbr.evaluation.evaluate.evaluate", kept),
            pytest.raises(ZeroDivisionError),
        ):
            hbr.evaluate(read_numbers, by_hand(), normalize=normalize, center_languages=True)
    assert seen == [True, False]


@pytest.mark.parametrize("task", ["embedded~64d+int8", "embedded~typo:0.1", "embedded@hnsw"])
def test_an_encoder_that_is_no_run_is_evaluated_as_it_is_alone(task: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give a run, or the name embedded alone"):
        hbr.evaluate(read_numbers, task, runs=tmp_path)


class OfSentenceTransformers:
    """What hbr uses of a SentenceTransformer, whose texts are vectors."""

    similarity_fn_name, prompts = "cosine", {"query": "", "document": "", "passage": "5 "}

    def encode_query(self, texts: list[str], **how: object) -> list[list[float]]:
        assert how == {"normalize_embeddings": True, "show_progress_bar": False}
        return read_numbers(texts)

    def encode_document(self, texts: list[str], *, prompt_name: str, **_: object) -> object:
        assert prompt_name == "passage"  # as the same files do with --encoder FOLDER
        return read_numbers(texts)


def test_a_sentence_transformer_has_the_prompt_of_its_passages_and_a_similarity_of_ours() -> None:
    encoder = OfSentenceTransformers()
    assert hbr.evaluate(encoder, by_hand(), metrics=["map"]).metrics
    encoder.similarity_fn_name = "manhattan"
    with pytest.raises(UserError, match=r"whose similarity is manhattan: hbr compares"):
        hbr.evaluate(encoder, by_hand())


@pytest.mark.parametrize(
    ("encoder", "told"),
    [
        (lambda texts: [[1.0]] * (len(texts) + 1), r"gave \(2, 1\) for 1 texts"),
        (lambda texts: [[float("nan")]] * len(texts), "not finite"),
        (lambda texts: [[0.0]] * len(texts), "length 0"),
        (7, "an? int is no encoder"),
    ],
)
def test_what_gives_no_vectors_is_refused(encoder: object, told: str) -> None:
    with pytest.raises(UserError, match=told):
        hbr.evaluate(encoder, by_hand())


def test_a_run_is_trained_once_loaded_and_evaluated_as_on_the_command_line(
    run: "hbr.Run",
) -> None:
    assert run.log["loss"].notna().any()
    completion = run.spec.training_id()
    again = hbr.train(runs=run.path.parent, sampler="hybrid", **FEW)
    assert (again.path, again.spec.training_id()) == (run.path, completion)
    encoder = hbr.load(run.path)
    assert np.linalg.norm(encoder.encode_queries(["who?"])) == pytest.approx(1, abs=1e-5)
    result = hbr.evaluate(run)
    shown = json.loads(typed("evaluate", "--run", run.path, "--json").out)
    assert result.metrics == shown


def test_a_sentence_transformer_reaches_what_the_run_reaches(run: "hbr.Run") -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(run.path / "model"), device="cpu")
    theirs = hbr.evaluate(model, runs=run.path.parent, metrics=["map", "recall@10"])
    ours = hbr.evaluate(run).values[["map", "recall@10"]]
    np.testing.assert_allclose(theirs.values[["map", "recall@10"]], ours, atol=2e-4)


def test_what_comes_after_training_can_be_set_for_a_run_and_no_more(run: "hbr.Run") -> None:
    with pytest.raises(UserError, match="encoder, seed: a trained run keeps these settings"):
        hbr.evaluate(run, seed=5, query_prompt="Q: ")
    as_it_is, centred = hbr.evaluate(run), hbr.evaluate(run, center_languages=True)
    assert str(centred.result.target) == "embedded~center"
    assert not centred.values.equals(as_it_is.values)


def test_comparisons_hold_runs_by_folder_evaluations_and_claims(tmp_path: Path) -> None:
    values = {"mono map": np.linspace(0, 1, 24)[:, None]}
    runs = [
        finished(tmp_path, sampler, {"mono map": values["mono map"] * share}, seed=seed)
        for sampler, share in (("hybrid", 0.5), ("monolingual", 1.0))
        for seed in (0, 1)
    ]
    claim = {
        **{"id": "c", "metric": "map", "setting": "mono"},
        **{"greater": "monolingual", "than": "hybrid"},
    }
    compared = hbr.compare(runs, claims=[claim], metrics=["map"])
    means = compared.values.set_index("sampler")["mean"]
    assert means["monolingual"] == pytest.approx(0.5)
    assert compared.verdicts["verdict"].tolist() == ["supported"]
    assert compared.verdicts["effect"].tolist() == pytest.approx([0.25])
    assert "monolingual" in compared._repr_html_()
    assert "<html" in compared.save(tmp_path / "c.html").read_text()
    with pytest.raises(UserError, match="a report is one of"):
        compared.save(tmp_path / "c.pdf")
    with pytest.raises(UserError, match="no such option"):
        hbr.compare(runs, metric="map")
    with pytest.raises(UserError, match="no such option: 'means'"):
        hbr.compare(runs, evidence="means")
    other = hbr.evaluate(read_numbers, by_hand(), metrics=["map"])
    with pytest.raises(UserError, match="no data set that all of them"):
        hbr.compare([*runs, other])
    with pytest.raises(UserError, match="two of them are called read_numbers"):
        hbr.compare([other, other])
    named = hbr.evaluate(read_numbers, by_hand(), name="another", metrics=["map"])
    assert len(hbr.compare([other, named], metrics=["map"]).values) == 6


def test_a_study_runs_what_is_not_done(world: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("grid: {sampler: [hybrid]}\nuntrained: false\nevaluate: [embedded]\n")
    study = hbr.Study.from_yaml(path, runs=beside(world, tmp_path / "runs"), **FEW)
    assert [run.path.exists() for run in study.runs] == [False]
    values = study.run().compare(metrics=["map"]).values
    assert set(values["setting"]) == {"mono", "cross", "multi"}
    assert study.runs[0].path.exists()


def test_the_names_of_the_package_are_those_of_its_stub() -> None:
    stub = (Path(hbr.__file__).parent / "__init__.pyi").read_text()
    assert {line.split()[-1] for line in stub.splitlines() if " as " in line} == set(hbr.__all__)
    assert all(callable(getattr(hbr, name)) for name in hbr.__all__)
    with pytest.raises(AttributeError):
        hbr.nothing  # noqa: B018


def test_a_run_on_data_in_memory_is_the_trained_one_that_it_is(run: "hbr.Run") -> None:
    result = hbr.evaluate(run, by_hand(), metrics=["map"]).result
    assert result.config.is_trained
    assert result.config.sampler == run.config.sampler
    assert result.name == run.path.name


def test_of_other_encoders_nobody_knows_the_languages() -> None:
    items = [hbr.evaluate(read_numbers, by_hand(), name=name) for name in ("one", "other")]
    report = hbr.compare(items, by="seen").report
    assert "unseen" not in str([table.lines() for table in report.tables])


def test_claims_of_one_id_and_vectors_that_are_as_they_are_are_refused(tmp_path: Path) -> None:
    items = [hbr.evaluate(read_numbers, by_hand(), name=name) for name in ("one", "other")]
    claim = {"id": "c", "metric": "map", "setting": "mono"}
    claims = [
        claim | {way: {"encoder": "one"}, "than": {"encoder": "other"}}
        for way in ("greater", "less")
    ]
    with pytest.raises(UserError, match="two claims have the id 'c'"):
        hbr.compare(items, claims)
    assert hbr.compare(items, metrics="map,recall@1").report.tables

    class Encoder:
        encode_queries = encode_passages = staticmethod(
            lambda texts, language=None: read_numbers(texts)
        )

    with pytest.raises(UserError, match="taken as they are"):
        hbr.evaluate(Encoder(), by_hand(), normalize=True)
