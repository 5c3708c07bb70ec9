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
        "auto",
        description="Validation data; `auto`: those that come with the first training data, as "
        "with `embedded`; null: none.",
    )
    validation_languages: Names | None = Field(
        None,
        description="Languages to validate on; null: the pivot language (English), or with "
        "`metric_for_best_model` all training languages.",
    )
    limit: Rows | None = Field(
        None, description="Rows kept of each language and data set, for a trial; null: all."
    )
