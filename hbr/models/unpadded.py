"""Texts packed end to end in one row of tokens, without padding, through stock BERT and XLM-R.

All layers but attention see each token by itself and never notice. Attention is a function that
transformers finds by its name, `NAME`, in the backbone's config; it keeps each text to itself.
"""

from collections.abc import Callable, Sequence
from functools import cache
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from hbr.models.dropout import dropped

NAME = "hbr_packed"
MODELS = ("BertModel", "XLMRobertaModel")
HALF = (torch.bfloat16, torch.float16)


class Packed(NamedTuple):
    """Some texts in one row of tokens, the longest first."""

    ids: Tensor  # (1, tokens)
    texts: Tensor  # (tokens,) the text of each token, counted as given
    places: Tensor  # (tokens,) of each token in its text, counted from 0
    order: Tensor  # (texts,) how far on in the row each text stands, counted as given
    groups: tuple[tuple[int, int], ...]  # texts and tokens each of those equally long
    ends: Tensor  # (texts + 1,) where the texts in the row end, from 0


def pack(texts: Sequence[Any], device: torch.device | str = "cpu") -> Packed:
    """Put the token ids of texts, none empty, end to end."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    row = np.argsort(-lengths, kind="stable")
    sizes, counts = np.unique(lengths, return_counts=True)
    ordered = lengths[row]
    ends = np.concatenate([[0], ordered.cumsum()])
    places = np.arange(ends[-1]) - ends[:-1].repeat(ordered)

    def tensor(numbers: np.ndarray) -> Tensor:
        return torch.from_numpy(numbers).to(device, non_blocking=True)

    return Packed(
        tensor(np.concatenate([texts[i] for i in row]).astype(np.int64))[None],
        tensor(row.repeat(ordered)),
        tensor(places),
        tensor(np.argsort(row)),
        tuple(zip(counts[::-1].tolist(), sizes[::-1].tolist(), strict=True)),
        tensor(ends.astype(np.int32)),
    )


def enable(backbone: Any) -> bool:
    """Let a backbone take packed texts, if it is a stock one; say whether it does now.

    Padded texts go through it as before.
    """
    config = backbone.config
    stock = type(backbone).__module__.startswith("transformers.models.")
    if not stock or type(backbone).__name__ not in MODELS or config.is_decoder:
        return False
    if config._attn_implementation == "sdpa":
        _register()
        backbone.set_attn_implementation(NAME)
    return config._attn_implementation == NAME


def forward(backbone: Any, row: Packed, shift: Tensor | None = None) -> Tensor:
    """Return the hidden states of packed texts: (tokens, width).

    `shift` (texts, tokens, width), as given and padded, is added to the word embeddings.
    """
    given = {"input_ids": row.ids}
    if shift is not None:
        words = backbone.get_input_embeddings()(row.ids)
        given = {"inputs_embeds": words + shift[row.texts, row.places]}
    start = 0
    if "roberta" in backbone.config.model_type:  # its positions start behind the padding id
        start = backbone.config.pad_token_id + 1
    return backbone(**given, position_ids=row.places[None] + start, packed=row)[0][0]


def pool(hidden: Tensor, row: Packed, tokens: str) -> Tensor:
    """Return a vector of each text, as given, by `mean` or `cls`: (texts, width)."""
    if tokens == "cls":
        return hidden[row.ends[:-1].long()[row.order]]
    parts = hidden.split([count * length for count, length in row.groups])
    means = [
        part.view(count, length, -1).mean(1)
        for part, (count, length) in zip(parts, row.groups, strict=True)
    ]
    return torch.cat(means)[row.order]


def _register() -> None:
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    if NAME not in ALL_ATTENTION_FUNCTIONS.valid_keys():
        ALL_ATTENTION_FUNCTIONS.register(NAME, _attention)
        ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])


def _attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    packed: Packed | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attend within each text where texts are packed, and as transformers does where they are not.

    Takes (1, heads, tokens, width of a head) and gives (1, tokens, heads, width of a head).
    """
    if packed is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        known = {"dropout": dropout, "scaling": scaling, **others}
        return sdpa_attention_forward(module, query, key, value, attention_mask, **known)
    found = _chosen(module, query, dropout)(query, key, value, packed, dropout, scaling)
    return found[None], None


