"""What the process tells of itself: ``memstats``, ``process``, ``python``, ``cmdline``.

``memstats`` has the 32 names of Go's ``runtime.MemStats`` and its types, with the figures of
Python's garbage collector and allocator where they have a meaning, else 0.
"""

from __future__ import annotations

import gc
import platform
import sys
import time
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import compress
from typing import Any

from ..redaction_argv import redact_argv
from .kinds import Var
from .layout import Spec
from .reading import Part
from .registry import Registry
from .slot import Node

_RING = 256


class Ring(Var):
    """The newest 256 pauses of the garbage collector: their lengths, then their ends, in ns."""

    kind = "ring"
    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(Spec(self.kind, ""))

    @property
    def value(self) -> list[tuple[int, int]]:
        """This process's pauses as (end, length), in no order."""
        words = self._ints[self._at : self._at + 2 * _RING]
        return [(words[_RING + at], words[at]) for at in range(_RING) if words[_RING + at]]


class Runtime:
    """The collector's pauses, counted as they happen, and what else is read when asked.

    The counts are shared like any other, so that they never fall when a worker goes.
    """

    def __init__(self) -> None:
        self.registry = Registry("(runtime)")
        self._collections = self.registry.new_int("NumGC")
        self._pauses = self.registry.new_int("PauseTotalNs")
        self._blocks = self.registry.new_int("blocks", multiprocess_mode="livesum")
        # By generation, as prometheus_client tells them.
        self._generations = {
            name: [self.registry.new_int(f"{name}{number}") for number in range(3)]
            for name in ("collections", "objects_collected", "objects_uncollectable")
        }
        self._ring = self.registry._declare("PauseNs", Ring())
        self._began = 0
        self._next_blocks = 0.0
        self._kept: tuple[int, list[Node], tuple[list[int], list[int]]] | None = None

    def start(self) -> None:
        """Measure every collection from now on; calling it again is fine."""
        if self._collected not in gc.callbacks:
            gc.callbacks.append(self._collected)

    def stop(self) -> None:
        """Measure no more."""
        if self._collected in gc.callbacks:
            gc.callbacks.remove(self._collected)

    def _collected(self, phase: str, info: dict[str, int]) -> None:
        # No lock: the collector runs once at a time, also inside a section that holds ours.
        if phase == "start":
            self._began = time.perf_counter_ns()
            return
        pause = time.perf_counter_ns() - self._began
        number, total, ring = self._collections, self._pauses, self._ring
        count = number._ints[number._at]
        ring._ints[ring._at + count % _RING] = pause
        ring._ints[ring._at + _RING + count % _RING] = time.time_ns()
        total._ints[total._at] += pause
        number._ints[number._at] = count + 1
        generation, found = info["generation"], self._generations
        for name, more in (
            ("collections", 1),
            ("objects_collected", info["collected"]),
            ("objects_uncollectable", info["uncollectable"]),
        ):
            counter = found[name][generation]
            counter._ints[counter._at] += more
        if generation == 2:
            self.note_blocks()

    def own(self) -> tuple[int, int]:
        """Return how often this slot's processes have collected, and for how many ns."""
        number, total = self._collections, self._pauses
        return number._ints[number._at], total._ints[total._at]

    def note_blocks(self) -> None:
        """Note how many blocks are allocated, at most once a second: it walks the arenas."""
        now = time.monotonic()
        if now >= self._next_blocks:
            self._next_blocks = now + 1
            self._blocks._ints[self._blocks._at] = sys.getallocatedblocks()

    def collector(self, parts: Sequence[Part], one: Part | None) -> dict[str, Any]:
        """Return NumGC, PauseTotalNs, PauseNs, PauseEnd and blocks of all parts, or of *one*."""
        self.note_blocks()
        rows = self.registry.rows(parts) if one is None else self.registry.rows_of(one)
        found = {row.path[0]: row.value for row in rows}
        count = found.get("NumGC", 0)
        lengths, ends = self._placed(parts if one is None else [one], count)
        return {
            "NumGC": count % 2**32,
            "PauseTotalNs": found.get("PauseTotalNs", 0),
            "PauseNs": lengths,
            "PauseEnd": ends,
            "LastGC": max(ends),
            "blocks": max(found.get("blocks", 0), 0),
        }

    def generations(self, parts: Sequence[Part], one: Part | None) -> dict[str, list[int]]:
        """Return what was collected of each generation, in all parts or in *one*."""
        if one is None:
            plan = self.registry.plan(parts)
            ints, _ = plan.read()
            found = {entry.path[0]: ints[entry.ints_at] for entry in plan.order if entry.plain}
        else:
            found = {row.path[0]: row.value for row in self.registry.rows_of(one)}
        return {
            name: [found.get(f"{name}{number}", 0) for number in range(3)]
            for name in self._generations
        }

    def _placed(self, parts: Iterable[Part], count: int) -> tuple[list[int], list[int]]:
        # Kept until the next collection, whoever's: no slot's count ever falls.
        rings = [node for part in parts for node in part.nodes.rare if node.spec.kind == "ring"]
        kept = self._kept
        if kept is None or kept[:2] != (count, rings):
            kept = self._kept = (count, rings, _newest(rings, count))
        return kept[2]


