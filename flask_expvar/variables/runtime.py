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
from typing import Any

import psutil

from ..redaction import redact_argv
from .kinds import Var
from .layout import Spec
from .reading import Part
from .registry import Registry

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
        self._ring = self.registry._declare("PauseNs", Ring())
        self._began = 0
        self._next_blocks = 0.0

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
        if info["generation"] == 2:
            self.note_blocks()

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
        pauses = sorted(_pauses(parts if one is None else [one]))[-_RING:]
        count = found.get("NumGC", 0)
        lengths, ends = [0] * _RING, [0] * _RING
        for back, (end, length) in enumerate(reversed(pauses[-count:] if count else [])):
            at = (count + _RING - 1 - back) % _RING
            lengths[at], ends[at] = length, end
        return {
            "NumGC": count % 2**32,
            "PauseTotalNs": found.get("PauseTotalNs", 0),
            "PauseNs": lengths,
            "PauseEnd": ends,
            "LastGC": max(ends),
            "blocks": max(found.get("blocks", 0), 0),
        }


def _pauses(parts: Iterable[Part]) -> Iterable[tuple[int, int]]:
    for part in parts:
        for node in part.nodes.rare:
            if node.spec.kind == "ring":
                words = node.ints[node.at : node.at + 2 * _RING].tolist()
                ends = words[_RING:]
                if any(ends):
                    yield from (pair for pair in zip(ends, words) if pair[0])


#: Of this process; one, since the collector is.
runtime = Runtime()


def figures(pid: int) -> dict[str, Any] | None:
    """Return memory, CPU seconds, files and threads of a process, or None if it is gone."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            memory = process.memory_info()
            times = process.cpu_times()
            return {
                "pid": pid,
                "startTime": process.create_time(),
                "residentMemoryBytes": memory.rss,
                "virtualMemoryBytes": memory.vms,
                "anonymousMemoryBytes": max(memory.rss - getattr(memory, "shared", 0), 0),
                "cpuSeconds": round(times.user + times.system, 2),
                "openFiles": process.num_fds() if hasattr(process, "num_fds") else 0,
                "threads": process.num_threads(),
            }
    except (psutil.Error, OSError):
        return None


def process(each: Sequence[dict[str, Any]], now: float) -> dict[str, Any]:
    """Return the figures of several processes as one: sums, and the earliest start."""
    if not each:
        return {}
    started = min(figure["startTime"] for figure in each)
    merged: dict[str, Any] = {
        key: sum(figure[key] for figure in each)
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
    argv = getattr(sys, "orig_argv", sys.argv)
    return redact_argv([str(arg) for arg in argv])


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
