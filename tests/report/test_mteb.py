"""Files in MTEB's shape: names that are not MTEB's, scores that are ours."""

import json
from pathlib import Path
from typing import Any

import pytest

from hbr.core.errors import UserError
from hbr.report.mteb import SCRIPTS, write

MODEL = {"name": "org/mine", "revision": "abc123", "max_tokens": 256}


def values(score: float) -> dict[str, float | None]:
    return {"map": score, "recall@10": 1.0, "rank_distance": None}


RESULT: dict[str, Any] = {
    "dataset": "xquad-r",
    "protocol": "LAReQA, passage = sentence",
    "search": "exact",
    "task": "0123456789ab",
    "settings": {"mono": values(0.75), "cross": values(0.25), "multi": values(0.5)},
    "by_query_language": {
        "mono": {"de": values(1.0), "zh": values(0.5)},
        "cross": {"de": values(0.125), "zh": values(0.375)},
        "multi": {"de": values(0.75), "zh": values(0.25)},
    },
    "by_pair": {
        "de->de": values(1.0),
        "de->zh": values(0.125),
        "zh->de": values(0.375),
        "zh->zh": values(0.5),
    },
    "languages": ["de", "zh"],
}


def written(folder: Path, *results: dict[str, Any], **model: Any) -> dict[str, Any]:
    """Write; give the contents of the files by their names."""
    paths = write(folder, MODEL | model, results)
    assert sorted(paths) == sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.stem: json.loads(path.read_text()) for path in paths}


def test_files_lie_where_the_result_cache_of_mteb_looks(tmp_path: Path) -> None:
    place = tmp_path / "results" / "org__mine" / "abc123"
    names = ["cross", "mono", "multi"]
    wanted = [place / f"XQuAD-R-sentence.{name}.json" for name in names]
    assert sorted(write(tmp_path, MODEL, [RESULT])) == [*wanted, place / "model_meta.json"]


def test_a_task_is_named_by_its_unit_and_mining_by_f1(tmp_path: Path) -> None:
    cut = RESULT | {"protocol": "passage = sentence; LIMITED to 2 concepts"}
    assert "XQuAD-R-sentence.mono" in written(tmp_path / "cut", cut)
    f1, groups = {"f1": 0.5}, RESULT["by_query_language"]
    mined = {
        "by_query_language": {setting: dict.fromkeys(of, f1) for setting, of in groups.items()},
        "by_pair": dict.fromkeys(RESULT["by_pair"], f1),
    }
    task = written(tmp_path / "f1", RESULT | mined)["XQuAD-R-sentence.mono"]
    assert {scores["main_score"] for scores in task["scores"]["test"]} == {0.5}


def test_a_task_has_the_fields_that_mteb_reads(tmp_path: Path) -> None:
    task = written(tmp_path, RESULT)["XQuAD-R-sentence.mono"]
    scores = task.pop("scores")
    assert task == {
        "dataset_revision": "0123456789ab",
        "task_name": "XQuAD-R-sentence.mono",
        "mteb_version": None,
        "evaluation_time": None,
    }
    assert scores["test"][0] == {
        "hf_subset": "de",
        "languages": ["deu-Latn"],
        "main_score": 1.0,
        "map": 1.0,
        "recall_at_10": 1.0,
        "protocol": "LAReQA, passage = sentence",
    }


def test_subsets_are_query_languages_and_in_cross_pairs(tmp_path: Path) -> None:
    found = written(tmp_path, RESULT)
    subsets = {
        setting: {s["hf_subset"]: s["languages"] for s in found[name]["scores"]["test"]}
        for setting in ("mono", "cross", "multi")
        for name in [f"XQuAD-R-sentence.{setting}"]
    }
    german, chinese = "deu-Latn", "zho-Hans"
    assert subsets["mono"] == subsets["multi"] == {"de": [german], "zh": [chinese]}
    assert subsets["cross"] == {"de-zh": [german, chinese], "zh-de": [chinese, german]}


@pytest.mark.parametrize("setting", ["mono", "cross", "multi"])
def test_the_mean_that_mteb_takes_is_our_macro_average(tmp_path: Path, setting: str) -> None:
    scores = written(tmp_path, RESULT)[f"XQuAD-R-sentence.{setting}"]["scores"]["test"]
    mean = sum(score["main_score"] for score in scores) / len(scores)
    assert mean == RESULT["settings"][setting]["map"]


def test_the_passage_unit_is_part_of_the_name_and_names_are_file_names(tmp_path: Path) -> None:
    wide = RESULT | {"protocol": "LAReQA, passage = sentence+context"}
    own = RESULT | {"dataset": "mine.readers:SET", "protocol": "mine"}
    names = written(tmp_path, RESULT, wide, own).keys() - {"model_meta"}
    titles = {name.rpartition(".")[0] for name in names}
    assert titles == {"XQuAD-R-sentence", "XQuAD-R-sentence+context", "mine.readers_SET"}


def test_results_of_an_approximate_index_are_left_out(tmp_path: Path) -> None:
    assert written(tmp_path, RESULT | {"search": "faiss hnsw"}).keys() == {"model_meta"}


def test_contamination_stands_beside_the_scores(tmp_path: Path) -> None:
    seen = {"queries": 3, "passages": 0}
    marked = RESULT | {"training": {"languages": {}, "contamination": seen}}
    (first, *_) = written(tmp_path, marked)["XQuAD-R-sentence.mono"]["scores"]["test"]
    assert first["contamination"] == seen


def test_languages_that_mteb_lacks_stand_as_they_are(tmp_path: Path) -> None:
    both = {"qaa": values(0.5), "xx": values(0.5)}
    result = RESULT | {"settings": {"mono": {}}, "by_query_language": {"mono": both}}
    scores = written(tmp_path, result)["XQuAD-R-sentence.mono"]["scores"]["test"]
    (invented,), (unknown,) = (score["languages"] for score in scores)
    assert (invented.partition("-")[0], unknown) == ("qaa", "xx")


def test_the_model_is_described_by_what_is_known(tmp_path: Path) -> None:
    trained = RESULT | {"training": {"languages": {"zh": 9, "de": 9, "qaa": 9, "xx": 9}}}
    meta = written(tmp_path, trained, name="hybrid-s0", adapted_from="org/base")["model_meta"]
    assert (meta["name"], meta["revision"]) == ("hbr/hybrid-s0", "abc123")
    assert meta["languages"] == ["deu-Latn", "zho-Hans"]
    assert (meta["max_tokens"], meta["adapted_from"]) == (256, "org/base")
    needed = {  # fields of MTEB's ModelMeta that have no default
        *("loader", "name", "revision", "release_date", "languages", "n_parameters"),
        *("memory_usage_mb", "max_tokens", "embed_dim", "license", "open_weights"),
        *("public_training_code", "public_training_data", "framework", "similarity_fn_name"),
        *("use_instructions", "training_datasets"),
    }
    assert needed <= meta.keys()


def test_results_without_map_are_refused(tmp_path: Path) -> None:
    result = RESULT | {"by_query_language": {"mono": {"de": {"recall@10": 1.0}}}}
    with pytest.raises(UserError, match="xquad-r has no map, the main score of MTEB files"):
        write(tmp_path, MODEL, [result | {"settings": {"mono": {}}}])


def test_every_script_of_the_language_table_has_a_code() -> None:
    from hbr.core.languages import languages

    assert {language.script for language in languages()} <= SCRIPTS.keys()
