"""Dual encoders: one set of weights that turns queries and passages into unit vectors."""

import logging
from collections.abc import Callable, Iterator, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from hbr.core.cores import map_on_cores
from hbr.core.errors import UserError, first_line
from hbr.models import unpadded as packing
from hbr.models.folder import LONGEST

T = TypeVar("T")
R = TypeVar("R")

logger = logging.getLogger(__name__)

TOKENIZER_BATCH = 1_000  # texts: more only wait in memory, fewer leave cores without work


class Pooling(NamedTuple):
    """What follows the backbone: vectors pooled by some modes, end to end, through some layers."""

    modes: tuple[str, ...] = ("mean",)
    layers: tuple[nn.Module, ...] = ()
    truncate_dim: int | None = None  # numbers kept of a vector


class Dense(nn.Module):
    """A linear layer with an activation."""

    def __init__(self, linear: nn.Linear, activation: nn.Module | None = None) -> None:
        super().__init__()
        self.linear, self.activation_function = linear, activation or nn.Tanh()

    def forward(self, vectors: Tensor) -> Tensor:
        """Return vectors of the linear layer's output size."""
        return self.activation_function(self.linear(vectors.to(self.linear.weight.dtype)))


class Normalize(nn.Module):
    """Scales vectors to unit length."""

    def forward(self, vectors: Tensor) -> Tensor:
        """Return vectors of length 1 in float32."""
        return nn.functional.normalize(vectors.float(), dim=-1)


