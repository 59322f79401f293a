"""Looking at 200 threads: milliseconds of the page, and for how long it stops the others.

A thread that does nothing but look at the clock notes the longest time that it could not. What
other processes of the machine take then is in it as well, the other workers that are looked at
among them: so one worker is looked at alone, too, and the CPU time that the thread that looks has
used in the same gap is told apart.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from flask_expvar.pages.page import scene
from flask_expvar.pages.threads import Threads
from flask_expvar.variables.registry import Registry

from .contest import Samples, serve
from .workers import joined

THREADS = 200


def park(count: int) -> None:
    """Start so many threads that wait, some twenty places deep, in seven groups."""
    over = threading.Event()

    def wait(deep: int) -> None:
        if deep:
            wait(deep - 1)
        else:
            over.wait()

    for number in range(count):
        threading.Thread(target=wait, args=(14 + number % 7,), daemon=True).start()


class Spinner:
    """A thread that notes how long it could not run.

    :param looker: the native identifier of the thread whose part in that is told.
    """

    def __init__(self, looker: int) -> None:
        self._clock = (~looker << 3) | 6
        self._over = False
        self.gap = self.held = 0.0
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        now, used = time.perf_counter, time.clock_gettime
        last, before = now(), used(self._clock)
        while not self._over:
            then, after = now(), used(self._clock)
            self.gap = max(self.gap, then - last)
            self.held = max(self.held, after - before)
            last, before = then, after

    def stop(self) -> None:
        """Let the thread end, which has noted the last gap then as well."""
        self._over = True
        self._thread.join()


def page(registry: Registry, **query: str) -> Callable[[], None]:
    """Return a function that builds the text of the page."""
    shown = Threads()

    def look() -> None:
        shown.machine(scene(shown, registry, query), False)

    return look


def stopped(look: Callable[[], None]) -> Spinner:
    """Return the thread that has noted for how long *look* stopped it."""
    spinner = Spinner(threading.get_native_id())
    look()
    spinner.stop()
    return spinner


def main(folder: Path) -> None:
    """Answer with the time of a page and the longest gaps."""
    registry = joined(folder, 0)
    look = page(registry)
    alone = page(registry, worker=str(os.getpid()))

    def sample() -> Samples:
        began = time.perf_counter()
        look()
        idle = time.perf_counter() - began
        every, one = stopped(look), stopped(alone)
        return {
            "page": 1e3 * idle,
            "gap": 1e3 * every.gap,
            "held": 1e3 * every.held,
            "alone": 1e3 * one.gap,
        }

    def start() -> int:
        park(THREADS)
        return threading.active_count()

    serve({"sample": sample, "park": start})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
