"""Microseconds of one trace beside OpenTelemetry's span, and the memory after many requests."""

from __future__ import annotations

import gc
import os
import random
import sys
from collections.abc import Callable
from time import thread_time
from typing import Any

from opentelemetry.sdk.trace import TracerProvider

from flask_expvar import ExpvarMiddleware, Registry, current_trace, trace
from flask_expvar.traces.tracer import Tracer

from .contest import Samples, repeated, serve, timed

TIMES = 1000
ROUTES = 300


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
    """Requests of many routes through the middleware: fast and slow ones, with what they log.

    Every fifth has a child and every tenth fails. Their clock is a number, so that slow ones
    take no time.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._count = 0
        self._app = ExpvarMiddleware(
            self._answer, registry=Registry("crowd"), clock=lambda: self._now, attach=dict
        )
        self._routes = [f"/page{n}/<int:id>" for n in range(ROUTES)]
        self._seconds = (0.001, 0.002, 0.007, 0.003, 0.02, 0.001, 0.06, 0.2, 0.004, 0.5)

    def _answer(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        number = self._count
        environ["expvar.route"] = self._routes[number % ROUTES]
        self._now += self._seconds[number // 7 % 10]
        current_trace().log("connected to %s", number)
        if number % 5 == 0:
            trace("query", "select").finish()
        start_response("500 Oh" if number % 10 == 0 else "200 OK", [])
        return [b"ok"]

    def grow(self, count: str) -> float:
        """Answer requests until there have been *count*; return the MiB of the process."""
        while self._count < int(count):
            body: Any = self._app({"REQUEST_METHOD": "GET"}, _ignore)
            body.close()
            self._count += 1
        gc.collect()
        return resident() / 2**20


def _ignore(status: str, headers: Any, exc_info: Any = None) -> Any:
    return bytes


def main(what: str) -> None:
    """Answer with one sample of each contender, in shuffled order, or with the memory."""
    if what == "memory":
        serve({"grow": Crowd().grow})
        return
    loops = {name: repeated(work) for name, work in peers().items()}
    loops |= {"trace": repeated(started()), "block": repeated(block)}

    def sample() -> Samples:
        names = random.sample(list(loops), len(loops))
        # The time of this thread's CPU: what else the machine does is in no figure.
        return {name: 1e6 * timed(loops[name], TIMES, thread_time) for name in names}

    serve({"sample": sample})


if __name__ == "__main__":
    main(sys.argv[1])
