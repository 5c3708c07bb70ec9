"""Every name in the table stands for something, and others for what they say."""

import sys

import pytest

from hbr.core.config import resolve_config
from hbr.core.errors import UserError
from hbr.core.registry import (
    TABLE,
    canonical,
    get,
    guarded,
    near,
    references,
    trust,
    untrusting,
)


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k, names in TABLE.items() for n in names])
def test_every_name_is_found_also_with_the_other_dash(kind, name):
    found = get(kind, name)
    assert found is not None
    assert get(kind, name.replace("-", "_")) is found
    assert get(kind, name.replace("_", "-")) is found


def test_names_are_spelled_as_in_the_table():
    assert canonical("sampler", "cross_lingual") == "cross-lingual"
    assert canonical("metric", "rank-distance") == "rank_distance"
    assert canonical("encoder", "my_folder/model") == "my_folder/model"


def test_a_module_and_attribute_are_the_object():
    assert get("sampler", "hbr.training.samplers:HYBRID") is get("sampler", "hybrid")


def test_an_object_of_another_kind_is_refused():
    with pytest.raises(UserError, match=r"sampler 'json:dumps' is a function; .*samplers\.Sampler"):
        get("sampler", "json:dumps")


@pytest.mark.parametrize(
    ("kind", "wrong", "right"),
    [
        ("sampler", "hybird", "hybrid"),
        ("encoder", "xml-r", "xlm-r"),
        ("dataset", "xquad", "xquad-r"),
    ],
)
def test_a_typo_is_answered_with_the_near_name(kind, wrong, right):
    with pytest.raises(UserError, match=f"there is no {kind} '{wrong}'; did you mean .*{right}"):
        get(kind, wrong)


def test_where_nothing_is_near_all_names_are_listed():
    assert near("zzz", ["b", "a"]) == "; known: a, b"


@pytest.mark.parametrize(
    "name", ["no_such_module:thing", "json:no_such_thing", "json:", ":thing", ".here:thing"]
)
def test_what_cannot_be_imported_is_a_users_mistake(name):
    with pytest.raises(UserError, match="sampler"):
        get("sampler", name)


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k, names in TABLE.items() for n in names])
def test_an_entry_says_its_own_name(kind, name):
    assert get(kind, name).name == name


PLUGIN = "from hbr.training.samplers import Sampler\nMINE = Sampler('mine', lambda alpha: {})\n"


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Write a module of one's own, in the current folder."""
    (tmp_path / "my_plugin_x.py").write_text(PLUGIN)
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "my_plugin_x.py"
    sys.modules.pop("my_plugin_x", None)
    sys.path[:] = [place for place in sys.path if place != str(tmp_path)]


NAME = "my_plugin_x:MINE"


def test_what_a_file_elsewhere_names_is_not_imported_unasked(plugin, tmp_path):
    with guarded(references("hbr train --sampler hybrid")):
        with pytest.raises(UserError, match=r"would import my_plugin_x, .* --allow-code"):
            get("sampler", NAME)
        assert "my_plugin_x" not in sys.modules
        trust(tmp_path.parent / "elsewhere.yaml", f"sampler: {NAME}")
        with pytest.raises(UserError, match="--allow-code"):
            get("sampler", NAME)


def test_what_was_typed_or_stands_below_the_current_folder_is_imported(plugin, tmp_path):
    with guarded(references(f"hbr train --sampler {NAME}")):
        assert get("sampler", NAME).name == "mine"
    with guarded(set()):
        trust(tmp_path / "below" / "config.yaml", f"sampler: '{NAME}'")
        assert get("sampler", NAME).name == "mine"


def test_what_is_read_from_a_bundle_is_trusted_no_more_for_lying_below_the_current_folder(plugin):
    with guarded(set()), untrusting():
        trust(plugin.parent / "config.yaml", f"sampler: {NAME}")
        with pytest.raises(UserError, match="--allow-code"):
            get("sampler", NAME)


def test_a_changed_source_is_another_run_and_names_of_ours_have_none(plugin):
    def run() -> dict:
        return resolve_config({"sampler": NAME}).identity()

    before = run()
    assert run() == before
    plugin.write_text(PLUGIN + "# changed\n")
    assert run() != before
    assert "source" not in resolve_config({"sampler": "hybrid"}).identity()["sampler"]
    assert "source" not in resolve_config({}).identity()["objective"]


def test_the_current_folder_hides_no_library(plugin):
    get("sampler", NAME)
    assert sys.path[-1] == str(plugin.parent)
