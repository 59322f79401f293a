"""The table of ``/debug/metrics``, and its JSON."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from ..variables.metric import COUNTER, INFO, Family, Item
from ..variables.openmetrics import plain
from .flags_table import cut
from .links import query_string
from .page import Query
from .vars_secrets import help_text
from .vars_table import visible

#: Rows of the table, which are read in 300 ms, and series of the JSON.
ROWS, SERIES = 200, 5000
LONGEST_TEXT = 200

Sheets = tuple[Sequence[tuple[Family, Sequence[Item]]], dict[str, str]]


def metrics_json(sheets: Sheets) -> dict[str, Any]:
    """Return every family with its series, at most :data:`SERIES` of them."""
    every, left = sheets
    room, told = SERIES, []
    for family, items in every:
        shown = family.series[: max(room, 0)]
        room -= len(shown)
        told.append(
            {
                "name": family.name,
                "type": family.type,
                "help": help_text(family.help),
                "unit": family.unit,
                "expvar": family.source,
                "series": [
                    {"labels": dict(each.labels), "value": items[each.item].value} for each in shown
                ],
                "showing": len(shown),
                "of": len(family.series),
            }
        )
    return {"metrics": told, "left": [{"expvar": n, "why": why} for n, why in sorted(left.items())]}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    return value if not isinstance(value, float) or isfinite(value) else None


def metrics_html(sheets: Sheets, query: Query) -> dict[str, Any]:
    """Return the data of the template."""
    every, left = sheets
    q, worker = query.text("q", LONGEST_TEXT), query.text("worker")
    low = q.lower()
    found = [
        (family, items)
        for family, items in every
        if low in family.name.lower() or low in family.source.lower() or low in family.help.lower()
    ]
    kept = {"worker": worker, "by": query.text("by")}
    return {
        "rows": [_row(family, items, kept) for family, items in found[:ROWS]],
        "shown": min(len(found), ROWS),
        "matching": len(found),
        "total": len(every),
        "series": f"{sum(len(family.series) for family, _ in every):,}",
        "left": [{"name": visible(n), "why": why} for n, why in sorted(left.items())[:ROWS]],
        "query": {"q": q, "worker": worker},
        "clear": query_string({"worker": worker}) if q else "",
        "keep": query_string({"q": visible(q), "by": kept["by"]})[1:],
        "text": query_string({**kept, "format": "text"}),
        "openmetrics": query_string({**kept, "format": "openmetrics"}),
    }


def _row(family: Family, items: Sequence[Item], kept: dict[str, str]) -> dict[str, Any]:
    name = family.name + {COUNTER: "_total", INFO: "_info"}.get(family.type, "")
    values = [items[each.item].value for each in family.series]
    one = values[0] if len(values) == 1 and not isinstance(values[0], dict) else None
    return {
        "name": name,
        "href": query_string({**kept, "format": "text", "name[]": family.name}),
        "type": family.type,
        "series": f"{len(family.series):,}",
        "labels": ", ".join(dict.fromkeys(n for each in family.series for n, _ in each.labels)),
        "value": "" if one is None or family.type == INFO else plain(one),
        "help": cut(help_text(family.help)),
        "source": cut(family.source),
    }
