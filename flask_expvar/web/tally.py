"""Tally: what is counted of one request, at its first byte and at its end."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from ..traces.trace import current
from .recorder import NEITHER as NEITHER
from .recorder import Ends, Recorder
from .requests import BATCH, RequestTrace
from .routes import ROUTE_KEY, route_of

#: In place of an environ that is needed no more: the request has ended, or is not to be counted.
GONE: dict[str, Any] = {}


def closed(data: bytes) -> None:
    """Refuse what is written after the response has ended.

    :raises ValueError: always.
    """
    raise ValueError("the response has ended: nothing more can be written")


class Tally(RequestTrace):
    """What the counts of one request are made of.

    It reads the words of the variables while it holds the registry's lock, so it counts right
    while they move, and in there are no calls, and no branches, where Python 3.10 calls signal
    handlers as well: one that counts would wait for itself.
    """

    __slots__ = (
        "_body", "_ends", "_headers", "_lock", "_raised", "_start_response", "_write",
    )  # fmt: skip

    _recorder: Recorder
    _body: Any
    _start_response: Any
    # The exception that was counted last.
    _raised: BaseException | None
    _lock: Any
    # None as long as the first byte is still to be counted.
    _ends: Ends | None

    @property
    def _open(self) -> bool:
        """Whether the end is still to be counted."""
        return self._environ is not GONE

    def _count_first(self) -> None:
        """Count method, code and time to the first byte. Never raises."""
        recorder = self._recorder
        try:
            clock = recorder.clock
            self._first_at = now = clock()
            seconds = now - self._began
            environ = self._environ
            # Set late, or still to be found; mostly found when the response began.
            if ROUTE_KEY in environ or self._route is None:
                self._route = environ.get(ROUTE_KEY) or self._route or route_of(environ)
            try:
                found = recorder.known[self._method, self._status, self._route]
            except Exception:  # new, or no text
                found = recorder.find(self._method, self._status, self._route)
            method, code, first, self._ends = found
            bucket = bisect_left(first._bounds, seconds)
            with recorder.registry.lock:
                method._cell[0] += 1
                code._cell[0] += 1
                first._sum[0] += seconds
                first._counts[bucket] += 1
        except Exception as error:
            self._ends = self._ends or NEITHER
            recorder.lost(recorder.firsts, error)

    def conclude(self) -> None:
        """Count what is known at the end, once. Never raises."""
        ends = self._ends
        if ends is None:
            self._count_first()
            ends = self._ends or NEITHER
        if self._environ is GONE:
            return
        # The environ holds it: without a way back no garbage collection is needed.
        self._environ = GONE
        recorder = self._recorder
        try:
            clock = recorder.clock
            now = clock()
            seconds = now - self._began
            total, split = ends
            if total._home is None:  # it was deleted, or has never been there
                total = recorder.histogram(recorder.totals, self._route)
            bucket = bisect_left(total._bounds, seconds)
            lock = recorder.registry.lock
            with lock:
                # Another lock: this process was forked meanwhile, and its gauge began anew.
                recorder.in_flight._cell[0] -= lock is self._lock
                total._sum[0] += seconds
                total._counts[bucket] += 1
                recorder.sent._cell[0] += self._sent
            if split is not None:  # it has the same bounds
                with lock:
                    split._sum[0] += seconds
                    split._counts[bucket] += 1
            if self._read:  # seldom: most requests have no body
                with lock:
                    recorder.received._cell[0] += self._read
            if self._raised is not None:
                self._forget_error()
            requests = recorder.requests
            if requests is not None:
                self._end = now  # now others look at the rest
                self._room = 0
                # What was begun inside and never left, such as a generator's, is current no more.
                try:
                    current.reset(self._before)
                except Exception:  # it ends in another thread or task, out of turn, or is lost
                    pass
                finally:
                    self._before = None
                # Not there: this process was forked meanwhile, and the request is its parent's.
                if requests.flying.pop(self._number, None) is not None:
                    notes = self._notes
                    if notes is not None:  # Notes.end()
                        notes.words[self._note] = 0
                        notes.free.append(self._note)
                    ended = requests.ended
                    ended.append(self)
                    if len(ended) >= BATCH:
                        requests.settle()
                # It may be kept: nothing of the server's with it.
                self._headers = self._start_response = self._write = None
        except Exception as error:
            self._raised = None
            recorder.lost(recorder.totals, error)

    def _forget_error(self) -> None:
        self._raised = None
        # Whoever asks a worker to go raises through what it is doing: SystemExit, GreenletExit.
        if self._recorder.requests is not None and self._more.doomed and self._notes is not None:
            self._notes.keep(self._note)
            self._notes = None
