"""Given negatives in a batch: whose each is, in which language, and which of them are masked."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hbr.core.config import resolve_config
from hbr.data.row_writer import write_rows
from hbr.data.rows import open_rows
from hbr.data.tokens import open_tokens, write_tokens
from hbr.training.batch import TextEncoder, TrainingBatch
from hbr.training.collator import Collator, Source
from hbr.training.losses import info_nce
from hbr.training.objectives import Recipe
from hbr.training.samplers import CROSS_LINGUAL
from hbr.training.schedule import BatchSchedule
from tests.training.support import bert

ROWS = [
    {
        "id": f"r{number}",
        "group": f"g{number // 2}",  # 0 and 1 share a passage, 2 and 3, …
        "query": {lang: f"{lang} asks {number}" for lang in ("de", "en", "th")},
        "passage": {lang: f"{lang} says {number // 2}" for lang in ("de", "en", "th")},
        "negatives": [
            {lang: f"{lang} other {number} {k}" for lang in ("de", "en", "th")[: 3 - k % 2]}
            for k in range(number % 4)
        ],
        "scores": [10.0 + number, *(number + k / 10 for k in range(number % 4))],
    }
    for number in range(8)
]
ROWS[3]["negatives"][1] = {"en": "en says 0"}  # the passage of rows 0 and 1


def collator(folder: Path, **objective: object) -> Collator:
    """Make a collator of cross-lingual batches of all rows; a text is its letters."""
    write_rows(folder, "small", ROWS, "en")
    rows = open_rows(folder)
    write_tokens(folder, rows, lambda role, texts: [[ord(c) % 50 for c in t] for t in texts])
    config = resolve_config({"train": {"batch_size": 8}, "objective": objective})
    mix = CROSS_LINGUAL.mix(0.0)
    schedule = BatchSchedule([rows], mix, batch_size=8, seed=0, steps=9)
    encode = TextEncoder(bert(), torch.device("cpu"), "fp32", False)
    return Collator(
        config=config,
        schedule=schedule,
        sources=[Source(rows, open_tokens(folder))],
        languages=["de", "en", "th"],
        encode=encode,
        recipe=Recipe(config.objective),
        loss=info_nce,
        head=nn.Sequential(),
        embedding_norm=1.0,
    )


def texts_of(batch: TrainingBatch, role: str) -> list[list[int]]:
    return [text.tolist() for chunk in batch.chunks[role] for text in chunk.texts]


def letters(text: str) -> list[int]:
    return [ord(letter) % 50 for letter in text]


def test_every_row_has_as_many_negatives_as_it_may_and_they_name_their_row(tmp_path):
    collate = collator(tmp_path, num_negatives=2)
    scheduled = collate.schedule.batch(0)
    batch = collate(scheduled)
    counts = np.bincount(batch.negatives.row, minlength=8)
    languages = np.array(["de", "en", "th"])[scheduled.passage_language]
    expected, scores = [], []
    for row, language in zip(scheduled.rows, languages, strict=True):
        able = [(k, n) for k, n in enumerate(ROWS[row]["negatives"]) if language in n]
        expected += [letters(negative[language]) for _, negative in able[:2]]
        scores += [ROWS[row]["scores"][1 + k] for k, _ in able[:2]]
    assert max(counts) == 2
    assert min(counts) == 0
    assert texts_of(batch, "negatives") == expected
    assert batch.negatives.score.tolist() == pytest.approx(scores)
    assert batch.negatives.positive_score.tolist() == [10.0 + row for row in scheduled.rows]


def test_negatives_follow_the_query_s_language_or_are_drawn_over_all(tmp_path):
    collate = collator(tmp_path, num_negatives=9, negative_language="query")
    scheduled = collate.schedule.batch(0)
    first = [chr(text[0]) for text in texts_of(collate(scheduled), "negatives")]
    own = np.array(["d", "e", "t"])[scheduled.query_language]
    assert first == [chr(ord(own[row]) % 50) for row in collate(scheduled).negatives.row]
    (tmp_path / "any").mkdir()
    collate = collator(tmp_path / "any", num_negatives=9, negative_language="any")
    seen = [texts_of(collate(collate.schedule.batch(step)), "negatives") for step in range(9)]
    assert all(len(texts) == 12 for texts in seen)  # none lacks all languages
    shares = np.bincount([text[0] for texts in seen for text in texts], minlength=50) / (9 * 12)
    assert shares[[ord(c) % 50 for c in "det"]].min() > 0.1  # half have no Thai
    assert texts_of(collate(collate.schedule.batch(3)), "negatives") == seen[3]


def test_a_negative_is_masked_for_rows_whose_passage_or_group_it_is(tmp_path):
    collate = collator(tmp_path, num_negatives=9, negative_language="any")
    scheduled = collate.schedule.batch(1)
    batch = collate(scheduled)
    (column,) = (i for i, t in enumerate(texts_of(batch, "negatives")) if t == letters("en says 0"))
    hidden = batch.mask[:, 8:]
    assert sorted(scheduled.rows[hidden[:, column].numpy()]) == [0, 1]
    assert hidden.sum() == 2
    assert batch.mask[:, :8].sum() == 8  # each row and the other of its group


@pytest.mark.parametrize("ranks", [2, 3])
def test_the_ranks_negatives_join_to_those_of_one_process(tmp_path, monkeypatch, ranks):
    collate = collator(tmp_path, num_negatives=2, negative_language="any")
    scheduled = collate.schedule.batch(2)
    whole = collate(scheduled)
    joined = []
    monkeypatch.setenv("WORLD_SIZE", str(ranks))
    for rank in range(ranks):
        monkeypatch.setenv("RANK", str(rank))
        part = collate(scheduled)
        assert torch.equal(part.negatives.row, whole.negatives.row)  # of the global batch
        assert torch.equal(part.mask, whole.mask)
        joined += texts_of(part, "negatives")
    assert joined == texts_of(whole, "negatives")
