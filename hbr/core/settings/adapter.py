"""Settings of a low-rank adapter."""

from typing import Literal

from pydantic import Field

from hbr.core.settings.fields import Names, Positive, PositiveFloat, Section, Share


class Adapter(Section):
    """A low-rank adapter, trained in place of the backbone's weights."""

    name: Literal["lora"] | None = Field(
        None, description="Kind of adapter; null: none, all weights are trained."
    )
    rank: Positive = Field(16, description="Rank of the matrices, r.")
    lora_alpha: PositiveFloat = Field(
        32.0, description="The matrices' product is scaled by this α over r."
    )
    lora_dropout: Share = Field(0.0, description="Dropout before the matrices.")
    target_modules: Names | None = Field(
        None,
        description="Linear layers by the ends of their names, or `all-linear`; null: as peft has "
        "it for the architecture, mostly queries and values.",
    )
    merge: bool = Field(
        True, description="Save the encoder with its adapter merged; else the adapter alone."
    )
