"""Every name a config may say, as `"module:attribute"`, imported when asked for."""

import difflib
import importlib
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hbr.errors import UserError

NAMES: dict[str, dict[str, str]] = {
    "sampler": {
        "monolingual": "hbr.sampling:monolingual_sampler",
        "cross-lingual": "hbr.sampling:cross_lingual_sampler",
        "hybrid": "hbr.sampling:hybrid_sampler",
        "mixed": "hbr.sampling:mixed_sampler",
        "english": "hbr.sampling:english_sampler",
        "untrained": "hbr.sampling:untrained_sampler",
    },
    "encoder": {
        "xlm-r": "hbr.presets:XLM_R",
        "xlm-r-large": "hbr.presets:XLM_R_LARGE",
        "labse": "hbr.presets:LABSE",
        "mbert": "hbr.presets:MBERT",
        "xlm-r-tiny": "hbr.presets:XLM_R_TINY",
        "labse-tiny": "hbr.presets:LABSE_TINY",
        "mbert-tiny": "hbr.presets:MBERT_TINY",
    },
    "rows": {
        "embedded": "hbr.data.readers.embedded:TRAIN",
        "embedded-validation": "hbr.data.readers.embedded:VALIDATION",
        "mmarco": "hbr.data.readers.mmarco:TRAIN",
        "mmarco-v1": "hbr.data.readers.mmarco:TRAIN_V1",
        "joined": "hbr.data.readers.joined:JOINED",
        "squad": "hbr.data.readers.squad:SQUAD",
        "squad-context": "hbr.data.readers.squad:SQUAD_CONTEXT",
        "squadshifts": "hbr.data.readers.squad:SQUADSHIFTS",
        "squadshifts-context": "hbr.data.readers.squad:SQUADSHIFTS_CONTEXT",
        "mr-tydi-train": "hbr.data.readers.tydi_train:MR_TYDI_TRAIN",
        "nq": "hbr.data.readers.dpr:NQ",
        "entity-questions": "hbr.data.readers.dpr:ENTITY_QUESTIONS",
        "dpr": "hbr.data.readers.dpr:DPR",
        "mfaq": "hbr.data.readers.mfaq:MFAQ",
        "duorc": "hbr.data.readers.duorc:DUORC",
        "duorc-paraphrase": "hbr.data.readers.duorc:DUORC_PARAPHRASE",
        "newsqa": "hbr.data.readers.newsqa:NEWSQA",
        "wikiqa": "hbr.data.readers.wikiqa:WIKIQA",
        "yahoo-qa": "hbr.data.readers.yahoo:YAHOO_QA",
        "bitext": "hbr.data.readers.tsv:BITEXT",
    },
    "task": {
        "embedded": "hbr.data.readers.embedded:TASK",
        "xquad-r": "hbr.data.readers.lareqa:XQUAD_R",
        "lareqa": "hbr.data.readers.lareqa:LAREQA",
        "mlqa-r": "hbr.data.readers.lareqa:MLQA_R",
        "miracl": "hbr.data.readers.miracl:MIRACL",
        "tatoeba": "hbr.data.readers.tatoeba:TATOEBA",
        "bucc": "hbr.data.readers.bucc:BUCC",
        "tatoeba-112": "hbr.data.readers.tatoeba:TATOEBA_112",
        "xm3600": "hbr.data.readers.xm3600:XM3600",
        "mewsli-x": "hbr.data.readers.mewsli_x:MEWSLI_X",
        "mewsli-x-dev": "hbr.data.readers.mewsli_x:MEWSLI_X_DEV",
        "beir": "hbr.data.readers.beir:BEIR",
        "mr-tydi": "hbr.data.readers.mr_tydi:MR_TYDI",
        "mr-tydi-dev": "hbr.data.readers.mr_tydi:MR_TYDI_DEV",
        "mmarco-dev": "hbr.data.readers.mmarco_dev:MMARCO_DEV",
        "mmarco-v1-dev": "hbr.data.readers.mmarco_dev:MMARCO_V1_DEV",
        "parallel": "hbr.data.readers.parallel:PARALLEL",
    },
    "objective": {  # a function is a loss of vectors, a class a recipe
        "infonce": "hbr.objectives:info_nce",
        "adversarial": "hbr.recipes:Adversarial",
        "smoothing": "hbr.recipes:Smoothing",
        "language-adversarial": "hbr.recipes:LanguageAdversarial",
        "language-contrastive": "hbr.recipes:LanguageContrastive",
    },
    "metric": {
        "map": "hbr.metrics:average_precision",
        "ndcg": "hbr.metrics:ndcg",
        "recall": "hbr.metrics:recall",
        "mrr": "hbr.metrics:reciprocal_rank",
    },
    "bias": {
        "rank_distance": "hbr.bias:rank_distance",
        "peer": "hbr.bias:peer",
        "same_language": "hbr.bias:same_language",
    },
    "perturbation": {
        "typo": "hbr.perturb.typos:mixed",
        "typo-swap": "hbr.perturb.typos:swap",
        "typo-drop": "hbr.perturb.typos:drop",
        "typo-insert": "hbr.perturb.typos:insert",
        "typo-keyboard": "hbr.perturb.typos:neighbour",
        "diacritics": "hbr.perturb.scripts:diacritics",
        "confusables": "hbr.perturb.scripts:confusables",
        "normalization-nfd": "hbr.perturb.scripts:nfd",
        "normalization-nfkc": "hbr.perturb.scripts:nfkc",
        "transliterate": "hbr.perturb.scripts:transliterate",
        "case-lower": "hbr.perturb.words:lowered",
        "case-upper": "hbr.perturb.words:capitals",
        "word-order": "hbr.perturb.words:order",
        "word-drop": "hbr.perturb.words:drop",
        "code-switch": "hbr.perturb.words:switch",
    },
}


