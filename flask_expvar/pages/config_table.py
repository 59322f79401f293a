"""The tables of ``/debug/config``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..sources.loggers import LEVELS
from .flags_table import cut
from .links import query_string
from .page import Scene
from .vars_table import plain, visible

#: Rows of a section.
ROWS = 500


def config_html(told: Sequence[Mapping[str, Any]], scene: Scene) -> dict[str, Any]:
    """Return the data of the template."""
    q, worker = scene.query.text("q"), scene.query.text("worker")
    found = [_section(section) for section in told]
    return {
        "sections": found,
        "shown": sum(len(section["rows"]) for section in found),
        "matching": sum(section["matching"] for section in told),
        "total": sum(section["of"] for section in told),
        "levels": LEVELS,
        "query": {"q": q, "worker": worker},
        "clear": query_string({"worker": worker}) if q else "",
        "keep": query_string({"q": visible(q)})[1:],
    }


def _section(section: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": section["name"],
        "title": visible(section["title"]),
        # Of packages and rules nothing is ever hidden.
        "bare": section["name"].startswith(("packages", "urls", "loggers")),
        "rows": [_row(row) for row in section["items"][:ROWS]],
        "matching": section["matching"],
        "of": section["of"],
        "errors": sorted(set(section["errors"].values())),
    }


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": row["name"],
        "text": _text(row),
        "kind": visible(row["kind"]),
        "size": row["size"],
        "hidden": row["hidden"],
        "rule": row["rule"],
        "differs": [
            {"pid": pid, "own": own, "value": "" if own is None else _text(own)}
            for pid, own in row.get("workers", {}).items()
        ],
    }


def _text(row: Mapping[str, Any]) -> str:
    if row["hidden"]:
        return f"hidden ({row['rule']})"
    value = row["value"]
    if value is None:
        return "None"
    return cut(value) if isinstance(value, str) else plain(value)
