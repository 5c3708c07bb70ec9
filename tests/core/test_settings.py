"""Settings are layered, checked all at once, and written so that they read back equal."""

from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hbr.compare.evidence import flat
from hbr.core.errors import UserError
from hbr.core.settings import (
    LATER,
    LOG_ONLY,
    OBJECTIVE_SETTINGS,
    Config,
    Train,
    full_path,
    leaves,
    parse_set,
    read_yaml,
    resolve_config,
)
from hbr.experiments.pipeline import complete, slug


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
    assert resolve_config(nested) == resolve_config(dotted) == resolve_config({"lr": 1e-4})


@pytest.mark.parametrize(
    ("short", "path"),
    [
        ("lr", "train.learning_rate"),
        ("alpha", "sampler.alpha"),
        ("seed", "seed"),
        ("sampler", "sampler.name"),
        ("encoder", "encoder.name"),
        ("batch-size", "train.batch_size"),
        ("encoder.query-length", "encoder.query_max_seq_length"),
    ],
)
def test_a_short_name_stands_for_its_path(short, path):
    assert full_path(short) == path


@pytest.mark.parametrize(
    ("short", "one", "other"),
    [
        ("temperature", "data.size_exponent", "objective.temperature"),
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
    said = mistakes({"train": {"max_steps": 0, "stesp": 5}, "sampler": {"alpha": -1}, "seed": -1})
    told = "\n".join(said)
    assert "train.max_steps = 0" in told
    assert "'train.stesp'; did you mean steps?" in told
    assert "sampler.alpha = -1" in told
    assert "seed = -1" in told


def test_unknown_keys_of_one_layer_are_told_all_at_once_with_near_matches():
    first, second = mistakes({"stepz": 1, "sede": 2})
    assert "'stepz'; did you mean steps" in first
    assert "'sede'; did you mean seed" in second


def test_unknown_keys_of_different_layers_are_told_all_at_once():
    told = "\n".join(mistakes({"stepz": 1}, {"sede": 2}))
    assert "'stepz'" in told
    assert "'sede'" in told


def test_an_unknown_key_does_not_hide_a_value_out_of_range():
    told = "\n".join(mistakes({"stepz": 1, "train.batch_size": 0}))
    assert "'stepz'" in told
    assert "train.batch_size = 0" in told


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train.learning_rate", 0),
        ("objective.temperature", 0),
        ("train.batch_size", 1),
        ("train.warmup_ratio", 1.1),
        ("objective.mask", "groups"),
        ("encoder.pooling", "max"),
        ("index.kind", "tree"),
        ("evaluate.passage", "paragraph"),
        ("train.max_steps", "many"),
        ("data.size_exponent", float("nan")),
    ],
)
def test_a_value_out_of_range_is_refused_in_one_line(key, value):
    (said,) = mistakes({key: value})
    assert said.startswith(f"{key} = {value!r}: ")


def test_floats_that_yaml_reads_as_text_are_floats():
    assert yaml.safe_load("1e-5") == "1e-5"  # the trap
    assert (
        resolve_config(parse_set(["learning_rate=1e-5", "alpha=5e-1"])).train.learning_rate == 1e-5
    )
    assert resolve_config(parse_set(["alpha=[8e-1, 2e-1]"])).sampler.alpha == (0.8, 0.2)


def test_alpha_is_a_number_or_a_start_and_an_end():
    assert resolve_config({"alpha": 0.3}).sampler.alpha == 0.3
    assert resolve_config({"alpha": 1}).sampler.alpha == 1.0
    assert resolve_config({"alpha": [1, 0.2]}).sampler.alpha == (1.0, 0.2)


@pytest.mark.parametrize("alpha", [-0.1, 1.5, [0.5], [0.1, 0.2, 0.3], [0.5, 2], "half", None])
def test_alpha_out_of_range_is_refused(alpha):
    assert all(line.startswith("sampler.alpha = ") for line in mistakes({"alpha": alpha}))


def test_alpha_out_of_range_is_told_once():
    assert len(mistakes({"alpha": 1.5})) == 1


@settings(deadline=None)
@example(alpha=0.5, lr=None, train=["\x85"], prefix="\u2028")  # line ends to PyYAML
@given(
    alpha=st.floats(0, 1) | st.tuples(st.floats(0, 1), st.floats(0, 1)),
    lr=st.none() | st.floats(1e-12, 1e3),
    train=st.lists(st.text(min_size=1), min_size=1, max_size=3),
    prefix=st.text(),
)
def test_yaml_reads_back_to_an_equal_config(alpha, lr, train, prefix):
    config = resolve_config(
        {"alpha": alpha, "lr": lr, "data.train": train, "query_prompt": prefix, "pooling": "cls"}
    )
    back = resolve_config(yaml.safe_load(config.to_yaml()))
    assert back == config
    assert back.identity() == config.identity()