def _newest(rings: Iterable[Node], count: int) -> tuple[list[int], list[int]]:
    """Return lengths and ends of the newest of *count* pauses where Go has them in its rings."""
    lengths: dict[int, int] = {}  # by the end: no two pauses end in the same ns
    for node in rings:
        words = node.ints[node.at : node.at + 2 * _RING].tolist()
        ends = words[_RING:]
        lengths.update(compress(zip(ends, words), ends))
    newest = sorted(lengths)[-min(count, _RING) :] if count > 0 else []
    # The last one stands at (count - 1) % 256: the ring is what follows, turned so far.
    ends = [0] * (_RING - len(newest)) + newest
    turned = _RING - count % _RING
    ends = ends[turned:] + ends[:turned]
    return [lengths.get(end, 0) for end in ends], ends


#: Of this process; one, since the collector is.
runtime = Runtime()


def process(each: Sequence[dict[str, Any]], now: float) -> dict[str, Any]:
    """Return the figures of several processes as one: sums, and the earliest start."""
    if not each:
        return {}
    started = min(figure["startTime"] for figure in each)
    merged: dict[str, Any] = {
        key: None if any(figure[key] is None for figure in each) else sum(f[key] for f in each)
        for key in each[0]
        if key not in ("pid", "startTime")
    }
    merged["cpuSeconds"] = round(merged["cpuSeconds"], 2)
    pids = sorted(figure["pid"] for figure in each)
    merged |= {"pid": pids[0], "pids": pids, "startTime": started}
    merged["uptimeSeconds"] = round(now - started, 3)
    return merged


def python() -> dict[str, Any]:
    """Return what interpreter this is, and how its collector is set."""
    return {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "executable": sys.executable or "",
        "gc": {
            "enabled": gc.isenabled(),
            "thresholds": list(gc.get_threshold()),
            "counts": list(gc.get_count()),
            "frozen": gc.get_freeze_count(),
        },
    }


def cmdline() -> list[str]:
    """Return the command line of this process, its secrets hidden."""
    return list(_redacted(tuple(map(str, getattr(sys, "orig_argv", sys.argv)))))


# Looked at anew only if the program changes it.
@lru_cache(maxsize=8)
def _redacted(argv: tuple[str, ...]) -> list[str]:
    return redact_argv(list(argv))


def memstats(each: Sequence[dict[str, Any]], collector: dict[str, Any]) -> dict[str, Any]:
    """Return Go's ``runtime.MemStats`` for the processes of *each*, in Go's order and types."""
    resident = sum(figure["residentMemoryBytes"] for figure in each)
    virtual = sum(figure["virtualMemoryBytes"] for figure in each)
    anonymous = sum(figure["anonymousMemoryBytes"] for figure in each)
    blocks = collector["blocks"]
    return {
        "Alloc": resident, "TotalAlloc": resident, "Sys": virtual, "Lookups": 0,
        "Mallocs": blocks, "Frees": 0,
        "HeapAlloc": resident, "HeapSys": virtual, "HeapIdle": max(virtual - resident, 0),
        "HeapInuse": anonymous, "HeapReleased": 0, "HeapObjects": blocks,
        "StackInuse": 0, "StackSys": 0, "MSpanInuse": 0, "MSpanSys": 0,
        "MCacheInuse": 0, "MCacheSys": 0, "BuckHashSys": 0, "GCSys": 0, "OtherSys": 0,
        "NextGC": 0, "LastGC": collector["LastGC"],
        "PauseTotalNs": collector["PauseTotalNs"],
        "PauseNs": collector["PauseNs"], "PauseEnd": collector["PauseEnd"],
        "NumGC": collector["NumGC"], "NumForcedGC": 0, "GCCPUFraction": 0,
        "EnableGC": gc.isenabled(), "DebugGC": gc.get_debug() != 0, "BySize": [],
    }  # fmt: skip
