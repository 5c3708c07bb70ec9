"""Results as MTEB keeps them, so that its tools can read them.

Each setting of a data set is a task of its own. The names are not MTEB's, because the tasks are
not: LAReQA's XQuAD-R asks for a sentence where MTEB's XQuADRetrieval asks for a paragraph.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hbr.compare.results import training_languages
from hbr.core.errors import UserError
from hbr.core.languages import language

Facts = Mapping[str, Any]

TITLES = {"xquad-r": "XQuAD-R", "mlqa-r": "MLQA-R"}
SCRIPTS = {  # ISO 15924, as MTEB uses it
    **{"arabic": "Arab", "armenian": "Armn", "bengali": "Beng", "burmese": "Mymr"},
    **{"cyrillic": "Cyrl", "devanagari": "Deva", "ethiopic": "Ethi", "georgian": "Geor"},
    **{"greek": "Grek", "gujarati": "Gujr", "gurmukhi": "Guru", "han": "Hans", "hangul": "Hang"},
    **{"hebrew": "Hebr", "japanese": "Jpan", "kana": "Hrkt", "kannada": "Knda", "khmer": "Khmr"},
    **{"lao": "Laoo", "latin": "Latn", "malayalam": "Mlym", "odia": "Orya", "sinhala": "Sinh"},
    **{"tamil": "Taml", "telugu": "Telu", "thaana": "Thaa", "thai": "Thai", "tibetan": "Tibt"},
    "tifinagh": "Tfng",
}
UNKNOWN_FIELDS = (
    *("loader", "release_date", "n_parameters", "memory_usage_mb", "max_tokens", "embed_dim"),
    *("license", "open_weights", "public_training_code", "public_training_data"),
    *("training_datasets", "languages", "reference", "adapted_from"),
)


def write(folder: Path, model: Facts, results: Sequence[Facts]) -> list[Path]:
    """Write one file a task and `model_meta.json` below `folder/results`; return their paths.

    `model` has a `name`, a `revision` and what else is known of MTEB's `ModelMeta`; `results` are
    contents of `metrics.json`, of which those by an approximate index are left out. Main score is
    `map`. Raises UserError where it was not computed.
    """
    meta = model_meta(model, training_languages(results))
    place = folder / "results" / meta["name"].replace("/", "__") / meta["revision"]
    place.mkdir(parents=True, exist_ok=True)
    files = {"model_meta": meta}
    for result in results:
        if result["search"] == "exact":
            files |= {_task_name(result, s): _task(result, s) for s in result["settings"]}
    paths = {place / f"{stem}.json": content for stem, content in files.items()}
    for path, content in paths.items():
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return list(paths)


def model_meta(model: Facts, trained: Iterable[str]) -> dict[str, Any]:
    """Return the fields of MTEB's `ModelMeta` from what is known, and the languages trained on."""
    name = model["name"] if "/" in model["name"] else f"hbr/{model['name']}"  # MTEB wants a slash
    known = [code for code in trained if language(code) and not re.fullmatch("q[a-t].", code)]
    return dict.fromkeys(UNKNOWN_FIELDS) | {
        "languages": sorted(map(_language, known)) or None,
        "framework": ["Sentence Transformers", "PyTorch"],
        "similarity_fn_name": "cosine",
        "use_instructions": True,  # its word for prefixes
        **model,
        "name": name,
    }


def _task_name(result: Facts, setting: str) -> str:
    unit = re.search(r"passage = ([^\s;]+)", result["protocol"])
    title = TITLES.get(result["dataset"], result["dataset"])
    whole = f"{title}-{unit[1]}.{setting}" if unit else f"{title}.{setting}"
    return re.sub(r"[^\w.+-]", "_", whole)  # a file name too


def _task(result: Facts, setting: str) -> dict[str, Any]:
    seen = result.get("training", {}).get("contamination", {})
    about = {"protocol": result["protocol"]} | (
        {"contamination": seen} if any(seen.values()) else {}
    )
    return {
        "dataset_revision": result["task"],
        "task_name": _task_name(result, setting),
        "mteb_version": None,  # not evaluated by MTEB
        "scores": {"test": [{**scores, **about} for scores in _scores(result, setting)]},
        "evaluation_time": None,
    }


def _scores(result: Facts, setting: str) -> Iterator[dict[str, Any]]:
    """Yield the scores of each query language, and in `cross` of each pair; MTEB averages them."""
    groups = result["by_query_language"][setting]
    if setting == "cross":
        groups = {p: v for p, v in result["by_pair"].items() if len(set(p.split("->"))) == 2}
    for group, values in groups.items():
        main = values.get("map", values.get("f1"))  # of retrieval, or of bitext mining
        if main is None:
            raise UserError(
                f"{result['dataset']} has no map, the main score of MTEB files; evaluate with it: "
                "hbr evaluate --set evaluate.metrics=[map]"
            )
        codes = group.split("->")
        yield {
            "hf_subset": "-".join(codes),
            "languages": [_language(code) for code in codes],
            "main_score": main,
            **{k.replace("@", "_at_"): v for k, v in values.items() if v is not None},
        }


def _language(code: str) -> str:
    """Return a language as MTEB writes it, `deu-Latn`, or as it stands where it is not known."""
    entry = language(code)
    return f"{entry.iso3}-{SCRIPTS.get(entry.script, 'Zzzz')}" if entry else code
