"""Microseconds of one trace beside OpenTelemetry's span, and the memory after many traces."""

from __future__ import annotations

import gc
import os
import random
import sys
from collections.abc import Callable

from opentelemetry.sdk.trace import TracerProvider

from flask_expvar.traces.tracer import Tracer, trace

from .contest import Samples, repeated, serve, timed

TIMES = 1000
FAMILIES = 300


def started() -> Callable[[], None]:
    """Return one of our traces: begun, two events, ended."""
    start = Tracer().start

    def work() -> None:
        found = start("mail", "deliver")
        found.log("connected")
        found.log("sent")
        found.finish()

    return work


def block() -> None:
    """Run a block that is traced by us."""
    with trace("mail", "deliver") as found:
        found.log("connected")
        found.log("sent")


def peers() -> dict[str, Callable[[], None]]:
    """Return the same by OpenTelemetry's SDK, with no exporter."""
    tracer = TracerProvider().get_tracer("bench")

    def span() -> None:
        found = tracer.start_span("deliver")
        found.add_event("connected")
        found.add_event("sent")
        found.end()

    def current() -> None:
        with tracer.start_as_current_span("deliver") as found:
            found.add_event("connected")
            found.add_event("sent")

    return {"span": span, "current span": current}


def resident() -> int:
    """Return how many bytes of memory this process has now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Crowd:
    """Traces over many families, every fifth with a child and every tenth failed."""

    def __init__(self) -> None:
        self._tracer = Tracer()
        self._count = 0

    def grow(self, count: str) -> float:
        """Finish traces until there have been *count*; return the MiB of the process."""
        names = [f"GET /page{n}" for n in range(FAMILIES)]
        while self._count < int(count):
            number = self._count
            with self._tracer.start(names[number % FAMILIES], f"number {number}") as found:
                found.log("connected to %s", number)
                found.log("sent")
                if number % 5 == 0:
                    self._tracer.start("query", "select", found).finish()
                    self._count += 1
                if number % 10 == 0:
                    found.mark("TimeoutError")
            self._count += 1
        gc.collect()
        return resident() / 2**20


def main(what: str) -> None:
    """Answer with one sample of each contender, in shuffled order, or with the memory."""
    if what == "memory":
        serve({"grow": Crowd().grow})
        return
    loops = {name: repeated(work) for name, work in peers().items()}
    loops |= {"trace": repeated(started()), "block": repeated(block)}

    def sample() -> Samples:
        names = random.sample(list(loops), len(loops))
        return {name: 1e6 * timed(loops[name], TIMES) for name in names}

    serve({"sample": sample})


if __name__ == "__main__":
    main(sys.argv[1])
