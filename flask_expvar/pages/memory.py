"""``/debug/memory``: the collector's work, what objects there are, and where they come from."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from ..exceptions import UnknownError
from ..stacks import allocations
from ..variables.reading import Part
from ..variables.registry import Registry
from ..workers.sockets import DEADLINE
from .memory_plain import merge, tell
from .memory_question import question
from .memory_table import html
from .page import Query, Scene
from .vars import JSON, collector

NO_PAUSES = dict.fromkeys(("count", "total_ns", "last", "median_ns", "p95_ns", "max_ns"), 0)


class Memory:
    """The page of memory."""

    name = "memory"
    title = "Memory"
    about = "The garbage collector's pauses, the largest types, and where memory is allocated"
    actions: ClassVar[Mapping[str, str]] = {"tracemalloc": "tracemalloc", "mark": "tracemalloc"}

    def wants(self, scene: Scene, part: Part) -> bool:
        """Ask every worker.

        :raises ParameterError: before anybody is asked, if a parameter is not allowed.
        """
        question(scene.query)
        return True

    def patience(self, query: Query) -> float:
        """Return for how many seconds a sibling's answer is waited for."""
        asked = question(query)
        # To add up 300,000 allocations takes 2.
        return 10.0 if asked.types or asked.top or asked.heap else DEADLINE

    def collect(self, registry: Registry, query: Query) -> Any:
        """Return this process's part."""
        return tell(question(query))

    def act(self, registry: Registry, action: str, query: Query) -> dict[str, Any]:
        """Begin or end to trace allocations, or mark a moment to compare with.

        :raises ParameterError: if a field is not allowed.
        :raises UnknownError: if nothing is traced that could be marked.
        """
        if action == "mark":
            if not allocations.tracing():
                raise UnknownError("tracemalloc is off here: switch it on first")
            found = allocations.mark.set(time.time())
            return {"objects": found.number, "size": found.size}
        frames = query.whole("frames", 1, allocations.MOST_FRAMES) or allocations.FRAMES
        if query.flag("on", default=True):
            allocations.start(frames)
        else:
            allocations.stop()
            allocations.mark.clear()
        return {"tracing": frames if allocations.tracing() else 0}

    def machine(self, scene: Scene, twin: bool) -> tuple[str, str]:
        """Return what all workers told, and all of them together, as JSON."""
        asked = question(scene.query)
        data: dict[str, Any] = {
            "workers": {str(pid): scene.answers[pid] for pid in sorted(scene.answers)},
            "missing": scene.missing,
            "pauses": pauses(scene),
        }
        if asked.types or asked.top:
            data["merged"] = merge(scene.answers)
        return json.dumps(data, allow_nan=False, sort_keys=True) + "\n", JSON

    def html(self, scene: Scene) -> dict[str, Any]:
        """Return the data of the template."""
        took = scene.section("The collector's pauses", lambda: pauses(scene), NO_PAUSES)
        return html(scene.answers, merge(scene.answers), took, question(scene.query))


def pauses(scene: Scene) -> dict[str, Any]:
    """Return how long the collector has stopped the workers, by the last 256 times."""
    told = collector(scene)
    ring = zip(told["PauseNs"], told["PauseEnd"], strict=True)
    last = sorted(length for length, end in ring if end)
    return {
        "count": told["NumGC"],
        "total_ns": told["PauseTotalNs"],
        "last": len(last),
        "median_ns": last[len(last) // 2] if last else 0,
        "p95_ns": last[int(len(last) * 0.95)] if last else 0,
        "max_ns": last[-1] if last else 0,
    }
