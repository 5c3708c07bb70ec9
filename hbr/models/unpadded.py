"""Texts packed end to end in one row of tokens, without padding, through stock transformers.

All layers but attention see each token by itself and never notice. Attention is a function that
transformers finds by its name, `NAME`, in the backbone's config; it keeps each text to itself, and
each token to what its layer lets it see.
"""

from collections.abc import Callable, Sequence
from functools import cache
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from hbr.models.dropout import quick_dropout

NAME = "hbr_packed"
MODELS = (
    *("BertModel", "XLMRobertaModel", "ModernBertModel"),
    *("LlamaModel", "MistralModel", "Qwen2Model", "Qwen3Model", "Gemma3TextModel"),
)
POOLINGS = {"mean", "cls", "lasttoken"}
HALF = (torch.bfloat16, torch.float16)
QKV = tuple[Tensor, Tensor, Tensor]  # query, key, value: (1, heads, tokens, head size) each


class Reach(NamedTuple):
    """Which tokens of its text a token sees."""

    causal: bool = False  # none that come after it
    window: int | None = None  # none so far away, or further

    def mask(self, length: int, device: torch.device) -> Tensor | None:
        """Return who sees whom among the tokens of a text, (length, length); None: all see all."""
        window = length if self.window is None else self.window
        if window >= length and not self.causal:
            return None
        place = torch.arange(length, device=device)
        ahead = place - place[:, None]
        return (ahead.abs() < window) & (ahead < (1 if self.causal else length))


ALL = Reach()


class Packed(NamedTuple):
    """Some texts in one row of tokens, the longest first."""

    input_ids: Tensor  # (1, tokens)
    text_of: Tensor  # (tokens,) index of each token's text in the order of the input
    position_ids: Tensor  # (tokens,) of each token in its text, counted from 0
    row_index: Tensor  # (texts,) where in the row each text of the input stands
    length_groups: tuple[tuple[int, int], ...]  # how many texts have a length, and the length
    cu_seqlens: Tensor  # (texts + 1,) where the texts in the row end, from 0


def pack(token_ids: Sequence[Any], device: torch.device | str = "cpu") -> Packed:
    """Put the token ids of texts, none empty, end to end."""
    lengths = np.fromiter(map(len, token_ids), np.int64, len(token_ids))
    order = np.argsort(-lengths, kind="stable")
    sizes, counts = np.unique(lengths, return_counts=True)
    ordered = lengths[order]
    cu_seqlens = np.concatenate([[0], ordered.cumsum()])
    position_ids = np.arange(cu_seqlens[-1]) - cu_seqlens[:-1].repeat(ordered)

    def tensor(numbers: np.ndarray) -> Tensor:
        return torch.from_numpy(numbers).to(device, non_blocking=True)

    return Packed(
        tensor(np.concatenate([token_ids[i] for i in order]).astype(np.int64))[None],
        tensor(order.repeat(ordered)),
        tensor(position_ids),
        tensor(np.argsort(order)),
        tuple(zip(counts[::-1].tolist(), sizes[::-1].tolist(), strict=True)),
        tensor(cu_seqlens.astype(np.int32)),
    )


def enable(backbone: Any) -> bool:
    """Let a stock backbone take packed texts, and return whether it does.

    Padded texts go through it as before.
    """
    config = backbone.config
    stock = type(backbone).__module__.startswith("transformers.models.")
    if not stock or type(backbone).__name__ not in MODELS or getattr(config, "is_decoder", False):
        return False
    if config._attn_implementation == "sdpa":
        _register()
        backbone.set_attn_implementation(NAME)
    return config._attn_implementation == NAME


