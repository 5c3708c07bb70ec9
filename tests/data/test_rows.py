"""Rows are stored once, found again by (row, language), and tokenised once."""

import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hbr.core.errors import UserError
from hbr.data import row_writer
from hbr.data.row_writer import NO_GROUP, write_linked, write_rows
from hbr.data.rows import ROLES, Linked, Rows, open_rows
from hbr.data.tokens import open_tokens, write_tokens

RAGGED = [
    {"id": "a", "query": {"en": "q a", "de": "F a"}, "passage": {"en": "p a", "de": "P a"}},
    {
        "id": "b",
        "query": {"th": "ถาม", "en": "q b"},
        "passage": {"en": "p b", "th": "ตอบ"},
        "negatives": {"th": ["ไม่", "ใช่", "นะ"], "en": ["no"]},
    },
    {"id": "c", "query": {"de": "F c"}, "passage": {"de": "P c"}, "negatives": None},
]


def only(opened: Rows, places: np.ndarray) -> np.ndarray:
    """Say of each row that one language serves."""
    return np.arange(len(opened.languages)) == places[:, None]


def texts_of(opened: Rows, row: int, language: str) -> dict:
    rows, place = np.array([row]), np.array([opened.languages.index(language)])
    (asked,), (told,) = opened.query_cells(rows, place), opened.passage_cells(rows, place)
    return {
        "query": opened.queries.column[int(asked)].as_py(),
        "passage": opened.passages.column[int(told)].as_py(),
        "negatives": [
            opened.passages.column[int(cell)].as_py()
            for cell in opened.negatives_in(rows, only(opened, place), 99).cell
        ],
    }


def check_round_trip(opened: Rows, rows: list[dict]) -> None:
    assert len(opened) == len(rows)
    assert opened.ids.to_pylist() == [row["id"] for row in rows]
    cells = sum(len(row["query"]) for row in rows)
    assert len(opened.queries.column) == opened.queries.start[-1] == cells
    given = (texts for row in rows for texts in (row.get("negatives") or {}).values())
    assert len(opened.passages.column) == cells + sum(map(len, given))
    assert list(opened.languages) == sorted({lang for row in rows for lang in row["query"]})
    for number, row in enumerate(rows):
        has = opened.has[number].tolist()
        assert has == [language in row["query"] for language in opened.languages]
        for language in row["query"]:
            assert texts_of(opened, number, language) == {
                "query": row["query"][language],
                "passage": row["passage"][language],
                "negatives": (row.get("negatives") or {}).get(language, []),
            }


@pytest.fixture
def ragged(tmp_path) -> Rows:
    write_rows(tmp_path, "small", RAGGED, "en")
    return open_rows(tmp_path)


def test_ragged_rows_come_back(ragged):
    check_round_trip(ragged, RAGGED)


def test_cells_lie_item_by_item_and_languages_in_order(ragged):
    assert ragged.languages == ("de", "en", "th")
    assert ragged.queries.start.tolist() == [0, 2, 4, 5]
    assert ragged.queries.column.to_pylist() == ["F a", "q a", "q b", "ถาม", "F c"]
    rows, languages = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 2, 0])
    assert ragged.query_cells(rows, languages).tolist() == [0, 1, 2, 3, 4]
    assert ragged.query_cells(rows[::-1], languages[::-1]).tolist() == [4, 3, 2, 1, 0]


def test_negatives_are_passages_behind_their_rows_own(ragged):
    told = ["P a", "p a", "p b", "ตอบ", "no", "ไม่", "ใช่", "นะ", "P c"]
    assert ragged.passages.column.to_pylist() == told
    assert ragged.passage_of.tolist() == [0, 1, 5]
    assert ragged.negative.tolist() == [2, 3, 4]
    assert ragged.negatives_of.tolist() == [0, 0, 3, 3]


def test_texts_are_stored_once_per_language_not_per_pair(tmp_path):
    languages = [f"l{i}" for i in range(9)]
    row = {"query": dict.fromkeys(languages, "q"), "passage": dict.fromkeys(languages, "p")}
    write_rows(tmp_path, "wide", [{**row, "id": str(i)} for i in range(10)], None)
    opened = open_rows(tmp_path)
    assert len(opened.queries.column) == len(opened.passages.column) == 10 * 9  # not 10 · 9 · 8


