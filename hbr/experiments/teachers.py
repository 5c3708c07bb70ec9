"""Teachers: what scores the training rows of a run, once for all their translations."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hbr.core import distributed
from hbr.core.digests import file_digest
from hbr.core.errors import UserError
from hbr.core.files import partial_of, replace_synced
from hbr.core.progress import Progress
from hbr.core.settings.negatives import FILE
from hbr.core.store import Store, fingerprint
from hbr.core.yaml_files import load
from hbr.data.arrays import load_array
from hbr.data.negatives_file import read
from hbr.data.rows import ROLES, Rows
from hbr.data.teacher_vectors import TeacherVectors, open_teacher_vectors
from hbr.evaluation.row_texts import TextsOfRows
from hbr.experiments.encoders import Found, encoder_files_of, initial_encoder, other_encoder
from hbr.experiments.negatives import encoded_rows, reads_part, with_vector_settings
from hbr.experiments.run_spec import RunSpec
from hbr.models.sources import encoder_id

PAIRS = 2048  # scored at a time, and lost by a kill at most


class Teacher:
    """The teacher that a run's settings name."""

    def __init__(self, run: RunSpec, *, download: bool = True) -> None:
        self.run, self.settings, self.download = run, run.config.teacher, download
        self.name = self.settings.name or ""  # "": the encoder that training starts from

    @property
    def is_file(self) -> bool:
        """Whether its scores stand in a file."""
        return self.name.endswith(FILE)

    @cached_property
    def is_cross_encoder(self) -> bool:
        """Whether it scores pairs of texts, and has no vectors."""
        if self.is_file:
            return False
        path = self.folder / "config.json"
        if not path.exists():  # of an adapter, or of an encoder with its backbone below
            return False
        config = load(path.read_text("utf-8"))
        return any("SequenceClassification" in kind for kind in config.get("architectures") or ())

    @cached_property
    def folder(self) -> Path:
        """The folder of its files."""
        if not self.name:
            return initial_encoder(self.run, download=self.download).folder
        return encoder_files_of(self.run, self.name, self.settings.revision, download=self.download)

    @cached_property
    def encoder(self) -> Found:
        """The teacher as an encoder."""
        if not self.name:
            return initial_encoder(self.run)
        return other_encoder(self.run, self.name, self.settings.revision)

    @cached_property
    def id(self) -> str:
        """A digest of its files."""
        if not self.is_file:
            return encoder_id(self.folder)
        if not Path(self.name).is_file():
            raise UserError(f"teacher.name: {self.name}: there is no such file")
        return file_digest(Path(self.name))

    @property
    def key(self) -> str:
        """What decides, beside its settings and the rows, what it says."""
        if self.is_file or self.is_cross_encoder:
            return self.id
        return with_vector_settings(self.id, self.run)

    def codes(self, rows: Rows) -> tuple[int, ...]:
        """Return the languages that it reads, the pivot first, as positions in those of rows."""
        pivot = [rows.languages.index(rows.pivot)] if rows.pivot else []
        return tuple(dict.fromkeys([*pivot, *range(len(rows.languages))]))

    # Vectors

    def vectors(self, store: Store, rows: Rows) -> TeacherVectors:
        """Return its vectors of all items, made once.

        Of an item that lacks the pivot language, its first one is read.
        """
        if self.is_file or self.is_cross_encoder:
            raise UserError(
                f"teacher.name: {self.name} has no vectors: name an encoder, not scores of pairs"
            )
        texts = TextsOfRows(rows, self.codes(rows), first_alone=self.settings.reads == "pivot")
        reads_all = self.settings.truncate or not self.name  # as much as the encoder itself
        check = None if reads_all else self._refuse_long
        cut = self.settings.truncate and bool(self.name)
        encoded = encoded_rows(self.run, self.encoder, store, texts, check, cut=cut)
        inputs = {"vectors": store.completion(encoded.name)}
        stage = f"teacher-{fingerprint(inputs, 8)}"
        distributed.main_first(
            lambda: store.build(
                stage,
                lambda folder: _write_means(folder, encoded, texts),
                settings={"version": 1},
                inputs=inputs,
            )
        )
        return open_teacher_vectors(store.path / stage)

    def _refuse_long(self, retriever: Any, texts: TextsOfRows) -> None:
        """Raise UserError where the teacher's tokenizer would cut a text."""
        encoder, longest = retriever.encoder, 0
        for role, side in (("query", texts.query_side), ("passage", texts.passage_side)):
            prompt, length = retriever.config.encoder.inputs(role)
            for at in range(0, len(side.cell), PAIRS):
                some = side.read(np.arange(at, min(at + PAIRS, len(side.cell))))
                encoder.tokenize([prompt + text for text in some], length)
            longest = min(length, encoder.max_seq_length)
        if encoder.clipped:
            raise self._too_long(texts.name, encoder.clipped, "texts", longest)

    def _too_long(self, name: str, count: int, what: str, longest: int) -> UserError:
        return UserError(
            f"{name}: {count:,} {what} are longer than the {longest} tokens that the teacher reads "
            "and would be cut; name another, or --set teacher.truncate=true"
        )

    # Scores

    def scored(self, store: Store, rows: Rows) -> Rows:
        """Return rows with its scores of their passages and negatives."""
        if not len(rows.negative):
            raise UserError(
                f"{rows.name} has no negatives to score; mine some with "
                "--set train.hard_negatives=mined"
            )
        if self.is_file:
            positive, negative = self._from_file(rows)
        elif self.is_cross_encoder:
            positive, negative = self._cross_encoded(store, rows)
        else:
            positive, negative = self.vectors(store, rows).scores(rows)
        scored = replace(rows, positive_score=positive, negative_score=negative)
        if len(bad := scored.unscored):
            raise self._not_finite(rows, bad[0])
        return scored

    def _not_finite(self, rows: Rows, row: int) -> UserError:
        where = f"the passage or a negative of row {rows.ids[int(row)]}"
        return UserError(f"{self.name}: its score of {where} of {rows.name} is not finite")

    def _from_file(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        path, ids = Path(self.name), rows.ids
        positive = np.full(len(rows), np.nan, np.float32)
        negative = np.full(len(rows.negative), np.nan, np.float32)
        for where, row, items, scores in read(path, rows, partial=reads_part(self.run)):
            if scores is None:
                raise UserError(f"{where}: has no scores")
            known = dict(zip(items.tolist(), scores[1:], strict=True))
            some = slice(int(rows.negatives_of[row]), int(rows.negatives_of[row + 1]))
            wanted = rows.negative[some].tolist()
            if lacking := [item for item in wanted if item not in known]:
                count = f"{len(lacking)} of {len(wanted)}"
                raise UserError(f"{where}: lacks scores of {count} negatives of row {ids[row]}")
            positive[row], negative[some] = scores[0], [known[item] for item in wanted]
        if np.isnan(positive).any():
            absent = np.flatnonzero(np.isnan(positive))
            raise UserError(
                f"{path}: lacks scores of {len(absent):,} rows of {rows.name}, the first being "
                f"{ids[int(absent[0])]}"
            )
        return positive, negative

    def _cross_encoded(self, store: Store, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        pairs = fingerprint([np.asarray(rows.negative).tolist(), rows.negatives_of.tolist()])
        settings = self.settings.model_dump(mode="json", exclude={"name", "revision"})
        inputs = {"rows": store.completion("rows"), "negatives": pairs, "teacher": self.id}
        stage = f"scores-{fingerprint([settings, inputs], 8)}"
        distributed.fill_together(
            lambda fill: store.build(stage, fill, settings=settings, inputs=inputs),
            lambda folder: self._write_scores(folder, rows),
        )
        scores = load_array(store.path / stage / "scores.npy")
        return np.array(scores[: len(rows)]), np.array(scores[len(rows) :])

    def _write_scores(self, folder: Path, rows: Rows) -> None:
        """Score every row with its passage, then with its negatives, part by part, on all ranks."""
        model = cross_encoder(self.folder, self.run.torch_device())
        row = np.concatenate([np.arange(len(rows)), rows.owner])
        item = np.concatenate([rows.passage_of, rows.negative])
        parts = {
            folder / f"part-{at // PAIRS:06d}.npy": slice(at, at + PAIRS)
            for at in range(0, len(row), PAIRS)
        }
        if not self.settings.truncate:
            self._refuse_long_pairs(model, rows, row, item)
        mine = distributed.dealt(list(parts.items()))
        left = [(path, some) for path, some in mine if not path.exists()]
        total, todo = (sum(len(row[some]) for _, some in few) for few in (mine, left))
        with Progress(f"scoring {rows.name}", total, "pairs", total - todo) as progress:
            for path, some in left:
                scores = self._mean_scores(model, *self._texts(rows, row[some], item[some]))
                if len(bad := np.flatnonzero(~np.isfinite(scores))):
                    raise self._not_finite(rows, row[some][bad[0]])
                with partial_of(path).open("wb") as file:
                    np.save(file, scores)
                replace_synced(partial_of(path), path)
                progress.advance(len(scores))
        distributed.barrier()
        if distributed.rank():
            return
        np.save(folder / "scores.npy", np.concatenate([np.load(path) for path in parts]))
        for path in parts:
            path.unlink()

    def _refuse_long_pairs(self, model: Any, rows: Rows, row: np.ndarray, item: np.ndarray) -> None:
        """Raise UserError where a cross-encoder's tokenizer would cut a pair."""
        long = 0
        for at in range(0, len(row), PAIRS):
            _, texts = self._texts(rows, row[at : at + PAIRS], item[at : at + PAIRS])
            tokens = model.tokenizer(*map(list, zip(*texts, strict=True)), truncation=False)
            long += sum(len(ids) > model.max_seq_length for ids in tokens["input_ids"])
        if long:
            raise self._too_long(rows.name, long, "pairs", model.max_seq_length)

    def _texts(
        self, rows: Rows, row: np.ndarray, item: np.ndarray
    ) -> tuple[list[int], list[tuple[str, ...]]]:
        """Return the texts of pairs in the languages that they are read in, and whose each is."""
        owner, texts = [], []
        for number, (one, other) in enumerate(zip(row, item, strict=True)):
            for query, passage in self._pair_languages(rows, int(one), int(other)):
                cells = (
                    rows.query_cells(np.array([one]), np.array([query])),
                    rows.passages.cells(np.array([other]), np.array([passage])),
                )
                columns = rows.queries.column, rows.passages.column
                said = (c[int(at[0])].as_py() for c, at in zip(columns, cells, strict=True))
                owner.append(number)
                texts.append(tuple(said))
        return owner, texts

    def _mean_scores(
        self, model: Any, owner: list[int], texts: list[tuple[str, ...]]
    ) -> np.ndarray:
        """Return the scores of pairs, each the mean over its texts."""
        scores = model.predict(texts, show_progress_bar=False, convert_to_numpy=True)
        if scores.ndim > 1:
            raise UserError(f"{self.name} gives {scores.shape[1]} numbers for a pair, not a score")
        total = np.bincount(owner, scores.astype(np.float64))
        return (total / np.bincount(owner)).astype(np.float32)

    def _pair_languages(self, rows: Rows, row: int, item: int) -> Iterator[tuple[int, int]]:
        """Yield the languages of query and passage: the pivot, or all that both have.

        Where there is no such language, each is read in its first.
        """
        asked, told = rows.queries.has[rows.query_of[row]], rows.passages.has[item]
        codes = self.codes(rows)
        shared = [code for code in codes if asked[code] and told[code]]
        if not shared:
            query, passage = (next(c for c in codes if has[c]) for has in (asked, told))
            yield query, passage
        for code in shared[: 1 if self.settings.reads == "pivot" else None]:
            yield code, code


def cross_encoder(folder: Path, device: Any) -> Any:
    """Load a cross-encoder, by sentence-transformers; no code and no pickles are loaded."""
    try:
        from sentence_transformers import CrossEncoder
    except ImportError as error:
        raise UserError(
            "a cross-encoder needs sentence-transformers: pip install 'hbr[teachers]'"
        ) from error
    return CrossEncoder(
        str(folder),
        device=str(device),
        local_files_only=True,
        trust_remote_code=False,
        model_kwargs={"use_safetensors": True},
    )


def _write_means(folder: Path, encoded: Path, texts: TextsOfRows) -> None:
    """Write the mean of each item's vectors, for queries and passages: (items, width)."""
    from hbr.evaluation.encode import load_vectors

    for role, side in zip(ROLES, (texts.query_side, texts.passage_side), strict=True):
        vectors = load_vectors(encoded, {"query": "queries", "passage": "passages"}[role])
        items, width = len(side.texts.has), vectors.shape[1]
        path = folder / f"{role}.npy"
        means = np.lib.format.open_memmap(path, "w+", np.float32, (items, width))
        counts = np.maximum(np.bincount(side.item, minlength=items), 1)
        for at in range(0, len(vectors), 16 * PAIRS):
            some = slice(at, at + 16 * PAIRS)
            np.add.at(means, side.item[some], vectors[some] / counts[side.item[some], None])
        means.flush()
