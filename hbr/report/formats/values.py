"""A report for programs: every value in full, as CSV and as JSON."""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from hbr.compare.model import Report, Verdict
from hbr.compare.table import Table
from hbr.report.formats import Format


def to_csv(tables: Sequence[Table]) -> str:
    """Return a line a value: what it is of, mean, deviation over seeds, 95 % interval."""
    heads = [head for table in tables for head in table.heads]
    heads += [table.group_head for table in tables]
    fields = ["dataset", "protocol", *dict.fromkeys(heads), "seeds", "contaminated"]
    fields += ["setting", "metric", "mean", "sd", "low", "high"]
    out = io.StringIO()
    writer = csv.DictWriter(out, fields, lineterminator="\n")
    writer.writeheader()
    for table in tables:
        for row in table.rows:
            about = dict(zip(table.heads, row.label, strict=True))
            about |= {"protocol": table.protocol, table.group_head: row.group or ""}
            about |= {"seeds": str(row.seeds), "contaminated": str(int(row.marked))}
            for (dataset, setting, metric), cell in zip(_keys(table), row.cells, strict=True):
                key = {"dataset": dataset, "setting": setting, "metric": metric}
                numbers = {field: getattr(cell, field) for field in fields[-4:]}
                texts = {k: _no_formula(v) for k, v in (about | key).items()}
                writer.writerow(texts | {k: _number(v) for k, v in numbers.items()})
    return out.getvalue()


def report_values(report: Report) -> dict[str, Any]:
    """Return every number of a report as JSON-like values."""
    return {
        "title": report.title,
        "tables": [table_values(table) for table in report.tables],
        "claims": claim_values(report.verdicts),
        "warnings": list(report.warnings),
        "statistics": report.statistics,
        "languages": [dict(language) for language in report.languages],
        "runs": [dict(run) for run in report.provenance],
    }


def table_values(table: Table) -> dict[str, Any]:
    """Return a table as JSON-like values, with every mark and note."""
    rows = []
    for row in table.rows:
        values = {
            "/".join(key if table.of else key[1:]): asdict(cell)
            for cell, key in zip(row.cells, _keys(table), strict=True)
        }
        label = dict(zip(table.heads, row.label, strict=True))
        about = {table.group_head: row.group, "seeds": row.seeds, "expected": row.expected}
        rows.append({**label, **about, "contaminated": row.marked, "values": values})
    about = {"title": table.title, "dataset": table.dataset, "protocol": table.protocol}
    return _without_nan({**about, "notes": table.notes, "rows": rows})


def claim_values(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """Return the verdicts as JSON-like values."""
    return [_without_nan(asdict(verdict)) for verdict in verdicts]


def to_json(report: Report) -> str:
    """Return `report_values` as text."""
    values = report_values(report)
    return json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _keys(table: Table) -> Sequence[tuple[str, str, str]]:
    """Return of which data set, setting and metric each column is."""
    return table.of or [(table.dataset, *column) for column in table.columns]


def _no_formula(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _number(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else repr(float(value))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


CSV = Format("csv", ".csv", lambda report, _: to_csv(report.tables))
JSON = Format("json", ".json", lambda report, _: to_json(report))