def test_rows_whose_queries_are_their_passages_are_translations(tmp_path, ragged):
    assert not ragged.translations
    said = {"en": "hello", "de": "hallo"}
    rows = [{"id": str(i), "query": said, "passage": said} for i in range(3)]
    for name, every in (("bitext", rows), ("mixed", [*rows, RAGGED[0]])):
        (tmp_path / name).mkdir()
        write_rows(tmp_path / name, name, every, "en")
        assert open_rows(tmp_path / name).translations == (name == "bitext")


def test_counts_are_told(tmp_path):
    counts = write_rows(tmp_path, "small", RAGGED, "en")
    by_language = {"de": 2, "en": 2, "th": 1}
    assert counts == {"rows": 3, "groups": 3, "rows_by_language": by_language, "notes": {}}


def test_the_pivot_is_kept_where_the_rows_have_it(tmp_path):
    for pivot, kept in (("en", "en"), ("fr", None), (None, None)):
        write_rows(tmp_path, "small", RAGGED, pivot)
        assert open_rows(tmp_path).pivot == kept


def test_a_row_is_not_drawn_in_a_language_it_lacks(ragged):
    with pytest.raises(AssertionError):
        ragged.query_cells(np.array([2]), np.array([1]))


def test_fewer_languages_to_draw_from_leave_the_cells_where_they_are(ragged):
    fewer = ragged.only(["de", "xx"])
    assert fewer.has.tolist() == [[1, 0, 0], [0, 0, 0], [1, 0, 0]]
    assert fewer.languages == ragged.languages
    assert texts_of(fewer, 2, "de")["query"] == "F c"
    assert fewer.query_cells(np.array([0, 2]), np.array([0, 0])).tolist() == [0, 4]
    assert ragged.only(["en"]).only(["de"]).has.tolist() == fewer.has.tolist()


def groups_of(folder, name: str, passages: list[dict], *, pivot=None, group=None) -> list[int]:
    rows = [
        {"id": str(n), "group": group, "query": dict.fromkeys(texts, f"q{n}"), "passage": texts}
        for n, texts in enumerate(passages)
    ]
    (place := folder / f"{name} {len([*folder.iterdir()])}").mkdir()
    write_rows(place, name, rows, pivot)
    return open_rows(place).group.tolist()


def test_rows_without_a_group_share_one_where_they_share_a_passage_in_any_language(tmp_path):
    passages = [{"en": "p", "de": "P"}, {"de": "P"}, {"en": "p", "de": "Q"}, {"de": "Q"}]
    groups = groups_of(tmp_path, "small", [*passages, {"th": "P"}])
    assert groups[:4] == groups[:1] * 4
    assert groups[4] != groups[0]  # equal texts, but in other languages


def test_rows_without_a_group_beside_rows_with_one_are_counted(tmp_path):
    texts = {"query": {"en": "q"}, "passage": {"en": "p"}}
    rows = [{"id": str(n), "group": group, **texts} for n, group in enumerate(("g", None, None))]
    assert write_rows(tmp_path, "x", rows, None)["notes"][NO_GROUP] == 2


@pytest.mark.parametrize("other", ["café au lait ", "cafe\u0301  au lait", "Café\u200b au lait"])
def test_a_passage_is_the_same_in_another_unicode_form_or_with_other_blanks(tmp_path, other):
    one, two, three = groups_of(
        tmp_path, "small", [{"en": "café au lait"}, {"en": other}, {"en": "cafe au lait"}]
    )
    assert one == two != three


def test_a_shared_passage_is_one_group_over_all_data_sets_but_a_named_group_only_in_its_own(
    tmp_path,
):
    one, two = [{"en": "p", "de": "P"}], [{"de": "other"}, {"en": "p", "th": "T"}]
    assert (
        groups_of(tmp_path, "one", one, pivot="en")
        == groups_of(tmp_path, "two", two, pivot="en")[1:]
    )
    (named,) = groups_of(tmp_path, "one", one, group="g")
    assert [named] == groups_of(tmp_path, "one", [{"en": "x"}], group="g")
    assert [named] != groups_of(tmp_path, "two", one, group="g")
    assert [named] != groups_of(tmp_path, "one", one, group="G")
    assert groups_of(tmp_path, "one", one, group=0) != groups_of(tmp_path, "one", one)


