"""Tiny encoders of the three real families, made on the spot: tokenizer, weights and all.

The architecture and tokenizer classes, special tokens and their ids are those of XLM-R, mBERT and
LaBSE, so that `AutoModel` and `AutoTokenizer` load a saved one. Vocabularies come from in-vitro
text by counting, since the trainers of `tokenizers` promise no fixed result. Same seed, same bytes
on the same kind of machine.
"""

import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import torch
from tokenizers.models import Unigram, WordPiece
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaModel,
    XLMRobertaTokenizer,
)

from hbr.data import synthetic
from hbr.models.encoder import Dense, Encoder, Pooling

MAX_SEQ_LENGTH = 128  # tokens, special ones included
_VOCAB_SIZE = 4096
_MAX_PIECE_LENGTH = 10  # characters
_SHAPE: dict[str, Any] = {
    "hidden_size": 64,  # some 600 steps of 64 pairs must take seconds on one core
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 128,
    # A model this small underfits; and dropout would cost speed and comparability.
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


def build(name: str, seed: int = 0) -> Encoder:
    """Return a new tiny encoder of a name in `NAMES`, the same for the same seed.

    labse-tiny, like LaBSE, has already learnt to rank translations, in all ten languages; the
    other two have random weights. No global random state is changed.
    """
    make = _MAKERS[name]
    with _one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make(seed)


def _labse_tiny(seed: int) -> Encoder:
    model, tokenizer = _bert()
    width = model.config.hidden_size
    encoder = Encoder(model, tokenizer, Pooling(("cls",), (Dense(torch.nn.Linear(width, width)),)))
    _widen(model)
    _rank_translations(encoder, seed)
    return encoder


_MAKERS: dict[str, Callable[[int], Encoder]] = {
    "xlm-r-tiny": lambda _: Encoder(*_xlm_r(), Pooling()),
    "mbert-tiny": lambda _: Encoder(*_bert(), Pooling()),
    "labse-tiny": _labse_tiny,
}
NAMES = tuple(_MAKERS)


def _xlm_r() -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    counts = _vocabulary("▁", "", _VOCAB_SIZE - len(special) - 1)
    pieces = [(token, 0.0) for token in special] + _scored(counts) + [("<mask>", 0.0)]
    tokenizer = XLMRobertaTokenizer(vocab=pieces, model_max_length=MAX_SEQ_LENGTH)
    config = XLMRobertaConfig(
        vocab_size=len(pieces),
        max_position_embeddings=MAX_SEQ_LENGTH + 2,  # RoBERTa counts positions from pad id + 1
        type_vocab_size=1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        **_SHAPE,
    )
    return XLMRobertaModel(config, add_pooling_layer=False), tokenizer


def _bert() -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    counts = _vocabulary("", "##", _VOCAB_SIZE - len(special))
    vocabulary = {token: i for i, token in enumerate(special + list(counts))}
    tokenizer = BertTokenizer(
        vocab=vocabulary,
        do_lower_case=False,  # as mBERT cased: lower-casing also strips vowel signs
        model_max_length=MAX_SEQ_LENGTH,
    )
    config = BertConfig(
        vocab_size=len(vocabulary), max_position_embeddings=MAX_SEQ_LENGTH, pad_token_id=0, **_SHAPE
    )
    return BertModel(config, add_pooling_layer=False), tokenizer


def _widen(model: PreTrainedModel) -> None:
    """Draw the weights of all linear layers but queries and keys at the scale 1 / sqrt(inputs).

    The usual 0.02 suits widths near a thousand: in a narrow model almost nothing of the other
    tokens reaches CLS, all texts look the same, and training does not get going. Small queries
    and keys let CLS begin with a plain mean of the tokens.
    """
    for name, layer in model.named_modules():
        if isinstance(layer, torch.nn.Linear) and not name.endswith(("query", "key")):
            torch.nn.init.normal_(layer.weight, std=layer.in_features**-0.5)


@cache
def _vocabulary(start: str, continuing: str, size: int) -> Counter[str]:
    """Return the pieces of the in-vitro text's words; nobody may change them."""
    return _pieces(_words(start), continuing, size)


def _words(start: str) -> Counter[str]:
    """Return how often each word of the in-vitro text occurs; punctuation is cut off."""
    counts: Counter[str] = Counter()
    for text in (*synthetic.texts(), *["Query: Passage:"] * 1000):  # as common as in real text
        for chunk in text.split():
            spaced = [f" {c} " if unicodedata.category(c)[0] == "P" else c for c in start + chunk]
            counts.update("".join(spaced).split())
    return counts


def _pieces(words: Counter[str], continuing: str, size: int) -> Counter[str]:
    """Return the pieces used most when words are cut greedily or by likelihood, by frequency.

    All substrings compete at first, weighted by the characters they cover; a model over the best
    of them cuts the words, and what it uses often is kept. Every character seen stays in.
    """
    seen: Counter[str] = Counter()
    for word, number in words.items():
        for i in range(len(word)):
            for j in range(i + 1, min(i + _MAX_PIECE_LENGTH, len(word)) + 1):
                seen[continuing * (i > 0) + word[i:j]] += number
    covered = {
        piece: number * len(piece.removeprefix(continuing)) for piece, number in seen.items()
    }
    best = {piece: seen[piece] for piece in _largest(covered, 4 * size)}
    letters = {p: n for p, n in seen.items() if len(p.removeprefix(continuing)) == 1}
    model = _model({piece: seen[piece] for piece in best} | letters, continuing)
    used = Counter(dict.fromkeys(letters, 1))
    for word, number in words.items():
        used.update({token.value: 0 for token in model.tokenize(word)})
        for token in model.tokenize(word):
            used[token.value] += number
    kept = _largest({p: n + 10**9 * (p in letters) for p, n in used.items()}, size)
    return Counter({piece: used[piece] for piece in kept})


def _largest(numbers: dict[str, int], size: int) -> list[str]:
    return sorted(numbers, key=lambda piece: (-numbers[piece], piece))[:size]


def _model(counts: dict[str, int], continuing: str) -> Unigram | WordPiece:
    if continuing:
        return WordPiece({"[UNK]": 0} | {p: i for i, p in enumerate(counts, 1)}, unk_token="[UNK]")
    return Unigram([("<unk>", 0.0), *_scored(counts)], unk_id=0)


def _scored(counts: dict[str, int]) -> list[tuple[str, float]]:
    """Return log-probabilities of pieces, rounded: a logarithm's last bit is the platform's."""
    total = sum(counts.values())
    return [(piece, round(math.log(number / total), 6)) for piece, number in counts.items()]


def _rank_translations(encoder: Encoder, seed: int, steps: int = 400, size: int = 32) -> None:
    """Teach an encoder to find translations in a batch: LaBSE's training, in miniature."""
    rows, rng = list(synthetic.translations()), np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(encoder.parameters(), fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=steps)
    cross_entropy, labels = torch.nn.functional.cross_entropy, torch.arange(size)
    for _ in range(steps):
        chosen = [rows[i] for i in rng.choice(len(rows), size, replace=False)]
        pairs = [[row[c] for c in rng.choice(list(row), 2, replace=False)] for row in chosen]
        texts = [source for source, _ in pairs] + [target for _, target in pairs]
        vectors = encoder(*encoder.pad(encoder.tokenize(texts, MAX_SEQ_LENGTH)))
        sources, targets = vectors.chunk(2)
        scores = sources @ targets.T / 0.05  # (sources, targets)
        loss = cross_entropy(scores, labels) + cross_entropy(scores.T, labels)  # both directions
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    encoder.zero_grad()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute with one thread, so that sums have one order on any number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
