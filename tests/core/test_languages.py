"""What is known of each language, how far apart two are, and the groups that follow from it."""

import subprocess
import sys
from collections import Counter

import pytest

from hbr.core.languages import BY, DISTANCES, distance, group, language, languages

XQUAD_R = {
    **{"ar": "arabic", "de": "latin", "el": "greek", "en": "latin", "es": "latin"},
    **{"hi": "devanagari", "ru": "cyrillic", "th": "thai", "tr": "latin", "vi": "latin"},
    "zh": "han",
}
MIRACL = "ar bn de en es fa fi fr hi id ja ko ru sw te th yo zh"
CROSSMODAL = (
    "ar bn cs da de el en es fa fi fil fr hi hr hu id it he ja ko mi nl no pl pt quz ro ru sv sw "
    "te th tr uk vi zh"
)
XTREME_R = (
    "af ar az bg bn de el en es et eu fa fi fr gu he hi ht hu id it ja jv ka kk ko lt ml mr ms my "
    "nl pa pl pt qu ro ru sw ta te th tl tr uk ur vi wo yo zh"
)
CC100 = (
    "af am ar as az be bg bn br bs ca cs cy da de el en eo es et eu fa fi fr fy ga gd gl gu ha he "
    "hi hr hu hy id is it ja jv ka kk km kn ko ku ky la lo lt lv mg mk ml mn mr ms my ne nl no om "
    "or pa pl ps pt ro ru sa sd si sk sl so sq sr su sv sw ta te th tl tr ug uk ur uz vi xh yi zh"
)
LABSE = (
    "af am ar as az be bg bn bo bs ca ceb co cs cy da de el en eo es et eu fa fi fr fy ga gd gl gu "
    "ha haw he hi hmn hr ht hu hy id ig is it ja jv ka kk km kn ko ku ky la lb lo lt lv mg mi mk "
    "ml mn mr ms mt my ne nl no ny or pa pl pt ro ru rw si sk sl sm sn so sq sr st su sv sw ta te "
    "tg th tk tl tr tt ug uk ur uz vi wo xh yi yo zh zu"
)
IN_VITRO = [f"qa{letter}" for letter in "abcdefghij"]  # codes for private use
REAL = [found for found in languages() if found.code not in IN_VITRO]


@pytest.mark.parametrize(("code", "script"), XQUAD_R.items())
def test_every_language_of_xquad_r_has_its_script(code, script):
    assert language(code).script == script


@pytest.mark.parametrize("codes", [MIRACL, CROSSMODAL, XTREME_R, CC100, LABSE])
def test_every_language_of_the_data_sets_and_encoders_is_known(codes):
    assert [code for code in codes.split() if language(code) is None] == []


def test_every_language_of_the_tatoeba_test_set_is_known(shared_data):
    folder = shared_data / "tatoeba"
    if not folder.is_dir():
        pytest.skip(f"needs the Tatoeba test set in {folder}")
    codes = {path.name.split(".")[1].removesuffix("-eng") for path in folder.glob("tatoeba.*")}
    assert len(codes) == 112
    assert sorted(code for code in codes if language(code) is None) == []


def test_a_code_of_three_letters_means_the_same_language_as_that_of_two():
    assert language("deu") is language("de")
    assert language("zho") is language("zh")
    assert all(language(found.iso3) is language(found.code) is found for found in languages())


@pytest.mark.parametrize(
    ("other", "code"),
    [
        *[("cmn", "zh"), ("nob", "no"), ("nb", "no"), ("arb", "ar"), ("pes", "fa"), ("swh", "sw")],
        *[("zsm", "ms"), ("lvs", "lv"), ("ekk", "et"), ("khk", "mn"), ("azj", "az"), ("als", "sq")],
        *[("kmr", "ku"), ("iw", "he"), ("fil", "tl"), ("kzj", "dtp")],
    ],
)
def test_members_of_macrolanguages_and_old_codes_mean_the_usual_language(other, code):
    assert language(other) is language(code) is not None


def test_varieties_that_data_sets_hold_apart_are_languages_of_their_own():
    for apart in ("zh yue wuu", "ar arq arz", "no nn", "qu quz", "de gsw swg"):
        assert len({language(code) for code in apart.split()} - {None}) == len(apart.split())


@pytest.mark.parametrize("code", ["ZH", "zh-TW", "zh_TW", "zh-Hans", "zho_Hant", "CMN"])
def test_case_region_and_script_make_no_difference(code):
    assert language(code) is language("zh")


@pytest.mark.parametrize("code", ["", "xx", "english", "-de", "d"])
def test_a_language_that_the_table_lacks_is_none(code):
    assert language(code) is None


def test_no_code_stands_twice():
    codes = [found.code for found in languages()]
    codes += [found.iso3 for found in languages() if found.iso3 != found.code]
    codes += [alias for found in languages() for alias in found.aliases]
    assert [code for code, count in Counter(codes).items() if count > 1] == []


def test_names_stand_once_and_every_field_is_filled():
    assert len({found.name for found in languages()}) == len(languages())
    for found in languages():
        assert len(found.iso3) == 3
        assert found.script == found.script.lower() != ""
        assert found.family == found.family.lower() != ""


