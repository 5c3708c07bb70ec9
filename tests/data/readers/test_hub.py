"""A data set in the hub's format gives the rows that the JSON lines give."""

import pyarrow as pa
import pyarrow.parquet
import pytest

from hbr.core.errors import UserError
from hbr.data.readers import jsonl
from hbr.data.readers.hub import reader

ROWS = [
    {"id": "a", "group": "g", "query": {"en": "q", "de": "F"}, "passage": {"en": "p", "de": "P"}},
    {"id": "b", "group": "g", "query": {"th": "ถาม"}, "passage": {"th": "ตอบ"}},
    {"id": "c", "group": "h", "query": {"de": "F3"}, "passage": {"de": "P3"}},
]
WITH_NEGATIVES = [{**row, "negatives": {}} for row in ROWS]
WITH_NEGATIVES[0]["negatives"] = {"en": ["n", "m"]}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Keep what the library caches out of the home folder."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def told(row: dict) -> dict:
    """A row without what is empty: a column format cannot tell it from what is missing."""
    return {key: value for key, value in row.items() if value}


@pytest.mark.parametrize("rows", [ROWS, WITH_NEGATIVES])
def test_json_lines_in_a_folder_give_the_same_rows(rows_file, rows):
    path = rows_file(rows, name="set/train.jsonl")
    read = list(reader(f"hf:{path.parent}").read(None))
    assert [told(r) for r in read] == [told(r) for r in jsonl.read(path)] == [told(r) for r in rows]


@pytest.mark.parametrize("rows", [ROWS, WITH_NEGATIVES])
def test_parquet_in_a_folder_gives_the_same_rows(tmp_path, rows):
    (tmp_path / "set").mkdir()
    pa.parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "set" / "train.parquet")
    read = list(reader(f"hf:{tmp_path / 'set'}").read(None))
    assert [told(r) for r in read] == [told(r) for r in rows]


def test_a_row_that_is_wrong_is_named_by_its_number(rows_file):
    rows = [*ROWS, {**ROWS[0], "passage": {"en": "p"}}]
    path = rows_file(rows, name="set/train.jsonl")
    with pytest.raises(UserError, match=r"hf:.*set row 4: lacks de in its passage"):
        list(reader(f"hf:{path.parent}").read(None))


def test_a_data_set_that_is_not_there_is_a_users_mistake(tmp_path):
    with pytest.raises(UserError, match=r"hf:.*nowhere cannot be loaded: ") as raised:
        list(reader(f"hf:{tmp_path / 'nowhere'}").read(None))
    assert "\n" not in str(raised.value)


def test_a_data_set_without_a_split_named_train_is_a_users_mistake(rows_file):
    path = rows_file(ROWS, name="set/test.jsonl")
    with pytest.raises(UserError, match="cannot be loaded"):
        list(reader(f"hf:{path.parent}").read(None))
