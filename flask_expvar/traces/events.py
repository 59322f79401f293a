"""Event logs: what happened to long-lived objects, such as connections, caches and queues."""

from __future__ import annotations

import itertools
import os
import time
import weakref
from collections.abc import Callable
from typing import Any

from .._native import allocate_rlock
from ..variables.registry import Registry
from .event_log import EventLog
from .family import OTHER
from .tracer import MAX_FAMILIES, Tracer, name, nearest_tracer, tracer_of

#: So many open logs of a family stay when nobody else holds them.
HELD = 200
#: What a page shows of a family: all logs, those whose last error is younger than this, in
#: seconds, and those that ever had one. Each column but the first is a part of the next.
COLUMNS = ("total", "errs<10s", "errs<1m", "errs<10m", "errs<1h", "errs<10h", "errors")
_LIMITS = (0.0, 10.0, 60.0, 600.0, 3600.0, 36000.0, float("inf"))

_stores: weakref.WeakKeyDictionary[Tracer, EventLogs] = weakref.WeakKeyDictionary()
_all: weakref.WeakSet[EventLogs] = weakref.WeakSet()
_hooked: list[bool] = []


class EventFamily:
    """The open logs of one sort of object."""

    __slots__ = ("_held", "_other", "_purge_at", "home", "name")

    def __init__(self, home: EventLogs, name: str) -> None:
        self.home = home
        self.name = name
        self._held: dict[int, EventLog] = {}
        # Weak: objects that are let go without closing their logs must not fill the memory.
        self._other: dict[int, weakref.ref[EventLog]] = {}
        self._purge_at = 1000

    def open(self, title: str) -> EventLog:
        """Begin a log. The caller holds the lock."""
        log = EventLog(self, title, self.home.next_number())
        self._held[log._number] = log
        if len(self._held) > HELD:
            oldest = self._held.pop(next(iter(self._held)))
            self._other[oldest._number] = weakref.ref(oldest)
            if len(self._other) > self._purge_at:
                self._purge()
                self._purge_at = max(1000, 2 * len(self._other))
        return log

    def _purge(self) -> None:
        for number, each in list(self._other.items()):
            if each() is None:
                del self._other[number]

    def close(self, log: EventLog) -> None:
        """Forget *log*."""
        with self.home.lock:
            log._closed = True
            self._held.pop(log._number, None)
            self._other.pop(log._number, None)

    # What pages ask

    def logs(self, column: int = 0) -> list[EventLog]:
        """Return the open logs of one of the :data:`COLUMNS`, newest activity first."""
        now = self.home.clock()
        found = [log for log in self._open() if _is_in(column, log, now)]
        return sorted(found, key=lambda log: log._active, reverse=True)

    def counts(self) -> list[int]:
        """Return how many open logs each of the :data:`COLUMNS` has."""
        now = self.home.clock()
        found = self._open()
        return [sum(_is_in(column, log, now) for log in found) for column in range(len(COLUMNS))]

    def _open(self) -> list[EventLog]:
        with self.home.lock:
            refs = list(self._other.values())
            return [*(log for each in refs if (log := each()) is not None), *self._held.values()]

    @property
    def empty(self) -> bool:
        """Whether no log is open."""
        return not self._open()


class EventLogs:
    """The event logs of one registry, by family.

    Unlike traces they live on in a forked child: so do the objects that they tell of, such as a
    pool of connections that was made before the workers were.

    :param clock: seconds that only grow.
    :param wall: the time of day, in ns since the epoch.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.perf_counter,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        self.clock = clock
        self.wall = wall
        # Re-entrant: a signal handler may log in the midst of a log.
        self.lock: Any = allocate_rlock()
        self._families: dict[str, EventFamily] = {}
        self._number()
        _all.add(self)
        if not _hooked:
            _hooked.append(True)
            os.register_at_fork(after_in_child=_after_fork)

    def _number(self) -> None:
        # Not from the random module: programs seed it, alike in each worker.
        first = int.from_bytes(os.urandom(4), "big") << 32
        self.next_number = itertools.count(first + 1).__next__

    def open(self, family: str, title: str) -> EventLog:
        """Begin a log."""
        key, title = name(family), name(title)
        with self.lock:
            return self._family(key).open(title)

    def _family(self, key: str) -> EventFamily:
        found = self._families.get(key)
        if found is None:
            if self._full():
                for each in self.families():
                    if each.empty:
                        del self._families[each.name]
            if self._full():
                key = OTHER
            found = self._families.setdefault(key, EventFamily(self, key))
        return found

    def _full(self) -> bool:
        return len(self._families) - (OTHER in self._families) >= MAX_FAMILIES

    def families(self) -> list[EventFamily]:
        """Return the families by name, those included whose logs are all closed."""
        with self.lock:
            return sorted(self._families.values(), key=lambda each: each.name)

    def known(self, family: str) -> EventFamily | None:
        """Return the family of a name if it has one."""
        return self._families.get(family)

    def epoch(self) -> float:
        """Return the time of day at which the clock was zero, as far as is known now."""
        return self.wall() / 1e9 - self.clock()

    def _after_fork(self) -> None:
        self.lock = allocate_rlock()
        self._number()


def event_log(family: str, title: str, *, registry: Registry | None = None) -> EventLog:
    """Begin the log of a long-lived object, which is shown until it is closed.

    ::

        class Connection:
            def __init__(self, host):
                self.events = expvar.event_log("connection", host)

            def send(self, data):
                self.events.log("%d bytes", len(data))

            def close(self):
                self.events.close()

    Never raises.

    :param family: the sort of object: one of a small number of names.
    :param title: which one it is.
    :param registry: of the pages that shall show it; if None, that of the current trace, else
        the default registry.
    """
    return _store_of(nearest_tracer(registry)).open(family, title)


def event_logs_of(registry: Registry) -> EventLogs:
    """Return the event logs that belong to *registry*; always the same object."""
    return _store_of(tracer_of(registry))


def _store_of(tracer: Tracer) -> EventLogs:
    found = _stores.get(tracer)
    if found is None:
        found = _stores.setdefault(tracer, EventLogs(clock=tracer.clock, wall=tracer.wall))
    return found


def _is_in(column: int, log: EventLog, now: float) -> bool:
    return not column or (log._failed is not None and now - log._failed < _LIMITS[column])


def _after_fork() -> None:
    for logs in list(_all):
        logs._after_fork()
