"""What one addition takes: ours, and prometheus_client's multiprocess mode, by the bare minimum.

Run with ``PROMETHEUS_MULTIPROC_DIR`` set, which prometheus_client reads when it is imported.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from itertools import repeat
from pathlib import Path
from time import thread_time

from prometheus_client import Counter

from flask_expvar import Int, Map, Registry
from flask_expvar.workers.shared import SharedStore

from .contest import Samples, repeated, serve, timed

TIMES = 20_000


def bare(counter: Int) -> Callable[[int], None]:
    """Return a loop that adds to the words of *counter* as directly as Python can."""

    def work(times: int) -> None:
        view, i, lock, n = counter._ints, counter._at, counter._lock, 1
        for _ in repeat(None, times):
            with lock:
                view[i] += n

    return work


def adding_key(map_: Map) -> Callable[[int], None]:
    """Return a loop that adds under one key."""

    def work(times: int) -> None:
        for _ in repeat(None, times):
            map_.add("200")

    return work


def labelling(counter: Counter) -> Callable[[int], None]:
    """Return a loop that counts under one label, as applications do: looked up each time."""

    def work(times: int) -> None:
        for _ in repeat(None, times):
            counter.labels("200").inc()

    return work


def main(folder: Path) -> None:
    """Answer with one sample of each contender, in shuffled order.

    Nanoseconds of the bare one; of the others how many times as long they took.
    """
    registry = Registry("bench")
    registry.attach(SharedStore(folder, os.getpid()))
    counter = registry.new_int("bench/hits")
    loops = {
        "bare": bare(counter),
        "Int.add": repeated(counter.add),
        "Map.add": adding_key(registry.new_map("bench/codes", "code")),
        "inc": repeated(Counter("hits", "…").inc),
        "labels.inc": labelling(Counter("codes", "…", ["code"])),
    }

    def sample() -> Samples:
        names = random.sample(list(loops), len(loops))
        found = {name: timed(loops[name], TIMES, thread_time) for name in names}
        bare = found.pop("bare")
        return {"bare": 1e9 * bare, **{name: each / bare for name, each in found.items()}}

    serve({"sample": sample})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
