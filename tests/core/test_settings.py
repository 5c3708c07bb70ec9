"""Settings are layered, checked all at once, and written so that they read back equal."""

import sys
from types import ModuleType

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hbr.compare.results import settings_of
from hbr.core import registry, values
from hbr.core.config import parse_set, resolve_config
from hbr.core.errors import UserError
from hbr.core.settings import Config, Objective
from hbr.core.settings.train import LATER, LOG_ONLY, SAME_RESULT, Train
from hbr.core.values import leaves
from hbr.core.yaml_files import read_yaml
from hbr.evaluation.metrics import Metric
from hbr.experiments.run_spec import complete, slug
from hbr.training.objectives import Objective as TrainingObjective
from hbr.training.samplers import Sampler


def mistakes(*layers: dict) -> list[str]:
    with pytest.raises(UserError) as raised:
        resolve_config(*layers)
    assert raised.value.exit_code == 2
    return str(raised.value).splitlines()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train.learning_rate", 0),
        ("objective.temperature", 0),
        ("train.batch_size", 1),
        ("train.warmup_ratio", 1.1),
        ("objective.mask", "groups"),
        ("encoder.pooling", "middle"),
        ("index.kind", "tree"),
        ("evaluate.passage", "paragraph"),
        ("train.max_steps", "many"),
        ("data.size_exponent", float("nan")),
        ("seed", True),
        ("seed", "3"),
        ("seed", -1),
        ("seed", 2**63),
        ("sampler.alpha", 1e-320),
        ("train.learning_rate", float("inf")),
        ("train.max_steps", 10**12),
        ("train.gradient_accumulation_steps", 10**12),
        ("encode.shard_size", 1e23),
        ("objective.temperature", 1e12),
        ("data.train", ["a", "b", "a"]),
        ("evaluate.metrics", []),
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


SHARES = st.just(0.0) | st.floats(1e-12, 1)


@settings(deadline=None)
@example(alpha=0.5, lr=None, train=["\x85"], prefix="\u2028")  # line ends to PyYAML
@given(
    alpha=SHARES | st.tuples(SHARES, SHARES),
    lr=st.none() | st.floats(1e-12, 1e3),
    train=st.lists(st.text(min_size=1), min_size=1, max_size=3, unique=True),
    prefix=st.text(),
)
def test_yaml_reads_back_to_an_equal_config(alpha, lr, train, prefix):
    config = resolve_config(
        {
            "alpha": alpha,
            "learning_rate": lr,
            "data.train": train,
            "query_prompt": prefix,
            "pooling": "cls",
        }
    )
    back = resolve_config(yaml.safe_load(config.to_yaml()))
    assert back == config
    assert back.identity() == config.identity()


