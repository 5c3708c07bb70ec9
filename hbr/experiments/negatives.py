"""Negatives of training rows, mined once and kept beside the rows for every run."""

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hbr.core import distributed
from hbr.core.digests import file_digest
from hbr.core.errors import UserError
from hbr.core.settings.negatives import BM25, FILE
from hbr.core.settings.vectors import EXACT, Encode
from hbr.core.store import Make, Store, fingerprint
from hbr.data.contamination import open_hashes, row_hashes
from hbr.data.negatives_file import read
from hbr.data.rows import ROLES, Rows
from hbr.data.sameness import same_labels
from hbr.evaluation.row_texts import TextsOfRows
from hbr.experiments.encoders import Found, initial_encoder, other_encoder
from hbr.experiments.run_spec import RunSpec

if TYPE_CHECKING:
    from hbr.retrieval.search import Search

logger = logging.getLogger(__name__)

VERSION = 1  # raise it when what is mined changes


class Miner:
    """What finds the negatives of a run's training rows, as its settings say."""

    def __init__(self, run: RunSpec, *, download: bool = True) -> None:
        self.run, self.settings, self.download = run, run.config.mine, download

    @property
    def is_file(self) -> bool:
        """Whether the negatives stand in a file."""
        return (self.settings.miner or "").endswith(FILE)

    @cached_property
    def encoder(self) -> Found:
        """The encoder; of BM25, whose words are tokens, that which training starts from."""
        name = self.settings.miner
        if name in (None, BM25):
            return initial_encoder(self.run, download=self.download)
        return other_encoder(self.run, str(name), download=self.download)

    @cached_property
    def id(self) -> str:
        """A digest of the files that it reads."""
        if not self.is_file:
            return self.encoder.id
        path = Path(str(self.settings.miner))
        if not path.is_file():
            raise UserError(f"mine.miner: {path}: there is no such file")
        return file_digest(path)

    @property
    def key(self) -> str:
        """What decides, beside settings of mining and rows, what is found."""
        if not self.settings.uses_vectors:
            return self.id
        return with_vector_settings(self.id, self.run, self.settings.index)

    def codes(self, rows: Rows) -> tuple[int, ...]:
        """Return the languages whose texts meet, as positions in those of the rows."""
        chosen = self.run.config.data.languages or rows.languages
        if self.settings.pool == "pivot":
            if rows.pivot is None:
                raise UserError(
                    f"mine.pool: {rows.name} has no text in a pivot language; use own or all"
                )
            chosen = (rows.pivot,)
        return tuple(i for i, language in enumerate(rows.languages) if language in chosen)

    def build(self, store: Store, rows: Rows, *, force: bool = False) -> tuple[Store, str, bool]:
        """Mine the negatives of some rows unless it was done: the store, the stage, whether so.

        All ranks call this, and share the encoding and the mining.
        """
        languages = [rows.languages[code] for code in self.codes(rows)]
        settings = self.settings.model_dump(mode="json", exclude={"miner"})
        settings |= {"version": VERSION, "languages": languages}
        settings |= {"bm25": True} if self.settings.miner == BM25 else {}
        settings |= self._vector_settings() if self.settings.uses_vectors else {}
        inputs = {"rows": store.completion("rows"), "miner": self.id}
        stage = f"mined-{fingerprint([settings, inputs], 8)}"
        if distributed.broadcast(not force and store.is_current(stage, settings, inputs)):
            return store, stage, False
        make = self._from_file if self.is_file else self._search(store, rows)

        def build(fill: Make) -> bool:
            return store.build(stage, fill, settings=settings, inputs=inputs, force=force)

        built = distributed.fill_together(build, lambda folder: make(folder, rows))
        _warn_of_few(rows.name, store.entries()[stage], self.settings.num_negatives)
        return store, stage, built

    def _vector_settings(self) -> dict[str, Any]:
        config = self.run.config
        of_encoder = self.encoder.settings.model_dump(mode="json", exclude={"name", "revision"})
        index = {} if self.settings.index in EXACT else config.index.model_dump()
        return {"encoder": of_encoder, "encode": self.run.encode_identity(), "faiss": index}

    def _search(self, store: Store, rows: Rows) -> Any:
        from hbr.evaluation.mining import mine, pools

        texts = TextsOfRows(rows, self.codes(rows))
        folder = distributed.main_first(lambda: row_hashes(store, rows))
        same = same_labels(rows, {role: open_hashes(folder, role) for role in ROLES})
        search = self._vectors(store, texts) if self.settings.uses_vectors else self._words(texts)

        def make(folder: Path, rows: Rows) -> dict[str, Any]:
            made = pools(texts, search, joint=self.settings.pool == "all")
            return mine(folder, rows, made, same, self.settings)

        return make

    def _vectors(self, store: Store, texts: TextsOfRows) -> Any:
        from hbr.evaluation.encode import load_vectors
        from hbr.retrieval.faiss_index import build_index
        from hbr.retrieval.search import IndexSearch, VectorSearch

        config, kind = self.run.config, self.settings.index
        folder = encoded_rows(self.run, self.encoder, store, texts)
        queries, passages = (load_vectors(folder, side) for side in ("queries", "passages"))

        def search(asked: slice, told: slice) -> "Search":
            some = queries.view(asked), passages.view(told)
            if kind == "exact":
                return VectorSearch(*some)
            parameters = config.index.model_dump(exclude={"kind", "top_k"})
            parameters["memory_mb"] = config.evaluate.memory_mb
            return IndexSearch(*some, index=build_index(some[1], kind, **parameters))

        return search

    def _words(self, texts: TextsOfRows) -> Any:
        from hbr.models.loading import load_tokenizer
        from hbr.retrieval import search as searches

        tokenizer = load_tokenizer(self.encoder.folder)

        def tokens(side: Any, some: slice) -> list[list[int]]:
            column = side.read(np.arange(some.start, some.stop))
            return tokenizer(column, add_special_tokens=False)["input_ids"]

        def search(asked: slice, told: slice) -> "Search":
            queries, passages = tokens(texts.query_side, asked), tokens(texts.passage_side, told)
            return searches.BM25(queries, passages, len(tokenizer))

        return search

    def _from_file(self, folder: Path, rows: Rows) -> dict[str, Any]:
        from hbr.evaluation.mining import write_mined

        if distributed.rank():
            return {}
        path = Path(str(self.settings.miner))
        most = self.settings.num_negatives
        items = [np.zeros(0, np.int64)] * len(rows)
        for _, row, negatives, _ in read(path, rows, partial=reads_part(self.run)):
            items[row] = negatives[:most]
        counts = np.array([len(some) for some in items])
        unknown = np.full(max(int(counts.sum()), len(rows)), np.nan, np.float32)
        arrays = {"score": unknown[: counts.sum()], "positive_score": unknown[: len(rows)]}
        negative = np.concatenate(items).astype(np.int32)
        return write_mined(folder, counts, {"negative": negative, **arrays})


