"""Speedscope's file format: one profile for each thread, the busiest first."""

from __future__ import annotations

import json
from typing import Any

from ..stacks.profile import Frame, Merge, Seen
from .readable import stack_of, thread_name

SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def speedscope(merge: Merge, name: str = "") -> str:
    """Return the file that speedscope, and its offline page, open."""
    numbers: dict[Frame, int] = {}
    threads: dict[tuple[int, int], list[Seen]] = {}
    for seen in merge:
        threads.setdefault((seen.worker, seen.sample.thread), []).append(seen)
    profiles = [_profile(merge, seen, numbers) for seen in threads.values()]
    profiles.sort(key=lambda each: (-each["endValue"], each["name"]))
    return json.dumps({
        "$schema": SCHEMA,
        "exporter": "flask_expvar",
        "name": name,
        "activeProfileIndex": 0,
        "shared": {
            "frames": [{"name": f.name, "file": f.file, "line": f.line} for f in numbers]
        },
        "profiles": profiles,
    })  # fmt: skip


def _profile(merge: Merge, thread: list[Seen], numbers: dict[Frame, int]) -> dict[str, Any]:
    weights = [merge.weight(seen.sample) for seen in thread]
    name = thread_name(thread[0])
    return {
        "type": "sampled",
        "name": f"{name}, worker {thread[0].worker}" if len(merge.profiles) > 1 else name,
        "unit": "nanoseconds",
        "startValue": 0,
        "endValue": sum(weights),
        "samples": [
            [numbers.setdefault(frame, len(numbers)) for frame in reversed(stack_of(seen.sample))]
            for seen in thread
        ],
        "weights": weights,
    }