def test_negatives_that_are_their_own_positive_are_dropped_and_counted(tmp_path):
    row = {"id": "1", "query": {"en": "q", "de": "f"}, "passage": {"en": "p", "de": "a"}}
    negatives = {"en": ["n", "P ", "m"], "de": ["a"]}
    counts = write_rows(tmp_path, "small", [{**row, "negatives": negatives}], None)
    assert counts["notes"] == {"negatives that are the passage of their row, dropped": 2}
    assert texts_of(open_rows(tmp_path), 0, "en")["negatives"] == ["m"]  # n says what "a" says
    assert texts_of(open_rows(tmp_path), 0, "de")["negatives"] == []


def test_a_linked_negative_that_is_the_positive_is_dropped_and_counted(tmp_path):
    texts = [("p", {"en": "p"}), ("n", {"en": "n"})]
    linked = Linked([("q", {"en": "q"})], texts, [("q", "p", ("n",)), ("q", "n", ("n",))])
    counts = write_linked(tmp_path, "small", linked, None)
    assert counts["notes"] == {"negatives that are the passage of their row, dropped": 1}
    assert open_rows(tmp_path).negatives_of.tolist() == [0, 1, 1]


def test_rows_with_one_query_and_different_passages_are_counted(tmp_path):
    pairs = [("q", "p"), ("q ", "P"), ("Q", "other"), ("r", "s")]
    rows = [{"id": q, "query": {"en": q}, "passage": {"en": p}} for q, p in pairs]
    notes = write_rows(tmp_path, "small", rows, None)["notes"]
    assert [*notes.values()] == [3]
    assert "whose query another row has with another passage" in next(iter(notes))


def test_no_rows_are_a_users_mistake(tmp_path):
    with pytest.raises(UserError, match="nothing: holds no rows"):
        write_rows(tmp_path, "nothing", [], None)


text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)
languages = st.lists(st.sampled_from(["de", "en", "sw", "th"]), min_size=1, max_size=4, unique=True)


other = text.map("n{}".format)  # no negative is a passage


@st.composite
def parallel(draw) -> list[dict]:
    rows = []
    for number in range(draw(st.integers(1, 7))):
        has = draw(languages)
        told = draw(st.lists(st.sampled_from(has), unique=True))
        rows.append(
            {
                "id": str(number),
                "query": {lang: draw(text) for lang in has},
                "passage": {lang: f"p{draw(text)}" for lang in has},
                "negatives": {lang: draw(st.lists(other, max_size=3)) for lang in told},
            }
        )
    return rows


@settings(max_examples=60, deadline=None)
@given(rows=parallel(), chunk=st.integers(1, 8))
def test_any_rows_come_back_in_chunks_of_any_size_and_so_do_their_tokens(rows, chunk):
    with tempfile.TemporaryDirectory() as name, mock.patch.object(row_writer, "CHUNK", chunk):
        folder = Path(name)
        write_rows(folder, "any", rows, None)
        opened = open_rows(folder)
        check_round_trip(opened, rows)
        check_tokens(folder, opened)


def tokenize(role: str, texts: list[str]) -> list[list[int]]:
    return [[len(role), *map(ord, text)] for text in texts]


def check_tokens(folder: Path, opened: Rows) -> None:
    counts = write_tokens(folder, opened, tokenize)
    tokens = open_tokens(folder)
    for role, texts in zip(ROLES, (opened.queries, opened.passages), strict=True):
        found = [t.tolist() for t in tokens.texts(role, range(len(texts.column)))]
        assert found == tokenize(role, texts.column.to_pylist())
    assert counts["tokens"] == {role: len(tokens.flat[role]) for role in ROLES}


def test_negatives_are_given_row_by_row_and_at_most_as_many_as_asked(ragged):
    rows, languages = np.array([1, 0, 1]), np.array([2, 1, 1])  # th, en, en
    drawn = ragged.negatives_in(rows, only(ragged, languages), 2)
    assert drawn.cell.tolist() == [5, 6, 4]
    assert drawn.owner.tolist() == [0, 0, 2]
    assert drawn.item.tolist() == [2, 3, 2]
    assert drawn.of(slice(1, 3)).cell.tolist() == [4]
    assert ragged.negatives_in(rows, only(ragged, languages), 0).cell.tolist() == []