def test_a_written_config_is_complete(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(resolve_config({"encoder": "Bücher/модель"}).to_yaml(), encoding="utf-8")
    written = read_yaml(path)
    found = {f"{s}.{k}" for s, v in written.items() if isinstance(v, dict) for k in v} | {"seed"}
    assert found == set(leaves())


def identity(**settings) -> dict:
    return resolve_config({k.replace("__", "."): v for k, v in settings.items()}).identity()


@pytest.mark.parametrize("sampler", ["monolingual", "cross-lingual", "mixed", "english"])
def test_alpha_says_nothing_to_samplers_other_than_hybrid(sampler):
    assert identity(sampler=sampler, alpha=0.1) == identity(sampler=sampler, alpha=0.9)


def test_alpha_tells_hybrid_runs_apart():
    assert identity(sampler="hybrid", alpha=0.1) != identity(sampler="hybrid", alpha=0.9)


@pytest.mark.parametrize(
    "settings",
    [
        {"logging_steps": 1},
        {"save_steps": 1},
        {"tensorboard": False},
        {"encode.dtype": "float16"},
        {"evaluate.metrics": ["map"]},
        {"index.kind": "hnsw"},
    ],
)
def test_what_changes_no_weights_is_not_in_the_identity(settings):
    assert resolve_config(settings).identity() == Config().identity()


@pytest.mark.parametrize(
    "settings",
    [
        {"seed": 1},
        {"train.max_steps": 7},
        {"train.precision": "bf16"},
        {"eval_steps": 7},
        {"mask": "none"},
        {"encoder.pooling": "cls"},
        {"data.languages": ["en"]},
        {"data.size_exponent": 0.5},
    ],
)
def test_what_changes_weights_is_in_the_identity(settings):
    assert resolve_config(settings).identity() != Config().identity()


BEFORE_OBJECTIVES = {  # what infonce runs were known by before there were others
    *("objective", "temperature", "mask", "negatives", "steps", "batch_size", "accumulate"),
    *("mini_batch_size", "lr", "weight_decay", "warmup", "clip", "precision", "compile"),
    *("eval_steps", "patience"),
}


def test_runs_from_before_there_were_objectives_keep_their_identity():
    assert set(Config().identity()["train"]) == BEFORE_OBJECTIVES
    assert slug(complete(Config())) == "hybrid-xlm-r-tiny-s0-354d79"
    own = resolve_config({"objective.name": "mine.losses:loss"})
    assert set(own.identity()["train"]) == BEFORE_OBJECTIVES


CHANGED = {
    **{"perturbed": "queries", "weight": 0.5, "epsilon": 0.5, "norm": "linf", "ascent_steps": 2},
    **{"ascent_size": 0.5, "start": "random", "average": True, "sigma": 0.5, "swap": 0.5},
    **{"ramp": False, "classifier_learning_rate": 0.5, "language_weight": 0.5},
}


def test_every_setting_of_an_objective_is_one_of_the_train_section():
    assert set().union(*OBJECTIVE_SETTINGS.values()) == set(CHANGED)
    assert set(CHANGED) | BEFORE_OBJECTIVES | LOG_ONLY | set(LATER) == set(Train.model_fields)


YOUNG = {
    "symmetric": True,
    "unpadded": False,
    "attention_dropout": 0.0,
    "quick_dropout": False,
    "trim_vocabulary": False,
}


@pytest.mark.parametrize("objective", ["infonce", "mine.losses:loss", *OBJECTIVE_SETTINGS])
@pytest.mark.parametrize("setting", CHANGED)
def test_a_setting_is_in_the_identity_of_the_objectives_that_read_it_alone(objective, setting):
    plain = resolve_config({"objective.name": objective})
    changed = resolve_config(
        {"objective.name": objective, f"objective.{setting}": CHANGED[setting]}
    )
    read = ":" in objective or setting in OBJECTIVE_SETTINGS.get(objective, set())
    assert (plain.identity() != changed.identity()) == read
    assert (flat(plain) != flat(changed)) == read


@pytest.mark.parametrize("objective", ["infonce", "mine.losses:loss", *OBJECTIVE_SETTINGS])
@pytest.mark.parametrize(("setting", "value"), YOUNG.items())
def test_what_is_newer_than_finished_runs_tells_runs_of_every_objective_apart(
    objective, setting, value
):
    assert LATER.keys() == YOUNG.keys()
    plain = resolve_config({"objective.name": objective})
    other = resolve_config({"objective.name": objective, f"objective.{setting}": value})
    assert setting not in plain.identity()["train"]
    assert other.identity()["train"][setting] == value


def test_an_untrained_run_is_its_encoder_whatever_the_seed_and_the_training():
    one = identity(sampler="untrained")
    assert one == identity(sampler="untrained", seed=5, max_steps=9, alpha=0.1, data__train=["x"])
    assert one != identity(sampler="untrained", encoder="labse-tiny")


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


def test_metrics_may_have_cutoffs_or_be_ones_own():
    wanted = ["map", "ndcg@3", "recall@1000", "my.module:metric@5"]
    assert resolve_config({"metrics": wanted}).evaluate.metrics == tuple(wanted)


@pytest.mark.parametrize("name", ["mapp", "map@0", "map@ten", "map@-1", "map@", "recal@1"])
def test_a_metric_that_does_not_exist_is_refused_with_a_near_one(name):
    (said,) = mistakes({"metrics": ["map", name]})
    if name in {"mapp", "recal@1"}:
        assert "did you mean" in said
    else:
        assert "cut-off" in said


def test_alpha_matters_for_a_sampler_of_ones_own():
    own = {"sampler": {"name": "mine.samplers:sampler"}}
    one, other = (resolve_config(own, {"alpha": alpha}) for alpha in (0.2, 0.8))
    assert one.identity() != other.identity()
