"""Everything with a name, by kind; each entry carries the facts of its thing.

A name of its own is one line here. A name may also be `package.module:attribute`, installed or
beside where one stands: an entry from outside is used like any other. Entries are imported when
they are asked for, so that `hbr --help` loads none.
"""

import difflib
import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hbr.core.errors import UserError

TABLE: dict[str, dict[str, str]] = {
    "sampler": {
        "english": "hbr.training.samplers:ENGLISH",
        "mixed": "hbr.training.samplers:MIXED",
        "monolingual": "hbr.training.samplers:MONOLINGUAL",
        "cross-lingual": "hbr.training.samplers:CROSS_LINGUAL",
        "hybrid": "hbr.training.samplers:HYBRID",
    },
    "encoder": {
        "xlm-r": "hbr.models.presets:XLM_R",
        "xlm-r-large": "hbr.models.presets:XLM_R_LARGE",
        "labse": "hbr.models.presets:LABSE",
        "mbert": "hbr.models.presets:MBERT",
        "xlm-r-tiny": "hbr.models.presets:XLM_R_TINY",
        "labse-tiny": "hbr.models.presets:LABSE_TINY",
        "mbert-tiny": "hbr.models.presets:MBERT_TINY",
    },
    "training data": {
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
    "dataset": {
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
    "objective": {
        "infonce": "hbr.training.objectives:INFONCE",
        "adversarial": "hbr.training.objectives.adversarial:ADVERSARIAL",
        "smoothing": "hbr.training.objectives.smoothing:SMOOTHING",
        "language-adversarial": "hbr.training.objectives.language_adversarial:LANGUAGE_ADVERSARIAL",
        "language-contrastive": "hbr.training.objectives.language_contrastive:LANGUAGE_CONTRASTIVE",
    },
    "metric": {
        "map": "hbr.evaluation.metrics:MAP",
        "ndcg": "hbr.evaluation.metrics:NDCG",
        "recall": "hbr.evaluation.metrics:RECALL",
        "mrr": "hbr.evaluation.metrics:MRR",
        "rank_distance": "hbr.evaluation.bias:RANK_DISTANCE",
        "peer": "hbr.evaluation.bias:PEER",
        "same_language": "hbr.evaluation.bias:SAME_LANGUAGE",
        "map_spread": "hbr.evaluation.metrics:MAP_SPREAD",
        "f1": "hbr.evaluation.metrics:F1",
        "precision": "hbr.evaluation.metrics:PRECISION",
    },
    "perturbation": {
        "typo": "hbr.data.perturb.typos:TYPO",
        "typo-swap": "hbr.data.perturb.typos:SWAP",
        "typo-drop": "hbr.data.perturb.typos:DROP",
        "typo-insert": "hbr.data.perturb.typos:INSERT",
        "typo-keyboard": "hbr.data.perturb.typos:KEYBOARD",
        "diacritics": "hbr.data.perturb.scripts:DIACRITICS",
        "confusables": "hbr.data.perturb.scripts:CONFUSABLES",
        "normalization-nfd": "hbr.data.perturb.scripts:NFD",
        "normalization-nfkc": "hbr.data.perturb.scripts:NFKC",
        "transliterate": "hbr.data.perturb.scripts:TRANSLITERATE",
        "case-lower": "hbr.data.perturb.words:LOWER",
        "case-upper": "hbr.data.perturb.words:UPPER",
        "word-order": "hbr.data.perturb.words:ORDER",
        "word-drop": "hbr.data.perturb.words:DROP",
        "code-switch": "hbr.data.perturb.words:CODE_SWITCH",
        "attack-fgm": "hbr.data.perturb.attacks:FGM",
        "attack-pgd": "hbr.data.perturb.attacks:PGD",
    },
}


def names(kind: str) -> tuple[str, ...]:
    """Return the names of a kind, in the order of the table."""
    return tuple(TABLE[kind])


def get(kind: str, name: str) -> Any:
    """Return the entry of a name, or of `package.module:attribute`.

    Raises UserError where there is none, or where it cannot be imported.
    """
    name = canonical(kind, name)
    place = TABLE[kind].get(name, name)
    if ":" not in place:
        raise UserError(unknown(kind, name))
    if name not in TABLE[kind] and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # one's own code is beside one
    module, _, attribute = place.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        if name in TABLE[kind]:
            raise
        raise UserError(f"{kind} {name!r} cannot be imported: {error}") from error


def known(kind: str, name: str) -> str:
    """Return a name as the table spells it. Raises ValueError for one that is not in it."""
    name = canonical(kind, name)
    if name not in TABLE[kind] and ":" not in name:
        raise ValueError(unknown(kind, name))
    return name


def canonical(kind: str, name: str) -> str:
    """Return a name as the table spells it: `_` and `-` are the same."""
    spelled = {known.replace("_", "-"): known for known in TABLE[kind]}
    return spelled.get(name.replace("_", "-"), name)


def unknown(kind: str, name: str) -> str:
    """Return the message for a name that is not in the table, with those like it."""
    return f"there is no {kind} {name!r}{near(name, TABLE[kind])}"


def near(word: str, known: Iterable[str]) -> str:
    """Return the known names that are like `word`, or all of them where none is."""
    known = sorted(known)
    likely = difflib.get_close_matches(word, known, n=3, cutoff=0.6)
    if likely:
        return f"; did you mean {' or '.join(likely)}?"
    return f"; known: {', '.join(known)}"
