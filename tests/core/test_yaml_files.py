"""YAML is read as version 1.2 has it, each key once, and nothing unfolds without bound."""

import os

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hbr.core.errors import UserError
from hbr.core.yaml_files import dump, load, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("true", True),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("1e-5", 1e-5),
        ("-.5", -0.5),
        ("10_000", 10_000),
        (".inf", float("inf")),
        ("~", None),
        ("[de, no]", ["de", "no"]),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("base: &x {a: 1}\nmore: {<<: *x, b: 2}", {"base": {"a": 1}, "more": {"a": 1, "b": 2}}),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    assert load(text) == value


def test_a_key_that_stands_twice_is_a_mistake_with_its_line(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("train:\n  max_steps: 1\n  max_steps: 2\n")
    with pytest.raises(UserError, match=r"a\.yaml:3: not YAML: 'max_steps' stands here twice"):
        read_yaml(path)


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))


@pytest.mark.parametrize("text", [BOMB, "a: &a [*a]", "[" * 5000, "9" * 5000])
def test_what_unfolds_without_bound_is_refused(text):
    with pytest.raises(yaml.YAMLError):
        load(text)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="no regular file"):
        read_yaml(tmp_path / "pipe")


@given(st.text() | st.sampled_from(["1e5", "no", "010", "1:30", "2024-01-01", "=", "<<", "~"]))
def test_a_text_is_written_so_that_yaml_1_1_and_1_2_read_it_back(text):
    assert load(dump({"a": text})) == yaml.safe_load(dump({"a": text})) == {"a": text}