def test_a_written_config_is_complete(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(resolve_config({"encoder": "Bücher/модель"}).to_yaml(), encoding="utf-8")
    written = read_yaml(path)
    found = {f"{s}.{k}" for s, v in written.items() if isinstance(v, dict) for k in v} | {"seed"}
    added = set().union(*OBJECTIVE_SETTINGS.values())
    assert found == set(leaves()) - {f"objective.{setting}" for setting in added}


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
        {"report_to": "none"},
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


TRAIN_IDENTITY = {
    *("max_steps", "batch_size", "gradient_accumulation_steps", "mini_batch_size"),
    *("learning_rate", "weight_decay", "warmup_ratio", "max_grad_norm", "precision"),
    *("torch_compile", "attention_dropout", "eval_steps", "early_stopping_patience"),
    *("hard_negatives", "start_from", "round"),
}


def test_the_identity_of_a_run_does_not_change_by_accident():
    assert set(Config().identity()["train"]) == TRAIN_IDENTITY
    assert set(Train.model_fields) == TRAIN_IDENTITY | LOG_ONLY | SAME_RESULT | set(LATER)
    assert slug(complete(Config())) == "hybrid-xlm-r-tiny-s0-d066aa"


CHANGED = {
    **{"perturbed": "queries", "weight": 0.5, "epsilon": 0.5, "norm": "linf", "ascent_steps": 2},
    **{"ascent_size": 0.5, "start": "random", "average": True, "sigma": 0.5, "swap": 0.5},
    **{"ramp": False, "classifier_learning_rate": 0.5, "language_weight": 0.5},
    **{"infonce_weight": 0.5, "teacher_temperature": 0.5, "scale": 7.0},
}
OBJECTIVE_SETTINGS = {
    name: set(registry.get("objective", name).settings.model_fields) - set(Objective.model_fields)
    for name in registry.names("objective")
}


def test_every_setting_of_an_objective_is_tried_below():
    assert set().union(*OBJECTIVE_SETTINGS.values()) == set(CHANGED)


@pytest.mark.parametrize("objective", OBJECTIVE_SETTINGS)
@pytest.mark.parametrize("setting", CHANGED)
def test_a_setting_belongs_to_the_objectives_that_read_it_alone(objective, setting):
    plain, path = resolve_config({"objective": objective}), f"objective.{setting}"
    layer = {"objective": objective, path: CHANGED[setting]}
    if setting not in OBJECTIVE_SETTINGS[objective]:
        (message,) = mistakes(layer)
        assert message.startswith(f"there is no setting {path!r}")
        return
    changed = resolve_config(layer)
    assert plain.identity() != changed.identity()
    assert settings_of(plain) != settings_of(changed)


class Shifted(Objective):
    shift: float = 0.5


def test_an_objective_from_outside_has_settings_of_its_own(monkeypatch):
    module = ModuleType("mine_losses")
    module.LOSS = TrainingObjective("mine", Shifted)
    monkeypatch.setitem(sys.modules, "mine_losses", module)
    layer = {"objective": "mine_losses:LOSS"} | parse_set(["objective.shift=1e-1"])
    config = resolve_config(layer)
    assert config.objective.shift == 0.1
    assert config.identity() != resolve_config({"objective": "mine_losses:LOSS"}).identity()
    (message,) = mistakes(layer | {"objective.shfit": 1})
    assert message == "there is no setting 'objective.shfit'; did you mean objective.shift?"


@pytest.mark.parametrize("objective", OBJECTIVE_SETTINGS)
@pytest.mark.parametrize(("path", "value"), [("symmetric", True), ("attention_dropout", 0.0)])
def test_what_changes_the_gradients_of_every_objective_is_in_the_identity(objective, path, value):
    plain = resolve_config({"objective": objective})
    assert plain.identity() != resolve_config({"objective": objective, path: value}).identity()


@pytest.mark.parametrize("setting", sorted(SAME_RESULT))
def test_what_changes_rounding_alone_is_not_in_the_identity(setting):
    other = {"parallel": "fsdp"}.get(setting, False)
    assert resolve_config({f"train.{setting}": other}).identity() == Config().identity()


def test_an_untrained_run_is_its_encoder_whatever_the_seed_and_the_training():
    one = identity(sampler="untrained")
    assert one == identity(sampler="untrained", seed=5, max_steps=9, alpha=0.1, data__train=["x"])
    assert one != identity(sampler="untrained", encoder="labse-tiny")


def test_metrics_may_have_cutoffs_or_be_ones_own(monkeypatch):
    module = ModuleType("mine_metrics")
    module.METRIC = Metric("mine", "mine", reads="ranks", needs_cutoff=True)
    monkeypatch.setitem(sys.modules, "mine_metrics", module)
    wanted = ["map", "ndcg@3", "recall@1000", "mine_metrics:METRIC@5"]
    assert resolve_config({"metrics": wanted}).evaluate.metrics == tuple(wanted)


@pytest.mark.parametrize("name", ["mapp", "map@0", "map@ten", "map@-1", "map@", "recal@1"])
def test_a_metric_that_does_not_exist_is_refused_with_a_near_one(name):
    (said,) = mistakes({"metrics": ["map", name]})
    if name in {"mapp", "recal@1"}:
        assert "did you mean" in said
    else:
        assert "cut-off" in said


def test_alpha_matters_for_a_sampler_of_ones_own(monkeypatch):
    module = ModuleType("mine_samplers")
    module.SAMPLER = Sampler("mine", lambda _: {}, uses_alpha=True)
    monkeypatch.setitem(sys.modules, "mine_samplers", module)
    own = {"sampler": {"name": "mine_samplers:SAMPLER"}}
    one, other = (resolve_config(own, {"alpha": alpha}) for alpha in (0.2, 0.8))
    assert one.identity() != other.identity()


@pytest.mark.parametrize("path", leaves())
def test_every_setting_is_described_with_its_default_and_what_is_allowed(path):
    field = leaves()[path]
    assert field.description[0].isupper() or field.description[0] in "λ`Kw"
    assert field.description.endswith(".")
    assert values.allowed(field)
    value = values.read(field, values.default(field))
    assert (tuple(value) if isinstance(value, list) else value) == field.default
