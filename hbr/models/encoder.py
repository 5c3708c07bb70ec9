"""Dual encoders: one set of weights that turns queries and passages into unit vectors."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from hbr.models import unpadded as packing

logger = logging.getLogger(__name__)

TOKENIZER_BATCH = 1_000  # texts: more only wait in memory, fewer leave cores without work


class Pooling(NamedTuple):
    """What follows the backbone: `mean` or `cls`, and perhaps a dense layer with tanh."""

    mode: str
    dense: nn.Linear | None = None


class Encoder(nn.Module):
    """A backbone with pooling; `forward` returns unit vectors, similarity is their dot product."""

    def __init__(
        self, backbone: Any, tokenizer: Any, pooling: Pooling, *, normalize: bool = True
    ) -> None:
        super().__init__()
        self.backbone: Any
        self.backbone, self.dense = backbone, pooling.dense
        self.pooling_mode, self.normalize = pooling.mode, normalize
        self.tokenizer = tokenizer
        if getattr(backbone, "pooler", None) is not None:
            backbone.pooler = None  # unused, and random where a checkpoint has none
        self.supports_unpadded = packing.enable(backbone)
        self.vocab_remap: np.ndarray | None = None  # token ids, while the vocabulary is trimmed

    @property
    def embedding_dimension(self) -> int:
        """Length of a vector."""
        return self.dense.out_features if self.dense else self.backbone.config.hidden_size

    @property
    def max_seq_length(self) -> int:
        """Most tokens that backbone and tokenizer take."""
        config = self.backbone.config
        positions = getattr(config, "max_position_embeddings", None) or 512
        positions -= packing.first_position(config)
        return int(min(positions, self.tokenizer.model_max_length))

    @property
    def token_embeddings(self) -> Tensor:
        """The input embeddings of the vocabulary: (vocabulary, hidden size)."""
        return self.backbone.get_input_embeddings().weight

    def encode(
        self,
        token_ids: Sequence[Any],
        device: torch.device | str = "cpu",
        shift: Tensor | None = None,
        *,
        unpadded: bool = True,
    ) -> Tensor:
        """Encode texts, without padding where the backbone allows: (texts, dimension).

        `token_ids` holds the ids of each text; `shift` is that of `forward`.
        """
        if self.vocab_remap is not None:
            token_ids = [self.vocab_remap[ids] for ids in token_ids]
        if not (unpadded and self.supports_unpadded):
            return self(*self.pad(token_ids, device), shift)
        packed = packing.pack(token_ids, device)
        hidden = packing.forward(self.backbone, packed, shift)
        return self._project(packing.pool(hidden, packed, self.pooling_mode))

    def use_unpadded(self, requested: bool) -> bool:
        """Return whether texts are encoded without padding; log where only the backbone forbids."""
        if requested and not self.supports_unpadded:
            kind = type(self.backbone).__name__
            logger.info(f"{kind}: texts are padded; only {' and '.join(packing.MODELS)} do without")
        return requested and self.supports_unpadded

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, shift: Tensor | None = None
    ) -> Tensor:
        """Encode padded texts: ids and mask (texts, tokens) to vectors (texts, dimension).

        `shift` (texts, tokens, hidden size) is added to the token embeddings, except for padding,
        which must stand on the right.
        """
        inputs = {"input_ids": input_ids}
        if shift is not None:
            embeddings = self.backbone.get_input_embeddings()(input_ids)
            inputs = {"inputs_embeds": embeddings + shift * attention_mask[..., None]}
        hidden = self.backbone(**inputs, attention_mask=attention_mask).last_hidden_state
        if self.pooling_mode == "cls":
            return self._project(hidden[:, 0])
        return self._project(_mean_pooling(hidden, attention_mask))

    def _project(self, vectors: Tensor) -> Tensor:
        if self.dense is not None:
            vectors = torch.tanh(self.dense(vectors.to(self.dense.weight.dtype)))
        vectors = vectors.float()
        return nn.functional.normalize(vectors, dim=-1) if self.normalize else vectors

    def tokenize(self, texts: Sequence[str], max_length: int) -> list[list[int]]:
        """Return the token ids of texts, special tokens included, cut to `max_length`."""
        fast = self.tokenizer.backend_tokenizer  # without masks and offsets, which nobody needs
        fast.no_padding()
        fast.enable_truncation(
            min(max_length, self.max_seq_length), direction=self.tokenizer.truncation_side
        )
        fast.encode_special_tokens = self.tokenizer.split_special_tokens
        starts = range(0, len(texts), TOKENIZER_BATCH)
        batches = (list(texts[start : start + TOKENIZER_BATCH]) for start in starts)
        return [text.ids for batch in batches for text in fast.encode_batch_fast(batch)]

    def pad(
        self, token_ids: Sequence[Any], device: torch.device | str = "cpu"
    ) -> tuple[Tensor, Tensor]:
        """Pad texts to the longest of them: ids and attention mask, both (texts, tokens)."""
        lengths = torch.tensor([len(ids) for ids in token_ids])
        mask = torch.arange(int(lengths.max()))[None] < lengths[:, None]
        padded = torch.full(mask.shape, self.tokenizer.pad_token_id)
        padded[mask] = torch.from_numpy(np.concatenate(token_ids).astype(np.int64))
        return padded.to(device, non_blocking=True), mask.long().to(device, non_blocking=True)


def _mean_pooling(hidden: Tensor, attention_mask: Tensor) -> Tensor:
    weights = attention_mask[..., None].to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1)


def token_batches(
    lengths: np.ndarray, max_tokens: int, *, unpadded: bool = False
) -> Iterator[np.ndarray]:
    """Yield batches of text indices, longest first, of at most `max_tokens`, padding included."""
    order = np.argsort(-lengths, kind="stable")
    ends = np.concatenate([[0], lengths[order].cumsum()])
    start = 0
    while start < len(order):
        count = max(1, max_tokens // max(1, int(lengths[order[start]])))
        if unpadded:
            stop = int(np.searchsorted(ends, ends[start] + max_tokens, "right")) - 1
            count = max(1, stop - start)
        yield order[start : start + count]
        start += count
