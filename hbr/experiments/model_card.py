"""The model card of a run: how the encoder was made, and the results that still hold."""

import json
from typing import Any

from hbr.core.files import write_atomic
from hbr.experiments.inventory import is_stale
from hbr.experiments.run_spec import RunSpec, base_model


def renew_card(run: RunSpec) -> None:
    """Write the card unless it is newer than the manifest: a kill may have come between the two."""
    card, manifest = run.path / "model" / "README.md", run.path / "manifest.json"
    written = card.stat().st_mtime_ns if card.exists() else 0
    if card.parent.is_dir() and written < manifest.stat().st_mtime_ns:
        write_card(run)


def write_card(run: RunSpec) -> None:
    """Write `model/README.md`. Raises UserError where the run is not trained."""
    from hbr.report.card import card, pooling_of

    run.training_id()
    train, model = run.store.entries()["train"], run.path / "model"
    text = card(
        run.config.model_dump(mode="json"),
        train,
        current_results(run),
        base_model=base_model(train),
        pooling=pooling_of(model),
    )
    write_atomic(model / "README.md", text)


def current_results(run: RunSpec) -> list[dict[str, Any]]:
    """Return the metrics of the run's evaluations of clean queries that are not stale."""
    entries = run.store.entries()
    current = (run.path / name / "metrics.json" for name in entries if not is_stale(name, entries))
    results = [json.loads(path.read_text("utf-8")) for path in current if path.exists()]
    return [metrics for metrics in results if "perturbation" not in metrics]
