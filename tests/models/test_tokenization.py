"""What is tokenised once is found again."""

from pathlib import Path
from unittest import mock

from hbr.core.settings import Encoder as Settings
from hbr.core.store import Store
from hbr.data.row_writer import write_rows
from hbr.data.rows import open_rows
from hbr.models import tiny
from hbr.models.encoder import Encoder, Pooling
from hbr.models.loading import reset_tokenizer
from hbr.models.tokenization import tokenize_rows

SETTINGS = Settings(
    query_prompt="", passage_prompt="", query_max_seq_length=16, passage_max_seq_length=6
)
PASSAGE = "Ri luli " + "Sasal " * 9
ROWS = [{"id": "1", "query": {"en": "Ri luli Sasal?"}, "passage": {"en": PASSAGE}}]


def store_of(folder: Path) -> Store:
    store = Store(folder)
    store.build("rows", lambda at: write_rows(at, folder.name, ROWS, None), settings={})
    return store


def test_tokens_are_found_again_whatever_was_tokenised_before_them(tmp_path):
    stores = [store_of(tmp_path / name) for name in ("train", "validation")]
    model, tokenizer = tiny._xlm_r()
    encoder = Encoder(model, tokenizer, Pooling())
    for store in (*stores, *stores[::-1]):
        tokenize_rows(store, open_rows(store.path / "rows"), encoder, SETTINGS)
    with mock.patch.object(encoder, "tokenize", side_effect=AssertionError):
        reset_tokenizer(tokenizer)  # as after loading
        for store in stores[::-1]:
            tokenize_rows(store, open_rows(store.path / "rows"), encoder, SETTINGS)
    assert [len(store.entries()) for store in stores] == [2, 2]  # rows, and tokens once


def test_texts_that_are_cut_at_the_other_end_are_other_tokens(tmp_path):
    store = store_of(tmp_path / "train")
    model, tokenizer = tiny._xlm_r()
    encoder, found = Encoder(model, tokenizer, Pooling()), []
    for tokenizer.truncation_side in ("right", "left"):
        tokens = tokenize_rows(store, open_rows(store.path / "rows"), encoder, SETTINGS)
        found.append(tokens.flat["passage"].tolist())
    assert len(found[0]) == len(found[1])
    assert found[0] != found[1]
