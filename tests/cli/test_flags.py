"""Settings as flags, in the ways that people know from other command lines."""

import json
from pathlib import Path

import pytest
import yaml

from hbr.cli.flags import as_assignments
from tests.support import Said, hbr


def config(*words: object) -> dict:
    said = hbr("train", *words, "--print-config")
    assert said.code == 0, said.err
    return yaml.safe_load(said.out)


def refused(*words: object) -> str:
    said = hbr(*words)
    assert (said.code, said.out) == (2, ""), said
    assert said.err.startswith("hbr: ")
    return said.err


@pytest.mark.parametrize(
    ("words", "path", "value"),
    [
        ("--learning-rate 1e-4", "train.learning_rate", 1e-4),
        ("--lr 1e-4", "train.learning_rate", 1e-4),
        ("--learning_rate=1e-4", "train.learning_rate", 1e-4),
        ("--train.learning_rate 1e-4", "train.learning_rate", 1e-4),
        ("--train.learning-rate=1e-4", "train.learning_rate", 1e-4),
        ("train.learning_rate=1e-4", "train.learning_rate", 1e-4),
        ("learning_rate=1e-4", "train.learning_rate", 1e-4),
        ("--max-steps 7", "train.max_steps", 7),
        ("--max_steps 7", "train.max_steps", 7),
        ("--steps 7", "train.max_steps", 7),
        ("--precision bf16", "train.precision", "bf16"),
        ("--temperature 0.1", "objective.temperature", 0.1),
        ("--objective smoothing --sigma 0.2", "objective.sigma", 0.2),
        ("objective=smoothing objective.sigma=0.2", "objective.sigma", 0.2),
        ("--batch-size 8", "train.batch_size", 8),
        ("sampler=cross_lingual", "sampler.name", "cross-lingual"),
        ("--sampler.name mixed", "sampler.name", "mixed"),
        ("--alpha 0.8,0.2", "sampler.alpha", [0.8, 0.2]),
        ("--data a.jsonl --data hf:b/c", "data.train", ["a.jsonl", "hf:b/c"]),
        ("data=mmarco", "data.train", ["mmarco"]),
        ("--languages en,no", "data.languages", ["en", "no"]),
        ("--gradient-accumulation-steps 4", "train.gradient_accumulation_steps", 4),
        ("--symmetric --seed 3", "objective.symmetric", True),
        ("--report-to none", "train.report_to", []),
        ("--untrained", "train.max_steps", 0),
        ("--sampler untrained", "train.max_steps", 0),
        ("--seed 1 --seed 2", "seed", 2),
        ("seed=1 seed=2", "seed", 2),
        ("--seed 1 --set seed=2", "seed", 1),
    ],
)
def test_a_setting_may_be_written_as_elsewhere(words: str, path: str, value: object) -> None:
    found = config(*words.split())
    for part in path.split("."):
        found = found[part]
    assert found == value


@pytest.mark.parametrize(
    "words",
    [
        ("--set", "query_prompt=query: "),
        ("query_prompt=query: ",),
        ("--query-prompt", "query: "),
        ("--encoder.query_prompt=query: ",),
    ],
)
def test_a_text_keeps_its_last_space(words: tuple[str, ...]) -> None:
    assert config(*words)["encoder"]["query_prompt"] == "query: "


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train --stepz 3", "train has no option --stepz; did you mean train.max_steps?"),
        (
            "train --outptu-dir x",
            "train has no option --outptu-dir; did you mean --output-dir?",
        ),
        ("train --per_device_train_batch_size 8", "did you mean train.batch_size?"),
        ("train --warmup 0.1", "did you mean train.warmup_ratio?"),
        ("train --prefix x", "did you mean encoder.query_prompt?"),
        ("train lr=1e-4", "there is no setting 'lr'; did you mean train.learning_rate?"),
        ("train --limit 3", "'limit' is ambiguous: data.limit or evaluate.limit"),
        ("train --learning-rate", "--learning-rate needs a value"),
        ("train --learning-rate fast", "train.learning_rate = 'fast'"),
        ("train --epochs 2 --max-steps 3", "leave out --max-steps"),
        ("train --epochs 2 --untrained", "leave out --max-steps and --untrained"),
        ("train --epochs nan", "nan is not a number above 0"),
        ("train --zzz 1", "train has no option --zzz; `hbr settings` lists them all"),
    ],
)
def test_a_mistaken_flag_is_answered_with_what_may_be_meant(words: str, message: str) -> None:
    assert message in refused(*words.split())


def test_epochs_are_converted_to_steps_and_said(rows_file, tmp_path: Path) -> None:
    data = rows_file(count=40)
    words = ("plan", "--data", data, "--batch-size", "8", "--output-dir", tmp_path, "--json")
    for flag in ("--epochs", "--num_train_epochs", "--num-train-epochs"):
        said = hbr(*words, flag, "1.5")
        assert json.loads(said.out)["batches"] == 8
        assert "1.5 epochs of 40 rows, 8 a step: --max-steps 8" in said.err
    said = hbr(*words, "--epochs", "1", "--gradient-accumulation-steps", "2")
    assert "1 epochs of 40 rows, 16 a step: --max-steps 3" in said.err
    few = hbr(*words[:-1], "--epochs", "1", "--languages", "de,th")
    assert "40 rows" in few.err


def test_a_run_that_exists_is_not_taken_for_a_setting(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=1").mkdir()
    assert "a=1 is no run" in refused("compare", "a=1")


def test_a_setting_longer_than_the_name_of_a_file_is_a_setting() -> None:
    assert config("query_prompt=" + "x" * 5000)["encoder"]["query_prompt"] == "x" * 5000


def test_each_command_reads_a_shared_name_as_its_own(tmp_path: Path) -> None:
    message = refused("encode", "--precision", "fp8", "--output-dir", tmp_path)
    assert "has no run yet" in message
    assert config("--precision", "bf16")["encode"]["precision"] == "fp32"


def completions(line: str, monkeypatch: pytest.MonkeyPatch) -> Said:
    monkeypatch.setenv("_HBR_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    return hbr()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("hbr tr", {"train"}),
        ("hbr train --sampler ", {"hybrid", "monolingual", "english"}),
        ("hbr train --encoder xlm-r-t", {"xlm-r-tiny"}),
        ("hbr train --objective s", {"smoothing"}),
        ("hbr train --precision b", {"bf16"}),
        ("hbr evaluate --dataset xq", {"xquad-r"}),
        ("hbr train --learn", {"--learning-rate"}),
    ],
)
def test_names_and_options_are_completed(line: str, words: set[str], monkeypatch) -> None:
    said = completions(line, monkeypatch)
    assert words <= set(said.out.split())


def test_completion_can_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    said = hbr("--help")
    assert "--install-completion" in said.out
    assert "--show-completion" in said.out


def test_a_question_may_hold_an_equals_sign() -> None:
    question = "E=mc2, who said so?"
    assert as_assignments("search", [], [question]) == [question]
    assert as_assignments("train", [], ["lr=1e-4"]) == ["--set", "lr=1e-4"]
