"""Train the token embeddings that some data use, and leave the others out.

A token that the data lack never has a gradient: AdamW only shrinks it by weight decay, which
`restore` makes up for. A data set uses few of XLM-R's 250,002 tokens; gradients and AdamW's two
moments of the others would be 2.3 GB of zeros.
"""

from collections.abc import Iterable

import numpy as np
from torch import Tensor, nn

from hbr.models.encoder import Encoder

CHUNK = 1 << 24  # token ids looked at together
MAX_SCANNED = 1 << 30  # token ids: so many hardly leave a token out


def used_tokens(token_ids: Iterable[np.ndarray], vocab_size: int) -> np.ndarray:
    """Return which tokens of a vocabulary occur in flat arrays of ids: (vocab_size,) booleans."""
    arrays = list(token_ids)
    if sum(map(len, arrays)) > MAX_SCANNED:
        return np.ones(vocab_size, bool)
    used = np.zeros(vocab_size, bool)
    for flat in arrays:
        for start in range(0, len(flat), CHUNK):
            used[flat[start : start + CHUNK]] = True
    return used


class TrimmedVocabulary:
    """Cuts an encoder's token embeddings to those used, until `restore` is called."""

    def __init__(self, encoder: Encoder, used: np.ndarray) -> None:
        self.encoder = encoder
        embeddings = encoder.backbone.get_input_embeddings()
        self.original: Tensor = embeddings.weight.detach()
        self.padding_idx = embeddings.padding_idx
        keeps_id = _counts_from_padding(encoder.backbone)
        for padding in {encoder.tokenizer.pad_token_id or 0, self.padding_idx or 0}:
            used[0 if keeps_id else padding : padding + 1] = True
        self.kept = np.flatnonzero(used)
        encoder.vocab_remap = np.where(used, used.cumsum() - 1, len(used))
        remapped = None if self.padding_idx is None else int(encoder.vocab_remap[self.padding_idx])
        self._replace(self.original[self.kept], remapped)

    def restore(self, decay: float) -> None:
        """Give the encoder all tokens again, those left out times what weight decay leaves."""
        weight = self.original * decay
        weight[self.kept] = self.encoder.token_embeddings.detach().to(weight.device)
        self.encoder.vocab_remap = None
        self._replace(weight, self.padding_idx)

    def _replace(self, weight: Tensor, padding_idx: int | None) -> None:
        embeddings: nn.Embedding = self.encoder.backbone.get_input_embeddings()
        embeddings.weight = nn.Parameter(weight, embeddings.weight.requires_grad)
        embeddings.num_embeddings, embeddings.padding_idx = len(weight), padding_idx


def _counts_from_padding(backbone: nn.Module) -> bool:
    """Return whether positions are counted from the id of padding, as RoBERTa does.

    Their embeddings then know it; in other backbones those of tokens alone do.
    """
    embeddings = backbone.get_input_embeddings()  # type: ignore[operator]
    others = (m for m in backbone.modules() if m is not backbone and m is not embeddings)
    return any(getattr(module, "padding_idx", None) is not None for module in others)