def first_position(backbone: Any) -> int:
    """Return the position id of a text's first token: RoBERTa counts from behind the padding id."""
    table = getattr(getattr(backbone, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    return 0 if padding is None else padding + 1


def forward(backbone: Any, packed: Packed, shift: Tensor | None = None, **options: Any) -> Tensor:
    """Return the hidden states of packed texts: (tokens, hidden size).

    `shift` (texts, tokens, hidden size), padded, is added to the token embeddings; `options` are
    those of the backbone.
    """
    inputs = {"input_ids": packed.input_ids}
    if shift is not None:
        embeddings = backbone.get_input_embeddings()(packed.input_ids)
        inputs = {
            "inputs_embeds": embeddings + shift[packed.text_of, packed.position_ids].to(embeddings)
        }
    position_ids = packed.position_ids[None] + first_position(backbone)
    prepared = torch.empty(1, 1, 0, 0)  # a mask of four dimensions is not made, but passed on
    return backbone(
        **inputs, position_ids=position_ids, attention_mask=prepared, packed=packed, **options
    )[0][0]


def pool(hidden: Tensor, packed: Packed, mode: str) -> Tensor:
    """Return a vector of each text by one of `POOLINGS`: (texts, hidden size)."""
    if mode != "mean":
        ends = packed.cu_seqlens.long()
        return hidden[(ends[:-1] if mode == "cls" else ends[1:] - 1)[packed.row_index]]
    parts = hidden.split([count * length for count, length in packed.length_groups])
    means = [
        part.view(count, length, -1).mean(1)
        for part, (count, length) in zip(parts, packed.length_groups, strict=True)
    ]
    return torch.cat(means)[packed.row_index]


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
    packed: Packed | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attend within each packed text; without `packed`, as transformers does.

    Takes (1, heads, tokens, head size) and returns (1, tokens, heads, head size).
    """
    if packed is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    causal = options.get("is_causal")
    if causal is None:
        causal = getattr(module, "is_causal", False)
    reach = Reach(causal, options.get("sliding_window"))
    groups = query.shape[1] // key.shape[1]  # heads of queries for each of keys and values
    if groups > 1:
        key, value = (x.repeat_interleave(groups, dim=1) for x in (key, value))
    dropout, scale = options.get("dropout", 0.0), options.get("scaling")
    attend = _fastest(module, query, dropout, reach)
    return attend((query, key, value), packed, dropout, scale, reach)[None], None


def _fastest(
    module: torch.nn.Module, query: Tensor, dropout: float, reach: Reach = ALL
) -> Callable[..., Tensor]:
    """Return the fastest attention on a device.

    On a CPU the backward pass of the bfloat16 kernel takes three times that of float32, so training
    attends in float32. The module's mode decides, not who needs a gradient: the same text then
    always has the same vector.
    """
    if query.device.type == "cpu":
        return attend_in_float32 if module.training and query.dtype in HALF else attend_by_length
    fits = query.dtype in HALF and not dropout and query.shape[-1] % 8 == 0 and reach == ALL
    return attend_varlen if fits and _varlen() is not None else attend_padded


def attend_by_length(
    qkv: QKV, packed: Packed, dropout: float, scale: float | None, reach: Reach = ALL
) -> Tensor:
    """Attend in all texts of a length at once, length by length: (tokens, heads, head size)."""
    sizes = [count * length for count, length in packed.length_groups]
    pieces = zip(*(x[0].transpose(0, 1).split(sizes) for x in qkv), strict=True)
    outputs = []
    for (count, length), piece in zip(packed.length_groups, pieces, strict=True):
        q, k, v = (x.reshape(count, length, *x.shape[1:]).transpose(1, 2) for x in piece)
        mask = reach.mask(length, q.device)
        if dropout:  # torch's kernel has none, and would go through slower steps of the same kind
            scores = (q * (scale or q.shape[-1] ** -0.5)) @ k.transpose(2, 3)
            scores = scores if mask is None else scores.masked_fill(~mask, -torch.inf)
            output = quick_dropout(scores.softmax(-1), dropout) @ v
        else:
            output = scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
        outputs.append(output.transpose(1, 2).reshape(count * length, *piece[0].shape[1:]))
    return torch.cat(outputs)


def attend_in_float32(
    qkv: QKV, packed: Packed, dropout: float, scale: float | None, reach: Reach = ALL
) -> Tensor:
    """Attend by length in float32, whatever the inputs are: (tokens, heads, head size)."""
    query, key, value = qkv
    with torch.autocast(query.device.type, enabled=False):
        wide = query.float(), key.float(), value.float()
        return attend_by_length(wide, packed, dropout, scale, reach).to(query.dtype)


def attend_padded(
    qkv: QKV, packed: Packed, dropout: float, scale: float | None, reach: Reach = ALL
) -> Tensor:
    """Attend in all texts at once, padded for this alone: (tokens, heads, head size)."""
    lengths = packed.cu_seqlens.diff()[packed.row_index]
    longest = packed.length_groups[0][1]
    mask = (torch.arange(longest, device=lengths.device) < lengths[:, None])[:, None, None]
    if (sees := reach.mask(longest, lengths.device)) is not None:
        mask = mask & sees
    tokens = packed.text_of, packed.position_ids

    def pad(x: Tensor) -> Tensor:
        x = x[0].transpose(0, 1)
        return x.new_zeros(len(lengths), longest, *x.shape[1:]).index_put(tokens, x).transpose(1, 2)

    query, key, value = map(pad, qkv)
    output = scaled_dot_product_attention(
        query, key, value, attn_mask=mask, dropout_p=dropout, scale=scale
    )
    return output.transpose(1, 2)[tokens]


def attend_varlen(
    qkv: QKV, packed: Packed, dropout: float, scale: float | None, reach: Reach = ALL
) -> Tensor:
    """Attend with a GPU's kernel for texts of several lengths: (tokens, heads, head size)."""
    assert not dropout  # it has none
    assert reach == ALL
    kernel = _varlen()
    assert kernel is not None
    heads = (x[0].transpose(0, 1) for x in qkv)
    longest = packed.length_groups[0][1]
    return kernel(*heads, packed.cu_seqlens, packed.cu_seqlens, longest, longest, scale=scale)


@cache
def _varlen() -> Callable[..., Any] | None:
    """Return torch's kernel, where it has one that takes a scale and the GPU can run it."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:  # before torch 2.10
        return None
    scales = "scale" in signature(varlen_attn).parameters
    return varlen_attn if scales and torch.cuda.get_device_capability() >= (8, 0) else None
