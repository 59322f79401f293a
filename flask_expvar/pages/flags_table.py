"""The table of ``/debug/flags``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .links import query_string
from .page import Scene
from .vars_table import visible

#: Rows of a page, and characters of a value.
ROWS, LONGEST = 500, 300


def flags_html(told: Mapping[str, Any], scene: Scene) -> dict[str, Any]:
    """Return the data of the template: the set ones first, as in the text."""
    flags = sorted(told["flags"], key=lambda row: not row["given"])
    q, worker = scene.query.text("q"), scene.query.text("worker")
    kept = query_string({"q": visible(q)})[1:]
    return {
        "rows": [_row(row) for row in flags[:ROWS]],
        "shown": min(len(flags), ROWS),
        "matching": told["matching"],
        "total": told["of"],
        "given": sum(row["given"] for row in told["flags"]),
        "failed": told["failed"],
        "cmdline": visible(" ".join(told["cmdline"])),
        "query": {"q": q, "worker": worker},
        "clear": query_string({"worker": worker}) if q else "",
        "keep": kept,
    }


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": row["name"],
        "value": cut(row["value"]),
        "hidden": row["value"] == "hidden",
        "given": row["given"],
        "source": visible(row["source"]),
        "differs": [
            {"pid": pid, "value": "not there" if own is None else cut(own["value"]), "own": own}
            for pid, own in row.get("workers", {}).items()
        ],
    }


def cut(text: str, most: int = LONGEST) -> str:
    """Return the beginning of *text* with nothing invisible in it."""
    shown = visible(text[: most + 1])
    return shown if len(shown) <= most else shown[: most - 1] + "…"
