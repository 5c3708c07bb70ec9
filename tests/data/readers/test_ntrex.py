"""NTREX-128: translations of one English text, line by line, to and from English or all pairs."""

from collections import Counter

import numpy as np
import pytest

from hbr.core.errors import UserError
from hbr.core.languages import group
from hbr.data.lookup import dataset
from hbr.data.readers.ntrex import FILES, NTREX
from hbr.data.tasks import data_of, limited, open_task, write_task


@pytest.fixture
def folder(tmp_path):
    for name, lines in {
        "src.eng": "one\ntwo\n",
        "ref.deu": "eins\nzwei\n",
        "ref.yor": "ọ̀kan\nèjì\n",
        "ref.eng-GB": "one\ntwo\n",
        "ref-2.spa": "uno\ndos\n",
    }.items():
        (tmp_path / f"newstest2019-{name}.txt").write_text(lines, encoding="utf-8")
    return tmp_path


def test_a_sentence_is_looked_for_in_english_or_from_it(folder):
    data = NTREX.read(folder, "sentence")
    assert data.relevant["deu:2"] == [("eng", "2")]
    assert data.relevant["eng:2"] == [("deu", "2"), ("yor", "2")]
    assert data.settings == ("cross",)
    assert Counter(query.language for query in data.queries) == {"deu": 2, "eng": 2, "yor": 2}
    assert [passage.text for passage in data.passages] == [
        *("eins", "zwei"), *("one", "two"), *("ọ̀kan", "èjì")
    ]  # fmt: skip


def test_all_pairs_are_looked_for_on_request(folder):
    data = dataset("ntrex:all-pairs").read(folder, "sentence")
    assert data.relevant == {n: [(lang, n) for lang in ("deu", "eng", "yor")] for n in ("1", "2")}
    assert "all pairs" in data.protocol


@pytest.mark.parametrize(("tier", "languages"), [("low", {"yor"}), ("high", {"deu"})])
def test_a_tier_of_cc100_is_a_part_of_it(folder, tier, languages):
    data = dataset(f"ntrex:{tier}").read(folder, "sentence")
    assert {query.language for query in data.queries} == {"eng", *languages}


def test_the_folder_above_serves_as_upstream_lays_it_out(folder, tmp_path_factory):
    above = tmp_path_factory.mktemp("repository")
    (above / "NTREX-128").symlink_to(folder)
    assert len(NTREX.read(above, "sentence").queries) == 6


def test_files_of_other_lengths_are_named(folder):
    (folder / "newstest2019-ref.deu.txt").write_text("eins\n")
    with pytest.raises(UserError, match=r"ref\.deu\.txt: has 1 lines, and English 2"):
        NTREX.read(folder, "sentence")


@pytest.mark.parametrize("gone", ["src.eng", "ref.deu", "ref.yor"])
def test_a_folder_that_lacks_files_is_a_users_mistake(folder, gone):
    (folder / f"newstest2019-{gone}.txt").unlink()
    tier = {"ref.deu": "ntrex:high", "ref.yor": "ntrex:low"}.get(gone, "ntrex")
    with pytest.raises(UserError, match="holds no newstest2019"):
        dataset(tier).read(folder, "sentence")


def test_another_part_is_a_users_mistake():
    with pytest.raises(UserError, match="no part 'lo'; did you mean low"):
        dataset("ntrex:lo")


def test_every_file_that_is_downloaded_is_of_a_language_that_is_known():
    codes = [name.removeprefix("newstest2019-ref.").removesuffix(".txt") for name in FILES]
    assert len(codes) == 125
    tiers = Counter(group("resource", code, None) for code in codes if "src" not in code)
    assert tiers == {"low": 54, "mid": 36, "high": 34}


def test_the_sample_is_400_sentences_in_26_languages_and_english(shared_data, tmp_path):
    folder = shared_data / "ntrex"
    if not folder.is_dir():
        pytest.skip(f"needs NTREX-128 in {folder}")
    counts = write_task(tmp_path, "ntrex", NTREX.read(folder, "sentence"))
    assert set(counts["passages_by_language"].values()) == {400}
    assert len(counts["languages"]) == 27


def test_translations_of_a_sentence_are_one_observation(folder, tmp_path_factory):
    place = tmp_path_factory.mktemp("task")
    write_task(place, "ntrex", NTREX.read(folder, "sentence"))
    task = open_task(place, "id")
    ids, said = np.array(task.queries["id"].to_pylist()), task.said
    assert len(set(task.concept)) == 6  # German and Yoruba look for English, English for both
    assert {(a, b) for a, b in zip(ids, said, strict=True)} == {("1", 0), ("2", 1)}
    again = tmp_path_factory.mktemp("again")
    write_task(again, "ntrex", limited(data_of(task), 1))
    assert open_task(again, "id").said.tolist() == [0, 0, 0]
