"""BUCC's layout becomes a task of two parts a pair, and is mined end to end."""

import json
from pathlib import Path

import pytest

from hbr.core.errors import UserError
from hbr.data.readers.bucc import BUCC
from hbr.data.tasks import Mining, Passage, Query, open_task, write_task
from tests.support import beside, hbr


def pair(root: Path, language: str, part: str, count: int, extra: int = 3) -> None:
    """Write `count` sentences with translations, and `extra` without on either side."""
    folder = root / f"{language}-en"
    folder.mkdir(parents=True, exist_ok=True)
    for code, word in ((language, "ding"), ("en", "thing")):
        told = [f"{code}-{n:09d}\t{word} number {n} of {part}" for n in range(count)]
        told += [f"{code}-{n:09d}\tonly {code} {n * 7}" for n in range(count, count + extra)]
        (folder / f"{language}-en.{part}.{code}").write_text("\n".join(told) + "\n")
    gold = "".join(f"{language}-{n:09d}\ten-{n:09d}\n" for n in range(count))
    (folder / f"{language}-en.{part}.gold").write_text(gold)


@pytest.fixture
def folder(tmp_path):
    for language in ("de", "zh"):
        pair(tmp_path / "bucc2018", language, "sample", 4)
        pair(tmp_path / "bucc2018", language, "training", 6)
    return tmp_path


def test_every_part_is_a_language_of_its_own(folder):
    draft = BUCC.read(folder, "sentence")
    assert draft.mining == (
        Mining("de", "en-de", "de-sample", "en-de-sample"),
        Mining("zh", "en-zh", "zh-sample", "en-zh-sample"),
    )
    asked = "de:de-000000001"
    assert Query("de-000000001", "de", asked, "ding number 1 of training") in draft.queries
    assert draft.relevant[asked] == [("en-de", "en-000000001")]
    passages = list(draft.passages)
    assert passages[0] == Passage("en-000000000", "en-de", "thing number 0 of training")
    assert [p.language for p in passages] == sorted(p.language for p in passages)


def test_the_task_keeps_what_is_to_be_mined(folder, tmp_path):
    draft = BUCC.read(folder / "bucc2018", "sentence")
    place = tmp_path / "task"
    place.mkdir()
    write_task(place, "bucc", draft)
    task = open_task(place, "id")
    assert task.mining == draft.mining
    block = task.query_blocks[task.languages.index("de-sample")]
    assert set(task.queries["text"][block].to_pylist()) >= {"ding number 3 of sample"}


def test_mining_end_to_end(folder, world, tmp_path):
    runs = beside(world, tmp_path / "runs")
    assert hbr("train", "--sampler", "untrained", "--output-dir", runs).code == 0
    words = ("--dataset", "bucc", "--source", folder, "--output-dir", runs)
    said = hbr("evaluate", *words, "--by-language")
    assert said.code == 0, said.err
    assert "F1" in said.out
    run = runs / (runs / "latest").resolve().name
    plain = json.loads((run / "evaluate/bucc/metrics.json").read_text())
    assert plain["languages"] == ["de", "en", "zh"]
    assert plain["by_pair"].keys() == {"de->en", "zh->en"} == plain["thresholds"].keys()
    cross = plain["settings"]["cross"]
    assert cross["f1"] == pytest.approx(sum(v["f1"] for v in plain["by_pair"].values()) / 2)
    assert 0 < cross["recall"] <= 1
    said = hbr("evaluate", *words, "--set", "evaluate.margin=ratio")
    assert said.code == 0, said.err
    again = json.loads((run / "evaluate/bucc/metrics.json").read_text())
    assert "ratio margin over 4 neighbours" in again["protocol"]
    assert again["thresholds"] != plain["thresholds"]
    said = hbr("compare", run, "--output-dir", runs, "--dataset", "bucc")
    assert said.code == 0, said.err
    for refused in (("--trec",), ("--index", "flat")):
        said = hbr("evaluate", *words, *refused)
        assert said.code == 2
        assert "bucc is mined, not ranked" in said.err


def test_a_missing_file_is_named(folder):
    (folder / "bucc2018/zh-en/zh-en.sample.gold").unlink()
    with pytest.raises(UserError, match=r"zh-en\.sample\.gold .*is missing: --source needs BUCC"):
        BUCC.read(folder, "sentence")


def test_a_gold_pair_of_unknown_sentences_is_named(folder):
    gold = folder / "bucc2018/de-en/de-en.training.gold"
    gold.write_text(gold.read_text() + "de-999\ten-000000001\n")
    with pytest.raises(UserError, match=r"gold:7: there is no sentence de-999"):
        BUCC.read(folder, "sentence")


def test_a_folder_without_pairs_is_a_users_mistake(tmp_path):
    with pytest.raises(UserError, match="--source needs BUCC 2018's folders"):
        BUCC.read(tmp_path, "sentence")