def test_negatives_may_be_drawn_over_the_languages_that_each_has(ragged):
    """The first negative of row b is in English and Thai, the others are in Thai alone."""
    rows, every = np.array([1]), np.ones((1, 3), bool)
    first = [ragged.negatives_in(rows, every, 1, np.array([u, u, u])) for u in (0.1, 0.9)]
    assert [drawn.cell.tolist() for drawn in first] == [[4], [5]]
    no_thai = np.array([[True, True, False]])
    assert ragged.negatives_in(rows, no_thai, 9, np.array([0.9, 0.9, 0.9])).cell.tolist() == [4]


def test_a_negative_that_says_what_a_passage_says_is_of_its_group(tmp_path):
    rows = [
        {"id": "a", "group": "x", "query": {"en": "q"}, "passage": {"en": "one", "de": "eins"}},
        {"id": "b", "query": {"en": "r"}, "passage": {"en": "two"}},
    ]
    rows[0]["negatives"], rows[1]["negatives"] = [{"en": "else"}], [{"de": "Eins "}]
    write_rows(tmp_path, "small", rows, None)
    opened = open_rows(tmp_path)
    first, second = opened.group.tolist()
    assert opened.passage_group.tolist() == [first, 0, second, first]


def test_scores_lie_beside_what_they_are_of(tmp_path):
    rows = [
        {"id": "a", "query": {"en": "q"}, "passage": {"en": "p"}, "scores": [2.5, 1, 0.5]},
        {"id": "b", "query": {"en": "r"}, "passage": {"en": "s"}, "negatives": [{"en": "t"}]},
    ]
    rows[0]["negatives"] = [{"en": "P"}, {"en": "m"}]  # the first says what the passage says
    write_rows(tmp_path, "small", rows, None)
    opened = open_rows(tmp_path)
    assert np.nan_to_num(opened.positive_score, nan=-1).tolist() == [2.5, -1]
    assert np.nan_to_num(opened.negative_score, nan=-1).tolist() == [0.5, -1]


def test_rows_without_negatives_have_none(tmp_path):
    write_rows(tmp_path, "small", RAGGED[:1], None)
    opened = open_rows(tmp_path)
    assert write_tokens(tmp_path, opened, tokenize)["tokens"] == {"query": 8, "passage": 8}
    assert (
        opened.negatives_in(np.array([0, 0]), only(opened, np.array([0, 1])), 5).cell.tolist() == []
    )
    assert opened.positive_score is None


def test_tokenising_killed_while_its_chunks_are_removed_goes_on(ragged, tmp_path, monkeypatch):
    """Killed before any of the removals, and before the second of a chunk in the old order."""
    remove, left = Path.unlink, 0

    def killed(path: Path) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        remove(path)

    for step in range(4):
        folder, left = tmp_path / str(step), step
        folder.mkdir()
        monkeypatch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            write_tokens(folder, ragged, tokenize)
        monkeypatch.undo()
        check_tokens(folder, ragged)
    (tmp_path / "query-0.npy").write_bytes((tmp_path / "0" / "query.npy").read_bytes())
    check_tokens(tmp_path, ragged)  # sizes without their tokens


def test_tokenising_that_was_killed_goes_on_with_its_whole_chunks(ragged, tmp_path):
    asked = []

    def killed(role: str, texts: list[str]) -> list[list[int]]:
        asked.append(role)
        if role == "passage":
            raise KeyboardInterrupt
        return tokenize(role, texts)

    def counted(role: str, texts: list[str]) -> list[list[int]]:
        asked.append(role)
        return tokenize(role, texts)

    with pytest.raises(KeyboardInterrupt):
        write_tokens(tmp_path, ragged, killed)
    write_tokens(tmp_path, ragged, counted)
    assert asked == ["query", "passage", "passage"]
    check_tokens(tmp_path, ragged)
    assert not list(tmp_path.glob("*-*"))  # the chunks are gone


