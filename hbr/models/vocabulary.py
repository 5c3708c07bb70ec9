"""Train the word embeddings that some data use, and leave the others out.

No other word ever has a gradient, so that AdamW only shrinks it by weight decay, which `whole`
makes up for. A data set uses few of XLM-R's 250,002 words; gradients and AdamW's two moments of
the others would be 2.3 GB of zeros.
"""

from collections.abc import Iterable

import numpy as np
from torch import Tensor, nn

from hbr.models.encoders import Encoder

AT_ONCE = 1 << 24  # tokens that are looked at together
MOST = 1 << 30  # tokens: so many hardly leave a word out


def used(tokens: Iterable[np.ndarray], size: int) -> np.ndarray:
    """Return which of `size` words occur in flat arrays of token ids: (size,), true or false."""
    parts = list(tokens)
    if sum(map(len, parts)) > MOST:
        return np.ones(size, bool)
    seen = np.zeros(size, bool)
    for flat in parts:
        for start in range(0, len(flat), AT_ONCE):
            seen[flat[start : start + AT_ONCE]] = True
    return seen


class Trimmed:
    """An encoder whose word embeddings are cut to some words, until `whole` is called."""

    def __init__(self, encoder: Encoder, seen: np.ndarray) -> None:
        self.encoder, words = encoder, encoder.backbone.get_input_embeddings()
        self.before: Tensor = words.weight.detach()
        for padding in (encoder.tokenizer.pad_token_id, words.padding_idx):
            if padding is not None:  # it keeps its number: positions are counted from it
                seen[: padding + 1] = True
        self.kept = np.flatnonzero(seen)
        encoder.places = np.where(seen, seen.cumsum() - 1, len(seen))
        self._replace(self.before[self.kept])

    def whole(self, shrunk: float) -> None:
        """Return the encoder all words again, those left out as weight decay shrank them."""
        weight = self.before * shrunk
        weight[self.kept] = self.encoder.words.detach().to(weight.device)
        self.encoder.places = None
        self._replace(weight)

    def _replace(self, weight: Tensor) -> None:
        words: nn.Embedding = self.encoder.backbone.get_input_embeddings()
        words.weight = nn.Parameter(weight, words.weight.requires_grad)
        words.num_embeddings = len(weight)
