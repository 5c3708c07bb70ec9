"""Settings of training and validation data."""

from pydantic import Field

from hbr.core.settings.fields import Names, Rows, Section, Share


class Data(Section):
    """Training and validation data."""

    train: Names = Field(
        ("embedded",), description="Training data: names, `FILE.jsonl` or `hf:HUB_ID`."
    )
    languages: Names | None = Field(None, description="Languages to train on; null: all.")
    size_exponent: Share = Field(
        1.0, description="Data sets are drawn in proportion to their size to this power."
    )
    validation: str | None = Field(
        "auto", description="Validation data; `auto`: those of the training data; null: none."
    )
    validation_languages: Names | None = Field(
        None, description="Languages to validate on; null: the pivot language (English)."
    )
    limit: Rows | None = Field(
        None, description="Rows kept of each language and data set, for a trial; null: all."
    )
