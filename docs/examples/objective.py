"""An objective with two settings of its own: InfoNCE that weighs hard rows more."""

import torch
from pydantic import Field

from hbr.core.settings import Objective as Settings
from hbr.training.objectives import Objective


class FocalSettings(Settings):
    """Focal InfoNCE."""

    gamma: float = Field(2.0, ge=0, description="Exponent; 0 is InfoNCE.")
    floor: float = Field(0.0, ge=0, le=1, description="Least weight of a row.")


def make_loss(settings):
    """Return the loss for its settings."""

    def loss(queries, passages, negatives=None, *, mask=None, temperature=0.05):
        everything = passages if negatives is None else torch.cat([passages, negatives])
        scores = queries @ everything.T / temperature
        if mask is not None:
            scores[:, : len(passages)].masked_fill_(mask, float("-inf"))
        log_p = torch.log_softmax(scores, dim=1).diagonal()
        weight = (1 - log_p.exp()) ** settings.gamma
        return -(weight.clamp(min=settings.floor) * log_p).mean()

    return loss


FOCAL = Objective("focal", FocalSettings, make_loss=make_loss)