class Encoder(nn.Module):
    """A backbone with pooling; `forward` returns unit vectors, similarity is their dot product."""

    def __init__(
        self, backbone: Any, tokenizer: Any, pooling: Pooling, *, normalize: bool = True
    ) -> None:
        super().__init__()
        self.backbone: Any
        self.backbone, self.tokenizer = backbone, tokenizer
        self.modes, self.layers = pooling.modes, nn.Sequential(*pooling.layers)
        self.truncate_dim, self.normalize = pooling.truncate_dim, normalize
        self.lower_case = False  # whether texts are lower-cased before the tokenizer's own rules
        self.adapter: Any = None  # an `hbr.models.adapter.LowRankAdapter`, in training
        self.files = Path()  # where it was loaded from
        self.clipped = 0  # texts cut by `tokenize` so far
        if getattr(backbone, "pooler", None) is not None:
            backbone.pooler = None  # unused, and random where a checkpoint has none
        caches = "use_cache" in signature(backbone.forward).parameters
        self.options = {"use_cache": False} if caches else {}  # a decoder would keep all keys
        self.supports_unpadded = packing.enable(backbone) and packing.POOLINGS.issuperset(
            self.modes
        )
        self.vocab_remap: np.ndarray | None = None  # token ids, while the vocabulary is trimmed

    def recompute_layers(self) -> None:
        """Keep the inputs of layers alone in training, and compute the layers again for gradients.

        Raises UserError for a backbone of transformers that cannot.
        """
        name = "activation_checkpointing_enable"  # before transformers 5.20 the other one
        enable = getattr(self.backbone, name, self.backbone.gradient_checkpointing_enable)
        try:
            enable({"use_reentrant": False})
        except ValueError as error:
            raise UserError(f"train.gradient_checkpointing: {first_line(error)}") from error

    @property
    def embedding_dimension(self) -> int:
        """Length of a vector."""
        width = self.backbone.config.hidden_size * len(self.modes)
        for layer in self.layers:
            width = layer.linear.out_features if isinstance(layer, Dense) else width
        return min(width, self.truncate_dim or width)

    @property
    def max_seq_length(self) -> int:
        """Most tokens that backbone and tokenizer take."""
        config = self.backbone.config
        positions = getattr(config, "max_position_embeddings", None) or 0
        positions = positions - packing.first_position(self.backbone) if positions > 0 else LONGEST
        return int(min(positions, self.tokenizer.model_max_length))

    @property
    def token_embeddings(self) -> Tensor:
        """The input embeddings of the vocabulary: (vocabulary, hidden size)."""
        return self.backbone.get_input_embeddings().weight

    @property
    def embedding_norm(self) -> float:
        """The mean norm of the token embeddings: the unit of a perturbation's radius."""
        scale = getattr(self.backbone.get_input_embeddings(), "embed_scale", 1.0)  # Gemma's
        return float(self.token_embeddings.detach().norm(dim=1).mean() * scale)

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
            padded = self.pad(token_ids, device)
            return self.forward(*padded, shift)  # no call: hooks of shards are on `encode` already
        packed = packing.pack(token_ids, device)
        hidden = packing.forward(self.backbone, packed, shift, **self.options)
        return self._project([packing.pool(hidden, packed, mode) for mode in self.modes])

    def map(self, encode: Callable[[T], R], batches: Sequence[T]) -> Iterator[R]:
        """Yield what `encode` makes of each batch; on a CPU each core has a batch of its own.

        They share the backbone where its forward passes change nothing in it: it is one of
        transformers, and does not stretch positions with the longest text.
        """
        stock = type(self.backbone).__module__.startswith("transformers.models.")
        kinds = " ".join(str(getattr(m, "rope_type", "")) for m in self.backbone.modules())
        shared = stock and "dynamic" not in kinds and "longrope" not in kinds
        on_cpu = self.token_embeddings.device.type == "cpu"
        return (map_on_cores if shared and on_cpu else map)(encode, batches)

    def use_unpadded(self, requested: bool) -> bool:
        """Return whether texts are encoded without padding; log where only the backbone forbids."""
        if requested and not self.supports_unpadded:
            kind = f"{type(self.backbone).__name__}, {' and '.join(self.modes)} pooling"
            can = f"{', '.join(packing.MODELS)} with {', '.join(sorted(packing.POOLINGS))}"
            logger.info(f"{kind}: texts are padded; only {can} do without")
        return requested and self.supports_unpadded

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, shift: Tensor | None = None
    ) -> Tensor:
        """Encode padded texts: ids and mask (texts, tokens) to vectors (texts, dimension).

        `shift` (texts, tokens, hidden size) is added to the token embeddings, except for padding,
        which must stand on the right.
        """
        inputs: dict[str, Any] = {"input_ids": input_ids}
        if shift is not None:
            embeddings = self.backbone.get_input_embeddings()(input_ids)
            inputs = {
                "inputs_embeds": embeddings + (shift * attention_mask[..., None]).to(embeddings)
            }
        inputs |= self.options | {"attention_mask": attention_mask}
        hidden = self.backbone(**inputs).last_hidden_state
        return self._project([pool(hidden, attention_mask, mode) for mode in self.modes])

    def _project(self, pooled: list[Tensor]) -> Tensor:
        vectors = self.layers(torch.cat(pooled, dim=-1)).float()[..., : self.truncate_dim]
        return nn.functional.normalize(vectors, dim=-1) if self.normalize else vectors

    def tokenize(self, texts: Sequence[str], max_length: int) -> list[list[int]]:
        """Return the token ids of texts, special tokens included, cut to `max_length`.

        Those that are cut add to `clipped`.
        """
        fast = self.tokenizer.backend_tokenizer  # without masks and offsets, which nobody needs
        fast.no_padding()
        longest = min(max_length, self.max_seq_length)
        fast.enable_truncation(longest, direction=self.tokenizer.truncation_side)
        fast.encode_special_tokens = self.tokenizer.split_special_tokens
        starts = range(0, len(texts), TOKENIZER_BATCH)
        batches = (list(texts[start : start + TOKENIZER_BATCH]) for start in starts)
        token_ids = []
        for batch in batches:
            for text in fast.encode_batch_fast(batch):
                token_ids.append(ids := text.ids)
                self.clipped += len(ids) >= longest and bool(text.overflowing)
        return token_ids

    def log_clipped(self, name: str) -> None:
        """Log how many texts of a data set `tokenize` has cut since the last call."""
        if self.clipped:
            logger.warning(f"{name}: {self.clipped:,} texts are longer than may be and were cut")
        self.clipped = 0

    def pad(
        self, token_ids: Sequence[Any], device: torch.device | str = "cpu"
    ) -> tuple[Tensor, Tensor]:
        """Pad texts to the longest of them: ids and attention mask, both (texts, tokens).

        Padding stands on the right, whatever side the tokenizer's files name: no vector depends on
        it, and positions are counted from the first token.
        """
        lengths = torch.tensor([len(ids) for ids in token_ids])
        mask = torch.arange(int(lengths.max()))[None] < lengths[:, None]
        padding = self.tokenizer.pad_token_id or 0  # masked, if it has none
        if self.vocab_remap is not None:
            padding = int(self.vocab_remap[padding])
        padded = torch.full(mask.shape, padding)
        padded[mask] = torch.from_numpy(np.concatenate(token_ids).astype(np.int64))
        return padded.to(device, non_blocking=True), mask.long().to(device, non_blocking=True)


def pool(hidden: Tensor, mask: Tensor, mode: str) -> Tensor:
    """Pool the hidden states of padded texts by a mode of sentence-transformers: (texts, hidden).

    `mask` is (texts, tokens); padding stands on the right.
    """
    if mode == "cls":
        return hidden[:, 0]
    if mode == "lasttoken":
        return hidden[torch.arange(len(hidden)), mask.sum(1) - 1]
    if mode == "max":
        return hidden.masked_fill(mask[..., None] == 0, -torch.inf).amax(1)
    weights = (mask * mask.cumsum(1) if mode == "weightedmean" else mask)[..., None]
    weights = weights.to(hidden.dtype)
    total = weights.sum(1)
    return (hidden * weights).sum(1) / (total.sqrt() if mode == "mean_sqrt_len_tokens" else total)


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
