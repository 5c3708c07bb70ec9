"""An objective with two settings of its own: InfoNCE that weighs hard rows more."""

import torch
from pydantic import Field

from hbr.core.settings import Objective as Settings
from hbr.training.objectives import Objective


class FocalSettings(Settings):
    """Focal InfoNCE."""

    gamma: float = Field(2.0, ge=0, description="Exponent; 0 is InfoNCE.")
    floor: float = Field(0.0, ge=0, le=1, description="Least weight of a row.")


def focal(queries, passages, negatives=None, *, mask=None, temperature=0.05, gamma, floor):
    """queries, passages (n, width), negatives (m, width), mask (n, n + m) -> a number."""
    texts = passages if negatives is None else torch.cat([passages, negatives])
    scores = queries @ texts.T / temperature
    if mask is not None:
        scores = scores.masked_fill(mask, float("-inf"))
    log_p = torch.log_softmax(scores, dim=1).diagonal()
    weight = (1 - log_p.exp()) ** gamma
    return -(weight.clamp(min=floor) * log_p).mean()


FOCAL = Objective("focal", FocalSettings, focal)
