"""What ``go tool pprof`` reads besides profiles: threads and memory, of all workers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable

from ..profiles.pprof import Held, counted_proto, heap_proto
from ..profiles.proto import Valued
from ..stacks.allocations import COST, grown, stack
from ..stacks.profile import Frame, Stack
from .memory_plain import heap_of
from .memory_table import size
from .page import Scene
from .threads_plain import merge

#: What there is: name, what it shows.
KNOWN = {
    "allocs": "what is allocated and still there, by tracemalloc: the same as heap",
    "cmdline": "the command line, its secrets hidden",
    "goroutine": "stacks of all threads, greenlets and asyncio tasks",
    "heap": "what is allocated and still there, by tracemalloc",
    "profile": "CPU time of all threads; takes ?seconds=",
    "symbol": "nothing: names are in the profiles",
    "threads": "the same as goroutine",
    "wall": "wall time of all threads; takes ?seconds=",
}
#: What Go has and Python cannot.
MISSING = ("block", "mutex", "threadcreate", "trace")
OFF = (
    "tracemalloc is off. Start the program with PYTHONTRACEMALLOC=5, or put 'tracemalloc' into"
    " EXPVAR_ACTIONS and switch it on at memory, or by POST with action=tracemalloc there."
    f" Mind that {COST}."
)

Threads = Counter[tuple[Stack, tuple[tuple[str, str], ...]]]


def threads_of(scene: Scene) -> Threads:
    """Return how many threads there are of each stack and with the same labels."""
    found: Threads = Counter()
    for group in merge(scene.answers)["groups"]:
        frames = tuple(Frame(name, file, line, line) for file, line, name in group["stack"])
        rest = group["count"]
        for member in group["members"]:
            labels = {"worker": str(member["worker"]), "thread": member["name"]}
            labels["kind"] = group["kind"]
            if member["state"]:
                labels["state"] = member["state"]
            if member["request"]:
                labels["route"] = member["request"]["family"]
            found[frames, tuple(labels.items())] += 1
            rest -= 1
        if rest > 0:
            found[frames, (("kind", group["kind"]),)] += rest
    return found


def threads_proto(name: str, now: Threads, before: Threads | None = None) -> bytes:
    """Return the threads as a profile; with *before* only what has come, and what has gone."""
    counts = Counter(now)
    if before is not None:
        counts.subtract(before)
    rows = [
        Valued(frames or (Frame("(no Python code)", "", 0, 0),), (count,), dict(labels))
        for (frames, labels), count in counts.items()
        if count
    ]
    return counted_proto(name, rows, started=time.time())


def memory_proto(scene: Scene, before: Scene | None, seconds: float) -> bytes:
    """Return what is held as a profile; with *before* by how much it grew."""
    rows: list[tuple[int, Held]] = []
    said = ["in use: of what was allocated and is gone, Python knows nothing"]
    for pid, told in sorted(scene.answers.items()):
        heap = told["heap"]
        held = heap_of(heap)
        if before is not None and pid in before.answers:
            held = grown(heap_of(before.answers[pid]["heap"]), held)
        rows += [(pid, (stack(each.place), each.number, each.size)) for each in held]
        said.append(
            f"worker {pid}: {size(heap['size'])} in {heap['objects']:,} objects,"
            f" {len(heap['rows']):,} of {heap['places']:,} places, {heap['frames']} frames,"
            f" looked at in {heap['took']:.2f} s"
            if heap["frames"]
            else f"worker {pid}: tracemalloc is off"
        )
    return heap_proto(
        rows, started=scene.now, seconds=0.0 if before is None else seconds, comments=tuple(said)
    )


def memory_text(scene: Scene) -> str:
    """Return what is held as text, the largest places first."""
    lines = []
    for pid, told in sorted(scene.answers.items()):
        heap = told["heap"]
        lines.append(
            f"# worker {pid}: {heap['size']} bytes in {heap['objects']} objects,"
            f" {heap['places']} places"
        )
        for held in heap_of(heap)[:500]:
            lines += [f"{held.size} bytes in {held.number} objects @", *_lines(held.place)]
    return "\n".join(lines) + "\n"


def _lines(place: Iterable[tuple[str, int]]) -> list[str]:
    return [f"#\t{file!r:.300}:{line}" for file, line in place]