@pytest.mark.parametrize(
    ("code", "gib"),
    [
        *[("en", 300.8), ("ru", 278.0), ("de", 66.6), ("sw", 1.6), ("eo", 0.9), ("as", 0.1)],
        ("zh", 63.5),  # simplified 46.9, traditional 16.6
        ("my", 2.0),  # Unicode 1.6, Zawgyi 0.4
        ("hi", 20.2),  # without the romanised 0.5
        *[("yo", None), ("yue", None), ("nn", None), ("ht", None)],
    ],
)
def test_sizes_are_those_of_the_paper(code, gib):
    assert language(code).cc100_gib == gib


def test_the_languages_with_a_size_are_those_of_cc100():
    assert {found.code for found in REAL if found.cc100_gib is not None} == set(CC100.split())


@pytest.mark.parametrize(
    ("code", "tier"),
    [
        *[("en", "high"), ("hi", "high"), ("tr", "high"), ("zh", "high")],  # 20.2 and 20.9
        *[("cs", "mid"), ("bn", "mid"), ("sw", "mid"), ("ky", "mid")],  # 16.3 to 1.2
        *[("eo", "low"), ("cy", "low"), ("yo", "low"), ("tzl", "low")],  # 0.9, 0.8, none
    ],
)
def test_the_tier_follows_from_the_size(code, tier):
    assert language(code).resource == tier


@pytest.mark.parametrize("found", REAL, ids=lambda found: found.code)
def test_every_tier_follows_from_the_size(found):
    size = found.cc100_gib or 0
    assert found.resource == ("high" if size >= 20 else "mid" if size >= 1 else "low")


def test_the_in_vitro_languages_stand_behind_the_real_ones():
    assert [found.code for found in languages()[-10:]] == IN_VITRO


@pytest.mark.parametrize(
    ("first", "second", "steps"),
    [
        *[("de", "de", 0), ("de", "deu", 0), ("zh-TW", "cmn", 0)],
        *[("de", "en", 1), ("es", "ro", 1), ("uk", "ru", 1), ("qaa", "qab", 1)],
        *[("de", "es", 2), ("en", "vi", 2), ("hi", "ur", 2), ("pl", "ru", 2), ("he", "yi", 2)],
        *[("en", "ru", 3), ("el", "th", 3), ("zh", "ja", 3), ("ja", "ko", 3)],
        *[("de", "xx", None), ("xx", "de", None), ("xx", "xx", None)],
    ],
)
def test_distance_counts_what_two_languages_do_not_share(first, second, steps):
    assert distance(first, second) == distance(second, first) == steps


@pytest.mark.parametrize(
    ("by", "query", "passage", "expected"),
    [
        *[("resource", "en", None, "high"), ("resource", "en", "en", "high")],
        *[("resource", "en", "eng", "high"), ("resource", "en", "de", "high→high")],
        *[("resource", "yo", "en", "low→high"), ("resource", "en", "sw", "high→mid")],
        *[("script", "hi", None, "devanagari"), ("script", "el", "zh", "greek→han")],
        *[("family", "es", "es", "romance"), ("family", "de", "fr", "germanic→romance")],
        *[("distance", "de", "de", "same language"), ("distance", "de", "th", "neither")],
        ("distance", "de", "en", "same family and script"),
        ("distance", "hi", "ur", "same family or script"),
        *[("distance", "de", None, None), ("distance", "xx", None, None)],
    ],
)
def test_a_group_names_the_query_language_or_both_with_an_arrow(by, query, passage, expected):
    assert group(by, query, passage) == expected


@pytest.mark.parametrize("by", ["resource", "script", "family"])
def test_a_language_that_the_table_lacks_is_grouped_as_unknown(by):
    english = group(by, "en", None)
    assert group(by, "xx", None) == group(by, "xx", "XX") == "unknown"
    assert group(by, "xx", "en") == f"unknown→{english}"
    assert group(by, "en", "xx") == f"{english}→unknown"
    assert group(by, "xx", "yy") == "unknown→unknown"
    assert group("distance", "xx", "en") == group("distance", "en", "xx") == "unknown"


@pytest.mark.parametrize(
    ("query", "passage", "expected"),
    [
        *[("de", None, "seen"), ("deu", "de", "seen"), ("th", None, "unseen")],
        *[("de", "en", "seen→seen"), ("de", "th", "seen→unseen"), ("th", "el", "unseen→unseen")],
        *[("he", None, "seen"), ("xx", None, "seen"), ("yy", "de", "unseen→seen")],
    ],
)
def test_seen_are_the_languages_of_training_however_they_are_written(query, passage, expected):
    assert group("seen", query, passage, seen=["DE", "eng", "iw", "xx"]) == expected


def test_without_the_languages_of_training_none_is_seen_or_unseen():
    assert group("seen", "de", "en") is None
    assert group("seen", "de", "en", seen=()) == "unseen→unseen"


def test_every_grouping_gives_a_label_for_every_pair_of_languages():
    labels = {
        by: {group(by, one.code, two.code, seen=["de"]) for one in languages() for two in REAL[:9]}
        for by in BY
    }
    assert labels["distance"] == set(DISTANCES)
    assert all(None not in found and "unknown" not in found for found in labels.values())


@pytest.mark.parametrize("by", ["", "code", "cc100_gib", "Resource"])
def test_another_grouping_is_an_error_that_names_those_there_are(by):
    with pytest.raises(ValueError, match=r"there is no grouping by .*resource"):
        group(by, "de", "en")


def test_importing_the_module_loads_neither_numpy_nor_the_invented_languages():
    program = (
        "import sys, hbr.core.languages; print({'numpy', 'hbr.data.synthetic'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "set()"
