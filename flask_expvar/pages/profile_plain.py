"""What ``/debug/profile.json`` says: what runs and is kept, or one profile by its functions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..profiles.readable import said
from ..profiles.tree import compare, table
from ..stacks.profile import Merge
from ..workers.rounds import Known
from .profile_question import Question
from .profile_table import ordered


def list_plain(known: Iterable[Known]) -> dict[str, Any]:
    """Return what all workers are taking and keep."""
    rows = [
        {
            "id": each.id,
            "engine": each.engine,
            "mode": each.mode,
            "started": each.started,
            "seconds": each.seconds,
            "left": round(each.left, 3),
            "workers": sorted(each.workers),
            "errors": {str(pid): why for pid, why in sorted(each.errors.items())},
            "done": each.done,
        }
        for each in known
    ]
    return {
        "running": [row for row in rows if not row["done"]],
        "kept": [row for row in rows if row["done"]],
    }


def result_plain(merge: Merge, left: float, asked: Question) -> dict[str, Any]:
    """Return one profile: how it was taken, and its functions."""
    rows = table(merge)
    return {
        "id": asked.id,
        "left": round(left, 3),
        "mode": merge.mode,
        "started": merge.started,
        "seconds": merge.seconds,
        "total_ns": merge.total(),
        "profiles": [
            {
                "worker": each.worker,
                "engine": each.engine,
                "seconds": each.seconds,
                "interval": each.interval,
                "rate": each.rate,
                "ticks": each.ticks,
                "own_cpu_ns": each.own_cpu_ns,
                "process_cpu_ns": each.process_cpu_ns,
                "cpu_exact": each.cpu_exact,
                "truncated": each.truncated,
                "lost": each.lost,
                "note": each.note,
                "said": said(each),
                "threads": [
                    {"name": info.name, "native": info.native, "cpu_ns": info.cpu_ns}
                    for info in each.threads.values()
                ],
            }
            for each in merge.profiles
        ],
        "functions": [
            {
                "name": row.function.name,
                "file": row.function.file,
                "line": row.function.first,
                "self_ns": row.own,
                "total_ns": row.total,
                "samples": row.samples,
            }
            for row in ordered(rows, asked.sort)[: asked.limit]
        ],
        "showing": min(len(rows), asked.limit),
        "of": len(rows),
    }


def compared_plain(before: Merge, after: Merge, asked: Question) -> dict[str, Any]:
    """Return what each function spent in two profiles, as shares of all."""
    changes = compare(before, after)
    return {
        "id": asked.id,
        "before": asked.before,
        "functions": [
            {
                "name": each.function.name,
                "file": each.function.file,
                "self_before": each.before,
                "self_after": each.after,
                "total_before": each.total_before,
                "total_after": each.total_after,
            }
            for each in changes[: asked.limit]
        ],
        "showing": min(len(changes), asked.limit),
        "of": len(changes),
    }
