"""Every name in the table stands for something, and others for what they say."""

import pytest

from hbr.core.errors import UserError
from hbr.core.registry import TABLE, canonical, get, near


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
