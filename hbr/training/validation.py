"""The validation loss, by which the best checkpoint is chosen."""

from typing import NamedTuple

import numpy as np
import torch

from hbr.core.settings import Config
from hbr.data.rows import Rows
from hbr.data.tokens import Tokens
from hbr.training.batch import TextEncoder, group_mask
from hbr.training.losses import Loss


class Validation(NamedTuple):
    """Validation rows with their tokens, and the languages to validate in."""

    rows: Rows
    tokens: Tokens
    languages: tuple[str, ...]


@torch.no_grad()
def validation_loss(
    validation: Validation, encode: TextEncoder, loss: Loss, config: Config
) -> float:
    """Return the mean contrastive loss of monolingual batches, always the same, without dropout."""
    rows, tokens, languages = validation
    size, objective = config.train.batch_size, config.objective
    total, count = 0.0, 0
    encode.encoder.eval()
    for language in languages:
        code = rows.languages.index(language)
        eligible = np.flatnonzero(rows.has[:, code])
        for at in range(0, len(eligible), size):
            batch = eligible[at : at + size]
            codes = np.full(len(batch), code)
            queries = encode(tokens.texts("query", rows.query_cells(batch, codes)))
            passages = encode(tokens.texts("passage", rows.passage_cells(batch, codes)))
            mask = group_mask(np.asarray(rows.group)[batch], objective.mask, encode.device)
            value = loss(queries, passages, mask=mask, temperature=objective.temperature)
            total, count = total + float(value) * len(batch), count + len(batch)
    encode.encoder.train()
    return total / count
