"""The named encoders: where they are and what suits them. Imports nothing heavy."""

from typing import NamedTuple


class Preset(NamedTuple):
    """A named encoder.

    `source` is a hub id, or `tiny:NAME` for one that hbr makes itself; `pooling` stands in where
    the encoder's files say nothing; `learning_rate` suits it; `size` is about how many GB
    its download takes.
    """

    source: str
    pooling: str = "mean"
    learning_rate: float = 3e-5  # arXiv 2408.10536
    size: float = 0.0


XLM_R = Preset("FacebookAI/xlm-roberta-base", size=1.1)
XLM_R_LARGE = Preset("FacebookAI/xlm-roberta-large", size=2.2)
LABSE = Preset("sentence-transformers/LaBSE", "dense", size=1.9)  # arXiv 2007.01852
MBERT = Preset("google-bert/bert-base-multilingual-cased", size=0.7)
XLM_R_TINY = Preset("tiny:xlm-r-tiny", learning_rate=3e-3)
LABSE_TINY = Preset("tiny:labse-tiny", "dense", learning_rate=3e-3)
MBERT_TINY = Preset("tiny:mbert-tiny", learning_rate=3e-3)