LINKED = Linked(
    queries=[("1", {"en": "q 1", "de": "F 1"}), ("2", {"en": "q 2"})],
    passages=[(str(n), {"en": f"p {n}", "de": f"P {n}"}) for n in range(4)] + [("x", {"de": "X"})],
    rows=[("1", "0", ["2", "3"]), ("2", "0", []), ("1", "3", ["x", "1"]), ("2", "x", [])],
)


def test_rows_may_refer_to_texts_by_id(tmp_path):
    counts = write_linked(tmp_path, "linked", LINKED, "en")
    opened = open_rows(tmp_path)
    assert counts == {"rows": 4, "groups": 3, "rows_by_language": {"de": 2, "en": 3}, "notes": {}}
    assert opened.ids.to_pylist() == ["1-0", "2-0", "1-3", "2-x"]
    assert len(opened.passages.column) == 9  # each text once, however many rows refer to it
    assert opened.has.tolist() == [[True, True], [False, True], [True, True], [False, False]]
    assert texts_of(opened, 2, "de") == {
        "query": "F 1",
        "passage": "P 3",
        "negatives": ["X", "P 1"],
    }
    assert texts_of(opened, 2, "en") == {"query": "q 1", "passage": "p 3", "negatives": ["p 1"]}
    assert opened.group[0] == opened.group[1] != opened.group[2]
    check_tokens(tmp_path, opened)


def test_linked_groups_are_those_of_their_data_set_alone(tmp_path):
    groups = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        write_linked(tmp_path / name, name, LINKED, None)
        groups.append(set(open_rows(tmp_path / name).group.tolist()))
    assert not groups[0] & groups[1]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"rows": [("3", "0", [])]}, "names the query 3, which is not there"),
        ({"rows": [("1", "9", [])]}, "names the passage 9, which is not there"),
        ({"rows": [("1", "0", ["8"])]}, "names the passage 8, which is not there"),
        ({"queries": [("1", {"en": "a"}), ("1", {"en": "b"})]}, "two query texts have the same id"),
        ({"rows": []}, "holds no rows"),
        ({"queries": []}, "names the query 1, which is not there"),
    ],
)
def test_references_to_nothing_are_a_users_mistake(tmp_path, change, told):
    with pytest.raises(UserError, match=told):
        write_linked(tmp_path, "linked", LINKED._replace(**change), None)


def test_a_text_without_tokens_keeps_its_place(tmp_path):
    write_rows(tmp_path, "small", RAGGED, None)
    write_tokens(tmp_path, open_rows(tmp_path), lambda role, texts: [[] for _ in texts])
    assert [t.tolist() for t in open_tokens(tmp_path).texts("query", [0, 4])] == [[], []]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("cut", [1, 4])
def test_tokens_that_were_cut_short_are_a_users_mistake(ragged, tmp_path, role, cut):
    write_tokens(tmp_path, ragged, tokenize)
    path = tmp_path / f"{role}.tokens"
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(UserError, match=f"{role}.tokens is damaged; delete"):
        open_tokens(tmp_path)


@pytest.mark.parametrize("name", ["query.npy", "passage.npy"])
@pytest.mark.parametrize("keep", [0, 0.5])
def test_token_offsets_that_were_cut_short_are_a_users_mistake(ragged, tmp_path, name, keep):
    write_tokens(tmp_path, ragged, tokenize)
    cut_short(tmp_path / name, keep)
    with pytest.raises(UserError):
        open_tokens(tmp_path)


@pytest.mark.parametrize("keep", [0, 0.5, 0.99])
def test_texts_that_were_cut_short_are_a_users_mistake(ragged, tmp_path, keep):
    cut_short(tmp_path / "query.arrow", keep)
    with pytest.raises(UserError, match=r"query\.arrow is missing or damaged; delete"):
        _ = ragged.queries.column


def test_texts_that_are_gone_are_a_users_mistake(ragged, tmp_path):
    (tmp_path / "rows.arrow").unlink()
    with pytest.raises(UserError, match=r"rows\.arrow is missing or damaged"):
        _ = ragged.ids


def cut_short(path: Path, keep: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])


def test_texts_are_read_from_the_disk_not_into_memory(ragged):
    before = pa.total_allocated_bytes()
    assert len(ragged.queries.column) == 5
    assert pa.total_allocated_bytes() == before
