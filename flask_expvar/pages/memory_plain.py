"""Memory as plain data: what one worker tells, and what all of them told."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Iterable, Mapping
from typing import Any

from ..stacks import allocations
from ..stacks.allocations import Held, Holding, Place
from ..stacks.types import scan
from .memory_question import Question
from .texts import clean

#: Of one worker, so many types and places.
TYPES, PLACES = 200, 200
_LONGEST = 200


def tell(asked: Question) -> dict[str, Any]:
    """Return what this process has to say."""
    traced, peak = tracemalloc.get_traced_memory()
    told: dict[str, Any] = {
        "gc": {
            "enabled": gc.isenabled(),
            "thresholds": list(gc.get_threshold()),
            "counts": list(gc.get_count()),
            "frozen": gc.get_freeze_count(),
            "generations": gc.get_stats(),
        },
        "tracing": tracemalloc.get_traceback_limit() if allocations.tracing() else 0,
        "traced": traced,
        "peak": peak,
        "overhead": tracemalloc.get_tracemalloc_memory(),
        "mark": allocations.mark.when,
    }
    if asked.types:
        told["types"] = _types()
    if asked.top:
        told["top"] = _top()
    if asked.heap:
        if asked.collect:
            gc.collect()
        told["heap"] = heap_plain(allocations.holding())
    return told


def _types() -> dict[str, Any]:
    found = scan(shown=TYPES)
    rows = [[clean(each.name, _LONGEST), each.number, each.size] for each in found.types]
    return {"rows": rows, "scanned": found.scanned, "of": found.of, "took": round(found.took, 4)}


def _top() -> dict[str, Any]:
    found = allocations.holding()
    mark = allocations.mark
    changes = allocations.grown(mark.held, found.held) if mark.when else []
    return {
        "rows": [_row(each) for each in found.held[:PLACES]],
        "grown": [_row(each) for each in changes[:PLACES]],
        "since": time.time() - mark.when if mark.when else 0.0,
        "places": found.places,
        "objects": found.number,
        "size": found.size,
        "took": round(found.took, 4),
    }


def _row(held: Held) -> list[Any]:
    return [[[file, line] for file, line in held.place], held.number, held.size]


def heap_plain(found: Holding) -> dict[str, Any]:
    """Return all that is held, each file written once."""
    files: dict[str, int] = {}
    rows = [
        [
            [[files.setdefault(file, len(files)), line] for file, line in each.place],
            each.number,
            each.size,
        ]
        for each in found.held
    ]
    return {
        "files": list(files),
        "rows": rows,
        "places": found.places,
        "objects": found.number,
        "size": found.size,
        "frames": found.frames,
        "took": found.took,
    }


def heap_of(told: Mapping[str, Any]) -> list[Held]:
    """Return what :func:`heap_plain` of a worker has told."""
    files = told["files"]
    return [
        Held(tuple((files[file], line) for file, line in place), number, size)
        for place, number, size in told["rows"]
    ]


def merge(answers: Mapping[int, Any]) -> dict[str, Any]:
    """Return all workers' types and places as one, the most bytes first."""
    types = _added(answers, "types", "rows", lambda row: row[0])
    top = _added(answers, "top", "rows", _place)
    tops = [_part(told, "top") for told in answers.values()]
    grown = _added(answers, "top", "grown", _place)
    return {
        "types": sorted(types, key=lambda row: (-row[2], row[0]))[:TYPES],
        "top": sorted(top, key=lambda row: (-row[2], row[0]))[:PLACES],
        "grown": sorted(grown, key=lambda row: (-abs(row[2]), row[0]))[:PLACES],
        "scanned": _sum(answers, "types", "scanned"),
        "of": _sum(answers, "types", "of"),
        "objects": _sum(answers, "top", "objects"),
        "size": _sum(answers, "top", "size"),
        "places": max((each.get("places", 0) for each in tops), default=0),
        "since": max((each.get("since", 0.0) for each in tops), default=0.0),
        "took": _sum(answers, "types", "took") + _sum(answers, "top", "took"),
    }


def _part(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = told.get(name)
    return found if isinstance(found, dict) else {}


def _sum(answers: Mapping[int, Any], part: str, name: str) -> Any:
    return sum(_part(told, part).get(name, 0) for told in answers.values())


def _place(row: list[Any]) -> Place:
    return tuple((file, line) for file, line in row[0])


def _added(answers: Mapping[int, Any], part: str, name: str, key: Any) -> Iterable[list[Any]]:
    sums: dict[Any, list[Any]] = {}
    for told in answers.values():
        for row in _part(told, part).get(name, ()):
            found = sums.setdefault(key(row), [row[0], 0, 0])
            found[1] += row[1]
            found[2] += row[2]
    return sums.values()
