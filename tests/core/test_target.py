"""Names with parts are taken apart in one file, and written as they were read."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hbr.core import registry
from hbr.core.target import EvaluationTarget, Measure, folder_name, layout_of
from hbr.data.lookup import known_dataset

DATASETS = ["xquad-r", "beir/scifact", "embedded", "mine:TASK"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("xquad-r", ("xquad-r", "", "")),
        ("xquad-r~typo:0.1", ("xquad-r", "typo:0.1", "")),
        ("beir/scifact@hnsw", ("beir/scifact", "", "hnsw")),
        ("xquad_r~word_order:1", ("xquad-r", "word_order:1", "")),
        ("xquad_r~center", ("xquad-r", "", "")),
    ],
)
def test_a_target_is_a_data_set_a_perturbation_and_an_index(text, parts):
    target = EvaluationTarget.parse(text)
    assert (target.dataset, target.perturbation, target.index) == parts
    assert target.center_languages == text.endswith("~center")
    assert not target.encoded.center_languages


@settings(deadline=None)
@given(
    st.sampled_from(DATASETS),
    st.sampled_from([("", ""), ("typo:0.1", ""), ("", "hnsw"), ("", "flat"), ("", "", True)]),
)
def test_a_target_is_written_as_it_is_read(dataset, others):
    target = EvaluationTarget(dataset, *others)
    assert EvaluationTarget.parse(str(target)) == target
    assert target.clean == EvaluationTarget(dataset)
    assert not {"/", ":"} & set(target.folder)


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("cutoff", [None, 1, 20])
@pytest.mark.parametrize("name", registry.names("metric"))
def test_a_measure_is_written_as_it_is_read(name, cutoff, drop):
    measure = Measure(name, cutoff, drop)
    assert Measure.parse(str(measure)) == measure
    assert measure.lower_is_better == (drop or not measure.metric.higher_is_better)


@pytest.mark.parametrize("text", ["mpa", "map@0", "recall@", "map@ten", "drop_", "drop_drop_map"])
def test_what_is_no_measure_is_refused(text):
    with pytest.raises(ValueError, match=r"there is no metric|no positive number"):
        Measure.parse(text)


def test_the_layout_is_what_stands_before_the_collection_of_a_known_one():
    assert layout_of("beir/scifact") == ("beir", "scifact", "")
    assert layout_of("beir/scifact:dev") == ("beir", "scifact", "dev")
    assert layout_of("beir:dev") == ("beir", "", "dev")
    assert layout_of("irds:beir/scifact/test") == ("irds:beir/scifact/test", "", "")
    assert layout_of("xquad_r") == ("xquad-r", "", "")
    assert layout_of("my/folder") == ("my/folder", "", "")
    assert folder_name("beir/scifact~typo:0.1") == "beir-scifact~typo-0.1"


def test_an_unknown_data_set_is_refused_with_the_near_name():
    assert known_dataset("xquad_r") == "xquad-r"
    with pytest.raises(ValueError, match=r"did you mean .*xquad-r"):
        known_dataset("xquad")


@pytest.mark.parametrize("name", ["..", "../x", "/etc", ".hidden", "", "a\x00b", "a\\b", "ä" * 200])
def test_no_name_leads_out_of_its_folder(name):
    folder = folder_name(name)
    assert not folder.startswith((".", "/"))
    assert "/" not in folder
    assert len(folder.encode()) <= 255
    assert folder != folder_name(f"{name}x")


@pytest.mark.parametrize("name", ["xquad-r", "beir-cqadupstack-android~typo-0.1@hnsw"])
def test_names_of_data_sets_are_their_folders(name):
    assert folder_name(name) == name
