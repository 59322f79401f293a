"""Tally: what is counted of one request, at its first byte and at its end."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from ..variables.histogram import Histogram
from .recorder import Recorder
from .requests import BATCH, RequestTrace
from .routes import ROUTE_KEY, route_of

#: In place of an environ that is needed no more.
GONE: dict[str, Any] = {}


def closed(data: bytes) -> None:
    """Refuse what is written after the response has ended.

    :raises ValueError: always.
    """
    raise ValueError("the response has ended: nothing more can be written")


class Tally(RequestTrace):
    """What the counts of one request are made of.

    It reads the words of the variables while it holds the registry's lock, so it counts right
    while they move, and it makes no call in there: a signal handler that counts would wait for
    itself.
    """

    __slots__ = ("_body", "_headers", "_lock", "_open", "_raised", "_split", "_start_response",
        "_total", "_waiting", "_write",
    )  # fmt: skip

    _recorder: Recorder
    _body: Any
    _start_response: Any
    # The exception that was counted last.
    _raised: BaseException | None
    _lock: Any
    # Whether the first byte, and the end, are still to be counted.
    _waiting: bool
    _open: bool
    _total: Histogram | None
    # Where the duration is counted by method and code as well.
    _split: Histogram | None

    def _count_first(self) -> None:
        """Count method, code and time to the first byte. Never raises."""
        self._waiting = False
        recorder = self._recorder
        try:
            now = recorder.clock()
            seconds = now - self._began
            # Set late, or found when the response began, or still to be found.
            route = self._environ.get(ROUTE_KEY) or self._route or route_of(self._environ)
            self._route = route
            try:
                found = recorder.known[self._method, self._status, route]
                method, code, first, total, split = found
                # One that was deleted has no home any more.
                if not (method._home is code._home is first._home is recorder.registry):
                    raise LookupError
            except Exception:  # new, deleted, or no text
                found = recorder.find(self._method, self._status, route)
                method, code, first, total, split = found
            self._total = total
            self._split = split
            bucket = bisect_left(first._bounds, seconds)
            with recorder.registry.lock:
                method._cell[0] += 1
                code._cell[0] += 1
                first._floats[first._sum_at] += seconds
                first._ints[first._at + bucket] += 1
            self._first_at = now
        except Exception as error:
            recorder.lost(recorder.firsts, error)

    def conclude(self) -> None:
        """Count what is known at the end, once. Never raises."""
        if self._waiting:
            self._count_first()
        if not self._open:
            return
        self._open = False
        recorder = self._recorder
        try:
            now = recorder.clock()
            seconds = now - self._began
            total = self._total
            if total is None or total._home is None:
                total = recorder.histogram(recorder.totals, self._route)
            bucket = bisect_left(total._bounds, seconds)
            split = self._split
            gauge, received, sent = recorder.in_flight, recorder.received, recorder.sent
            lock = recorder.registry.lock
            with lock:
                # Another lock: this process was forked meanwhile, and its gauge began anew.
                if lock is self._lock:
                    gauge._cell[0] -= 1
                total._floats[total._sum_at] += seconds
                total._ints[total._at + bucket] += 1
                if split is not None:  # it has the same bounds
                    split._floats[split._sum_at] += seconds
                    split._ints[split._at + bucket] += 1
                sent._cell[0] += self._sent
                if self._read:  # seldom: most requests have no body
                    received._cell[0] += self._read
            requests = recorder.requests
            if requests is not None:
                self._end = now  # now others look at the rest
                self._room = 0
                # Not there: this process was forked meanwhile, and the request is its parent's.
                if requests.flying.pop(self._number, None) is not None:
                    ended = requests.ended
                    ended.append(self)
                    if len(ended) >= BATCH:
                        requests.settle()
                self._leave()
        except Exception as error:
            recorder.lost(recorder.totals, error)
        # It will be kept: nothing of the server's or the client's with it. The environ holds it,
        # and without a way back no garbage collection is needed.
        self._environ = GONE
        self._body = ()
        self._headers = self._raised = self._start_response = self._total = self._split = None
        self._write = closed
