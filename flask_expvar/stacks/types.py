"""Types: what the objects of this process are, by a look that ends in time."""

from __future__ import annotations

import gc
import sys
import time
from typing import Any, NamedTuple

#: A look ends after so many objects, and after so many seconds.
MOST_OBJECTS, LONGEST = 500_000, 0.4
_BATCH = 2000


class Counted(NamedTuple):
    """All objects of one type: how many, and their own bytes without what they refer to."""

    name: str
    number: int
    size: int


class Scan(NamedTuple):
    """What was looked at, the most bytes first, and of how many objects."""

    types: list[Counted]
    scanned: int
    of: int
    took: float


def scan(most: int = MOST_OBJECTS, seconds: float = LONGEST, shown: int = 200) -> Scan:
    """Count the objects that the collector knows, by their type."""
    began = time.perf_counter()
    objects = gc.get_objects()
    of, scanned = len(objects), 0
    counts: dict[type, list[int]] = {}
    try:
        for first in range(0, min(of, most), _BATCH):
            batch = objects[first : min(first + _BATCH, most)]
            _count(batch, counts)
            scanned += len(batch)
            if time.perf_counter() - began > seconds:
                break
    finally:
        del objects
    largest = sorted(counts.items(), key=lambda item: -item[1][1])[:shown]
    told = [Counted(name_of(kind), count, size) for kind, (count, size) in largest]
    return Scan(told, scanned, of, time.perf_counter() - began)


def _count(batch: list[Any], counts: dict[type, list[int]]) -> None:
    for each in batch:
        kind = type(each)  # never __class__, which an object may make up
        found = counts.get(kind)
        if found is None:
            found = counts[kind] = [0, 0]
        found[0] += 1
        found[1] += _size(each, kind)


def _size(each: Any, kind: type) -> int:
    # A class of the program may say anything of its size, or do anything when asked.
    method = _sizes.get(kind)
    if method is None:
        own = any("__sizeof__" in vars(base) for base in kind.__mro__ if base.__flags__ & _HEAP)
        method = _sizes[kind] = not own
        if len(_sizes) > 5000:
            _sizes.clear()
    return sys.getsizeof(each, 0) if method else kind.__basicsize__


_HEAP = 1 << 9
_sizes: dict[type, bool] = {}


def name_of(kind: type) -> str:
    """Return module and name of a type, which no code of the program is asked for."""
    try:
        module = type.__getattribute__(kind, "__dict__").get("__module__", "builtins")
        name = type.__dict__["__qualname__"].__get__(kind)
    except Exception:
        return "(a type)"
    return f"{module}.{name}" if isinstance(module, str) and module != "builtins" else str(name)
