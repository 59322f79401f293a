"""The tables of ``/debug/memory``, as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..stacks.allocations import COST, FRAMES, MOST_FRAMES
from .memory_question import Question
from .moments import duration
from .profile_flame import short_file
from .vars_table import seconds, visible

SHOWN = 50
PAUSES = (("median", "median_ns"), ("p95", "p95_ns"), ("longest", "max_ns"))


def html(
    answers: Mapping[int, Any],
    merged: dict[str, Any],
    pauses: dict[str, Any],
    asked: Question,
) -> dict[str, Any]:
    """Return the data of the template."""
    workers = [_worker(pid, told) for pid, told in sorted(answers.items())]
    return {
        "workers": workers,
        "pauses": [
            {"label": "collections", "text": f"{pauses['count']:,}"},
            {"label": "all pauses", "text": seconds(pauses["total_ns"] / 1e9)},
            *(
                {"label": label, "text": seconds(pauses[key] / 1e9)}
                for label, key in PAUSES
            ),
        ],
        "last": pauses["last"],
        "tracing": any(told["tracing"] for told in answers.values()),
        "all_tracing": all(told["tracing"] for told in answers.values()),
        "marked": any(told["mark"] for told in answers.values()),
        "cost": COST,
        "frames": FRAMES,
        "most_frames": MOST_FRAMES,
        "asked_types": asked.types,
        "asked_top": asked.top,
        "types": [
            {"name": visible(name), "count": f"{count:,}", "size": size(total)}
            for name, count, total in merged["types"][:SHOWN]
        ],
        "showing_types": min(len(merged["types"]), SHOWN),
        "scanned": f"{merged['scanned']:,}",
        "of": f"{merged['of']:,}",
        "whole": merged["scanned"] == merged["of"],
        "top": [_place(row) for row in merged["top"][:SHOWN]],
        "grown": [_place(row, signed=True) for row in merged["grown"][:SHOWN]],
        "objects": f"{merged['objects']:,}",
        "size": size(merged["size"]),
        "places": f"{merged['places']:,}",
        "since": duration(merged["since"]) if merged["since"] else "",
        "took": seconds(merged["took"]) if merged["took"] else "",
        "look_types": asked.link(types=1),
        "look_top": asked.link(top=1),
        "heap": f"pprof/heap{asked.link()}",
        "keep": "&".join(f"{name}=1" for name in ("types", "top") if getattr(asked, name)),
    }  # fmt: skip


def _worker(pid: int, told: dict[str, Any]) -> dict[str, Any]:
    gc = told["gc"]
    return {
        "pid": pid,
        "enabled": gc["enabled"],
        "frozen": f"{gc['frozen']:,}",
        "generations": [
            {
                "count": f"{count:,}",
                "threshold": f"{threshold:,}",
                "collections": f"{each['collections']:,}",
                "collected": f"{each['collected']:,}",
                "stuck": f"{each['uncollectable']:,}",
            }
            for count, threshold, each in zip(
                gc["counts"], gc["thresholds"], gc["generations"], strict=False
            )
        ],
        "tracing": told["tracing"],
        "traced": size(told["traced"]),
        "peak": size(told["peak"]),
        "overhead": size(told["overhead"]),
    }


def _place(row: list[Any], *, signed: bool = False) -> dict[str, Any]:
    frames = [visible(f"{short_file(file)}:{line}") for file, line in row[0]]
    sign = "+" if signed and row[2] > 0 else ""
    return {
        "where": frames[0] if frames else "(unknown)",
        "from": frames[1:],
        "count": f"{row[1]:+,}" if signed else f"{row[1]:,}",
        "size": f"{sign}{size(row[2])}",
        "word": ("grew" if row[2] > 0 else "shrank") if signed else "",
    }


def size(count: float) -> str:
    """Return a number of bytes with a binary unit, less than nothing too.

    >>> size(-2048)
    '-2.0 KiB'
    """
    sign, count = ("-", -count) if count < 0 else ("", count)
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{sign}{count:.0f} B" if unit == "B" else f"{sign}{count:.1f} {unit}"
        count /= 1024
    return f"{sign}{count:.1f} GiB"
