"""Settings in layers: which wins, how they may be written, and what is said of mistakes."""

from pathlib import Path

import pytest

from hbr.core.config import ALIASES, full_path, parse_set, resolve_config
from hbr.core.errors import UserError
from hbr.core.settings import Config
from hbr.core.values import leaves
from hbr.core.yaml_files import read_yaml


def mistakes(*layers: dict) -> list[str]:
    with pytest.raises(UserError) as raised:
        resolve_config(*layers)
    assert raised.value.exit_code == 2
    return str(raised.value).splitlines()


def test_defaults_give_way_to_files_these_to_set_and_these_to_flags(tmp_path):
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("train: {max_steps: 1, batch_size: 10, learning_rate: 0.1}\nseed: 1\n")
    second.write_text("train: {max_steps: 2, batch_size: 20}\n")
    sets, flags = parse_set(["max_steps=3"]), {"train.max_steps": 4}
    one = resolve_config(read_yaml(first), read_yaml(second), sets, flags)
    assert (one.train.max_steps, one.train.batch_size, one.train.learning_rate, one.seed) == (
        4,
        20,
        0.1,
        1,
    )
    assert one.train.warmup_ratio == Config().train.warmup_ratio
    assert resolve_config(read_yaml(first), read_yaml(second), sets).train.max_steps == 3
    assert resolve_config(read_yaml(first), read_yaml(second)).train.max_steps == 2


def test_no_layer_gives_the_defaults():
    assert resolve_config() == resolve_config({}) == Config()


def test_a_layer_may_be_nested_dotted_or_short():
    nested, dotted = {"train": {"learning_rate": 1e-4}}, {"train.learning_rate": 1e-4}
    assert (
        resolve_config(nested) == resolve_config(dotted) == resolve_config({"learning_rate": 1e-4})
    )


@pytest.mark.parametrize(
    ("short", "path"),
    [
        ("learning_rate", "train.learning_rate"),
        ("alpha", "sampler.alpha"),
        ("seed", "seed"),
        ("sampler", "sampler.name"),
        ("encoder", "encoder.name"),
        ("batch-size", "train.batch_size"),
        ("encoder.query-max-seq-length", "encoder.query_max_seq_length"),
    ],
)
def test_a_short_name_stands_for_its_path(short, path):
    assert full_path(short) == path


@pytest.mark.parametrize(
    ("short", "one", "other"),
    [
        ("limit", "data.limit", "evaluate.limit"),
        ("precision", "train.precision", "encode.precision"),
        ("name", "sampler.name", "encoder.name"),
    ],
)
def test_a_short_name_that_two_sections_have_is_refused_with_both(short, one, other):
    (said,) = mistakes({short: 1})
    assert "ambiguous" in said
    assert one in said
    assert other in said


@pytest.mark.parametrize("path", list(leaves()))
def test_every_setting_is_known_by_its_path(path):
    assert full_path(path) == full_path(path.replace("_", "-")) == path


def test_underscore_and_dash_are_the_same_in_keys_and_names():
    one = resolve_config({"train": {"weight-decay": 0.5}}, {"sampler": "cross_lingual"})
    other = resolve_config({"train": {"weight_decay": 0.5}}, {"sampler": "cross-lingual"})
    assert one == other
    assert one.sampler.name == "cross-lingual"
    assert resolve_config({"encoder": "xlm_r_tiny"}).encoder.name == "xlm-r-tiny"


def test_mistakes_inside_sections_are_told_all_at_once():
    said = mistakes({"train": {"max_steps": -1, "stesp": 5}, "sampler": {"alpha": -1}, "seed": -1})
    told = "\n".join(said)
    assert "train.max_steps = -1" in told
    assert "'train.stesp'; did you mean train.max_steps?" in told
    assert "sampler.alpha = -1" in told
    assert "seed = -1" in told


def test_unknown_keys_of_one_layer_are_told_all_at_once_with_near_matches():
    first, second = mistakes({"stepz": 1, "sede": 2})
    assert "'stepz'; did you mean train.max_steps" in first
    assert "'sede'; did you mean seed" in second


def test_unknown_keys_of_different_layers_are_told_all_at_once():
    told = "\n".join(mistakes({"stepz": 1}, {"sede": 2}))
    assert "'stepz'" in told
    assert "'sede'" in told


def test_an_unknown_key_does_not_hide_a_value_out_of_range():
    told = "\n".join(mistakes({"stepz": 1, "train.batch_size": 0}))
    assert "'stepz'" in told
    assert "train.batch_size = 0" in told


def test_a_broken_yaml_file_is_named_with_its_line(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("train:\n  steps: 1\n  lr: [1, 2\nseed: 3\n")
    with pytest.raises(UserError, match=r"bad\.yaml:4: not YAML"):
        read_yaml(path)


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"- a\n- b\n", "must hold settings"), (b"\xff\xfe", "cannot be read"), (b"3", "must hold")],
)
def test_a_file_that_holds_no_settings_is_named(tmp_path, content, told):
    path = tmp_path / "odd.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"odd\.yaml: {told}"):
        read_yaml(path)


def test_a_missing_file_is_named_and_an_empty_one_changes_nothing(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.yaml: there is no such file"):
        read_yaml(Path(tmp_path / "nowhere.yaml"))
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert read_yaml(tmp_path / "empty.yaml") == {}


def test_set_values_are_yaml():
    assert parse_set(["a=1", "b = [x, 2]", "c=null", "d=a=b", "a=2"]) == {
        "a": 2,
        "b": ["x", 2],
        "c": None,
        "d": "a=b",
    }


@pytest.mark.parametrize("text", ["steps", "alpha=[1"])
def test_a_set_that_cannot_be_read_is_shown(text):
    with pytest.raises(UserError, match=r"--set '"):
        parse_set([text])


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("query_prompt=query: ", "query: "),
        ('query_prompt="query: "', "query: "),
        ("query_prompt=", ""),
        ("encoder.revision=1e5", "1e5"),
        ("encoder.revision=null", None),
        ("sampler=null", "null"),
        ("validation=no", "no"),
        ("data.languages=en, no", ["en", "no"]),
        ("data.languages=[en, 'no', no]", ["en", "no", "no"]),
        ("data.languages=null", None),
        ("data=hf:org/name", ["hf:org/name"]),
        ("alpha=0.8,0.2", [0.8, 0.2]),
        ("index=hnsw", "hnsw"),
        ("torch_compile=true", True),
    ],
)
def test_a_value_is_read_as_its_setting_is_declared(assignment, value):
    assert list(parse_set([assignment]).values()) == [value]


def test_later_assignments_win_however_they_are_spelled():
    sets = parse_set(["learning_rate=1", "train.learning_rate=2", "learning_rate=3"])
    assert resolve_config(sets).train.learning_rate == 3


@pytest.mark.parametrize("name", ["lr", "warmup", "per_device_train_batch_size", "chunk_size"])
def test_a_name_that_others_use_is_answered_with_ours(name):
    assert mistakes({name: 1}) == [f"there is no setting {name!r}; did you mean {ALIASES[name]}?"]
    leaf = f"train.{name}"
    assert mistakes({leaf: 1}) == [f"there is no setting {leaf!r}; did you mean {ALIASES[name]}?"]


def test_every_name_that_others_use_stands_for_a_setting_and_is_none():
    paths = leaves()
    assert set(ALIASES.values()) <= set(paths)
    assert not set(ALIASES) & {path.rpartition(".")[2] for path in paths}