def reads_part(run: RunSpec) -> bool:
    """Return whether a file about training rows may speak of more than those that are read."""
    data = run.config.data
    return data.limit is not None or len(data.train) > 1


def mined_rows(run: RunSpec, store: Store, rows: Rows) -> Rows:
    """Return rows with the negatives that were mined for them, mining them if need be."""
    from hbr.evaluation.mining import open_mined

    wanted, kept = run.config.objective.num_negatives, run.config.mine.num_negatives
    if wanted > kept:
        raise UserError(
            f"objective.num_negatives is {wanted}, more than are mined: "
            f"--set mine.num_negatives={wanted}, now {kept}"
        )
    _, stage, _ = Miner(run).build(store, rows)
    mined = open_mined(store.path / stage)
    if wanted and not len(mined.negative):
        raise UserError(f"{rows.name}: nothing was mined; `hbr mine` shows what was passed over")
    return replace(
        rows,
        negative=mined.negative,
        negatives_of=mined.negatives_of,
        positive_score=None,
        negative_score=None,
    )


def with_vector_settings(id: str, run: RunSpec, index: str = "exact") -> str:
    """Return an id that also tells apart how vectors are made and searched, if not by default."""
    changed = Encode.model_validate(run.encode_identity()).decisive()
    if searched := run.config.index.decisive(index):
        changed["index"] = searched
    return fingerprint([id, changed]) if changed else id


def encoded_rows(
    run: RunSpec,
    encoder: Found,
    store: Store,
    texts: TextsOfRows,
    check: Callable[[Any, TextsOfRows], None] | None = None,
    *,
    cut: bool = False,
) -> Path:
    """Encode the texts of rows once, on all ranks; return the folder of their vectors.

    `check(retriever, texts)` comes before anything is encoded. Vectors of texts that may be `cut`,
    which no check has refused, are others.
    """
    from hbr.evaluation.encode import write_vectors
    from hbr.evaluation.retriever import Retriever

    config = run.config.model_copy(update={"encoder": encoder.settings})
    settings = {
        "encode": run.encode_identity(),
        "encoder": encoder.settings.model_dump(mode="json", exclude={"name", "revision"}),
        "languages": [texts.languages[code] for code in texts.codes],
        "first_alone": texts.first_alone,
    }
    settings |= {"cut": True} if cut else {"checked": True} if check else {}
    inputs = {"rows": store.completion("rows"), "encoder": encoder.id}
    stage = f"vectors-{fingerprint([settings, inputs], 8)}"

    def make(folder: Path) -> dict[str, Any]:
        device, cache = run.torch_device(), store.path / "exported"
        logger.info(str(encoder.settings))
        retriever = Retriever(encoder.load(), config, device, cache)
        if check:
            check(retriever, texts)
        return write_vectors(folder, retriever, texts)

    def build(fill: Make) -> bool:
        return store.build(stage, fill, settings=settings, inputs=inputs)

    distributed.fill_together(build, make)
    return store.path / stage


def _warn_of_few(name: str, entry: dict[str, Any], wanted: int) -> None:
    few = sum(n for count, n in entry["rows_by_number"].items() if int(count) < wanted)
    if few:
        logger.warning(
            f"{name}: {few:,} of {entry['rows']:,} rows have fewer than {wanted} negatives"
        )
