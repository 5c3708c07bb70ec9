"""The named encoders: where their files are and what suits them."""

from dataclasses import dataclass
from typing import Any

from hbr.core import registry


@dataclass(frozen=True)
class Preset:
    """A named encoder with its facts."""

    name: str
    source: str | None  # hub id or folder; None: `hbr.models.tiny` makes it
    pooling: str = "mean"  # where the encoder's files name none
    query_prompt: str = "Query: "  # where the encoder's files name none; of arXiv 2408.10536
    passage_prompt: str = "Passage: "
    max_seq_lengths: tuple[int, int] | None = None  # of queries and passages; None: as files say
    learning_rate: float = 3e-5  # peak; the default is that of arXiv 2408.10536
    download_gb: float = 0.0  # 0 where it is unknown or nothing is downloaded


SHORT: dict[str, Any] = {"max_seq_lengths": (64, 256)}  # tokens
XLM_R = Preset("xlm-r", "FacebookAI/xlm-roberta-base", download_gb=1.1, **SHORT)
XLM_R_LARGE = Preset("xlm-r-large", "FacebookAI/xlm-roberta-large", download_gb=2.2, **SHORT)
LABSE = Preset(  # arXiv 2007.01852
    "labse", "sentence-transformers/LaBSE", "dense", download_gb=1.9, **SHORT
)
MBERT = Preset("mbert", "google-bert/bert-base-multilingual-cased", download_gb=0.7, **SHORT)
# Retrievers as published: their prompts and pooling, and texts of up to 512 tokens.
LONG: dict[str, Any] = {"max_seq_lengths": (512, 512)}
E5: dict[str, Any] = {"query_prompt": "query: ", "passage_prompt": "passage: ", **LONG}
NO_PROMPTS: dict[str, Any] = {"query_prompt": "", "passage_prompt": "", **LONG}
E5_SMALL = Preset(  # arXiv 2402.05672, and the learning rates that it was fine-tuned with
    "e5-small", "intfloat/multilingual-e5-small", learning_rate=3e-5, download_gb=0.5, **E5
)
E5_BASE = Preset(
    "e5-base", "intfloat/multilingual-e5-base", learning_rate=2e-5, download_gb=1.1, **E5
)
E5_LARGE = Preset(
    "e5-large", "intfloat/multilingual-e5-large", learning_rate=1e-5, download_gb=2.2, **E5
)
BGE_M3 = Preset(  # arXiv 2402.03216, its dense vectors
    "bge-m3", "BAAI/bge-m3", "cls", learning_rate=1e-5, download_gb=2.3, **NO_PROMPTS
)
ARCTIC_EMBED_L_V2 = Preset(  # arXiv 2412.04506: queries alone have a prompt
    "arctic-embed-l-v2", "Snowflake/snowflake-arctic-embed-l-v2.0", "cls",
    query_prompt="query: ", passage_prompt="", learning_rate=1e-5, download_gb=2.3, **LONG,
)  # fmt: skip
GTE_MULTILINGUAL_BASE = Preset(  # arXiv 2407.19669, in the layout of transformers' own GteModel
    "gte-multilingual-base", "alibaba-nlp-community/gte-multilingual-base", "cls",
    learning_rate=2e-5, download_gb=1.2, **NO_PROMPTS,
)  # fmt: skip
XLM_R_TINY = Preset("xlm-r-tiny", None, learning_rate=3e-3, **SHORT)
LABSE_TINY = Preset("labse-tiny", None, "dense", learning_rate=3e-3, **SHORT)
MBERT_TINY = Preset("mbert-tiny", None, learning_rate=3e-3, **SHORT)


def preset(name: str) -> Preset:
    """Return the preset of a name; a hub id or a folder is one with the usual facts.

    The id of a preset's encoder has the prompts of that.
    """
    names = registry.names("encoder")
    if name in names or (":" in name and "/" not in name):
        return registry.get("encoder", name)
    for known in (registry.get("encoder", other) for other in names):
        if known.source == name:
            query, passage = known.query_prompt, known.passage_prompt
            return Preset(name, name, query_prompt=query, passage_prompt=passage)
    return Preset(name, name)