def _chosen(module: torch.nn.Module, query: Tensor, dropout: float) -> Callable[..., Tensor]:
    """Return the quickest way there is on a device.

    On a CPU the bfloat16 kernel's way back takes three times that of float32, so that training
    attends in float32: by the mode, not by who wants a gradient, so that a text repeats itself.
    """
    if query.device.type == "cpu":
        return _in_float32 if module.training and query.dtype in HALF else by_length
    if query.dtype in HALF and not dropout and query.shape[-1] % 8 == 0 and _varlen() is not None:
        return by_kernel
    return padded


def by_length(
    query: Tensor, key: Tensor, value: Tensor, row: Packed, dropout: float, scaling: float | None
) -> Tensor:
    """Attend in all texts of a length at once, length by length: (tokens, heads, width)."""
    sizes = [count * length for count, length in row.groups]
    pieces = zip(*(x[0].transpose(0, 1).split(sizes) for x in (query, key, value)), strict=True)
    found = []
    for (count, length), piece in zip(row.groups, pieces, strict=True):
        q, k, v = (x.reshape(count, length, *x.shape[1:]).transpose(1, 2) for x in piece)
        if dropout:  # torch's kernel has none, and would go through slower steps of the same kind
            scores = (q * (scaling or q.shape[-1] ** -0.5)) @ k.transpose(2, 3)
            seen = dropped(scores.softmax(-1), dropout) @ v
        else:
            seen = scaled_dot_product_attention(q, k, v, scale=scaling)
        found.append(seen.transpose(1, 2).reshape(count * length, *piece[0].shape[1:]))
    return torch.cat(found)


def _in_float32(
    query: Tensor, key: Tensor, value: Tensor, row: Packed, dropout: float, scaling: float | None
) -> Tensor:
    with torch.autocast(query.device.type, enabled=False):
        wide = query.float(), key.float(), value.float()
        return by_length(*wide, row, dropout, scaling).to(query.dtype)


def padded(
    query: Tensor, key: Tensor, value: Tensor, row: Packed, dropout: float, scaling: float | None
) -> Tensor:
    """Attend in all texts at once, padded for this alone: (tokens, heads, width)."""
    lengths = row.ends.diff()[row.order]
    longest = row.groups[0][1]
    mask = torch.arange(longest, device=lengths.device) < lengths[:, None]

    def spread(x: Tensor) -> Tensor:
        x = x[0].transpose(0, 1)
        blocks = x.new_zeros(len(lengths), longest, *x.shape[1:])
        return blocks.index_put((row.texts, row.places), x).transpose(1, 2)

    batch = spread(query), spread(key), spread(value)
    seen = scaled_dot_product_attention(
        *batch, attn_mask=mask[:, None, None], dropout_p=dropout, scale=scaling
    )
    return seen.transpose(1, 2)[row.texts, row.places]


def by_kernel(
    query: Tensor, key: Tensor, value: Tensor, row: Packed, dropout: float, scaling: float | None
) -> Tensor:
    """Attend with a GPU's kernel for texts of several lengths: (tokens, heads, width)."""
    assert not dropout  # it has none
    kernel = _varlen()
    assert kernel is not None
    own = (x[0].transpose(0, 1) for x in (query, key, value))
    longest = row.groups[0][1]
    return kernel(*own, row.ends, row.ends, longest, longest, scale=scaling)


@cache
def _varlen() -> Callable[..., Any] | None:
    """Return torch's kernel, where it has one that takes a scale and the GPU can run it."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:  # before torch 2.10
        return None
    known = "scale" in signature(varlen_attn).parameters
    return varlen_attn if known and torch.cuda.get_device_capability() >= (8, 0) else None
