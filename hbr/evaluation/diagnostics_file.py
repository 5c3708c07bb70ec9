"""The file of diagnostics, and the figures of it that tables have room for."""

from collections.abc import Mapping
from typing import Any

FILE = "diagnostics.json"


def summary(diagnostics: Mapping[str, Any]) -> dict[tuple[str, str], float | None]:
    """Return the figures that a table has room for: of passages, where both sides have one."""
    queries, passages = diagnostics["queries"], diagnostics["passages"]
    hubs = diagnostics["hubness"]["pool"] or {}
    translations = (passages["translations"] or {"mean": {}})["mean"]
    return {
        ("mono", "alignment"): diagnostics["alignment"]["mono"],
        ("cross", "alignment"): diagnostics["alignment"]["cross"],
        ("passages", "uniformity"): passages["uniformity"]["all"],
        ("passages", "isoscore"): passages["isotropy"]["isoscore"],
        ("pool", "hubness"): hubs.get("skewness"),
        ("pool", "never found"): hubs.get("never"),
        ("passages", "cka"): translations.get("cka"),
        ("passages", "cosine gap"): translations.get("gap"),
        ("passages", "language share"): passages["language_share"],
        ("queries", "probe"): (queries["language_probe"] or {}).get("normalised"),
        ("passages", "probe"): (passages["language_probe"] or {}).get("normalised"),
    }
