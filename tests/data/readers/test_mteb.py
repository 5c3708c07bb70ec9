"""Tasks of MTEB by name: their strata, their texts, and the mistakes in a name."""

import builtins
from typing import Any

import pytest

from hbr.core.errors import UserError
from hbr.core.registry import guarded
from hbr.data.lookup import dataset, in_languages
from hbr.data.readers.mteb import loaded, open_task, read, revision, strata
from hbr.data.tasks import EvaluationData

OWN = "mteb:tests.mteb_tasks:"


def pairs(name: str) -> dict[str, tuple[str, str]]:
    return {s.name: (s.query_language, s.passage_language) for s in strata(loaded(OWN + name))}


def texts(data: EvaluationData) -> dict[str, list[tuple[str, str]]]:
    passages = {p.id: p.text for p in data.passages}
    return {
        q.id: [(q.text, passages[id]) for _, id, *_ in data.relevant[q.concept]]
        for q in data.queries
    }


def test_sentences_to_mine_are_read_with_their_translations() -> None:
    data = read(None, "", OWN + "Parallel")
    assert len(data.queries) == 12
    assert texts(data)["tha_Thai-eng_Latn/1"] == [("แมว", "the cat")]
    assert data.settings == ("cross",)
    assert {q.language for q in data.queries} == {"de", "th"}


def test_a_single_pair_is_called_by_its_languages() -> None:
    assert pairs("Alone") == {"default": ("de", "en")}
    assert texts(read(None, "", OWN + "Alone"))["default/3"] == [("der baum", "the tree")]


def test_gains_and_titles_are_kept() -> None:
    data = read(None, "", OWN + "PassagesFirst")
    assert data.relevant["en-en/q1"] == [("en", "en-en/p1", 2.0)]
    assert texts(data)["en-de/q0"] == [("der hund", "the dog")]


def test_the_language_of_passages_is_that_of_the_subset_that_shares_them() -> None:
    """`en-de` has the English passages of `en-en`; of `de-th` nothing is known: queries first."""
    expected = {"en-en": ("en", "en"), "en-de": ("de", "en"), "de-th": ("de", "th")}
    assert pairs("PassagesFirst") == expected


def test_where_languages_tell_no_strata_apart_their_own_names_do() -> None:
    names = ["dev/law", "dev/art", "test/law", "test/art"]
    assert pairs("Domains") == {name: (name, name) for name in names}


def test_a_name_may_choose_languages_by_either_code() -> None:
    both = in_languages(OWN + "PassagesFirst", ["de", "eng"])
    assert [s.name for s in strata(loaded(both))] == ["en-en", "en-de"]
    assert open_task(in_languages(OWN + "Parallel", ["th", "en"])).hf_subsets == [
        "tha_Thai-eng_Latn"
    ]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("mteb:BelebeleRetrievel", "mteb has no task 'BelebeleRetrievel'; did you mean Belebele"),
        (OWN + "Kinds", "is Classification of text: hbr runs MTEB's Retrieval and BitextMining"),
        (OWN + "NOTHING", "is no class of a task"),
        (OWN + "Missing", "cannot be imported"),
        (OWN + "Parallel/de,xx", "Parallel has no language 'xx'; known: de, en, th"),
        (OWN + "PassagesFirst/th", "has no subset in th alone"),
    ],
)
def test_a_name_that_means_nothing_is_refused_in_one_line(name: str, told: str) -> None:
    with pytest.raises(UserError, match=told) as mistake:
        dataset(name).check()
    assert mistake.value.exit_code == 2
    assert "\n" not in str(mistake.value)


def test_data_that_cannot_be_loaded_are_no_mistake_of_the_users() -> None:
    with pytest.raises(UserError, match=r"mteb cannot load .*NoData: no network") as failure:
        read(None, "", OWN + "NoData")
    assert failure.value.exit_code == 1


def test_without_mteb_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "mteb":
            raise ModuleNotFoundError("No module named 'mteb'", name="mteb")
        return whole(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"mteb:SciFact needs mteb: pip install 'hbr\[mteb\]'"):
        dataset("mteb:SciFact").check()


def test_what_a_file_elsewhere_names_is_not_imported_unasked() -> None:
    with guarded(set()), pytest.raises(UserError, match="--allow-code"):
        open_task(OWN + "Alone")


def test_the_revision_is_that_of_the_data_and_of_ones_own_source() -> None:
    assert revision(OWN + "Alone").startswith("7 ")
    assert len(revision("mteb:SciFact/en")) == 40


def test_languages_are_chosen_of_tasks_of_mteb_alone() -> None:
    with pytest.raises(UserError, match="languages are chosen of mteb: data sets alone"):
        in_languages("xquad-r", ["de"])