def resolve(kind: str, name: str) -> Any:
    """Give the object that `name` stands for.

    A name that is not in the table may be `package.module:attribute`: that is how a sampler, data
    set, objective or metric of one's own is used. Raises UserError for others.
    """
    name = canonical(kind, name)
    target = NAMES[kind].get(base(kind, name), name)
    if ":" not in target:
        raise UserError(unknown(kind, name))
    module, _, attribute = target.partition(":")
    if name not in NAMES[kind] and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # as `python -m` does: one's own code is beside one
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        if name in NAMES[kind]:
            raise
        raise UserError(f"{kind} {name!r} cannot be imported: {error}") from error


def canonical(kind: str, name: str) -> str:
    """Give a name as the table spells it: `_` and `-` are the same."""
    spelled = {known.replace("_", "-"): known for known in NAMES[kind]}
    return spelled.get(name.replace("_", "-"), name)


def base(kind: str, name: str) -> str:
    """Give the layout of a name such as `beir/scifact`: what stands before the first `/`."""
    first, _, rest = name.partition("/")
    return first if rest and kind == "task" and first in NAMES[kind] else name


def parted(name: str) -> tuple[str, str]:
    """Part `xquad-r~typo:0.1` into a data set and a perturbation of its queries, "" for none."""
    dataset, _, perturbation = name.partition("~")
    return dataset, perturbation


def as_folder(name: str) -> str:
    """Give a data set's name as one folder may be called: `beir/scifact` is `beir-scifact`."""
    return re.sub(r"[/:]+", "-", name)


def unknown(kind: str, name: str) -> str:
    """Say that a name is not in the table, and which are like it."""
    return f"there is no {kind} {name!r}{near(name, NAMES[kind])}"


def near(word: str, known: Iterable[str]) -> str:
    """Say which known names are like `word`, or list them all where none is."""
    known = sorted(known)
    likely = difflib.get_close_matches(word, known, n=3, cutoff=0.6)
    if likely:
        return f"; did you mean {' or '.join(likely)}?"
    return f"; known: {', '.join(known)}"
