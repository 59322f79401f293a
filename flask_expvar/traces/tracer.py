"""Tracer: the families of one registry, and where traces are found again."""

from __future__ import annotations

import itertools
import os
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Protocol

from .._native import allocate_rlock
from ..variables import registry as registries
from ..variables.registry import Registry
from .family import OTHER, Family
from .known import NOTHING, More
from .texts import LONGEST_NAME as LONGEST_NAME
from .texts import name as name
from .trace import FEWEST_EVENTS, MAX_EVENTS, OUTSIDE, Trace, innermost

#: Families beyond so many share one.
MAX_FAMILIES = 500
#: So many events are kept at most, whoever asks for more.
MOST_EVENTS = 10_000

_tracers: weakref.WeakKeyDictionary[Registry, Tracer] = weakref.WeakKeyDictionary()
_all: weakref.WeakSet[Tracer] = weakref.WeakSet()
_hooked: list[bool] = []
_default: Tracer | None = None


class Source(Protocol):
    """Where traces are made that are filed when they have ended."""

    def running(self) -> list[Trace]:
        """Return those that have not ended."""

    def settle(self) -> None:
        """File those that have ended."""

    def forget(self) -> None:
        """Forget everything, in a forked child."""


class Watched(Family):
    """A family whose finished traces somebody wants to know of."""

    __slots__ = ()

    def keep(self, trace: Trace, end: float) -> None:
        """Keep *trace*, and tell of it. A watcher that raises is on its own."""
        super().keep(trace, end)
        with suppress(Exception):
            self.tracer.finished(trace)


class Tracer:
    """Begins traces and keeps them by family.

    Safe to use from threads, greenlets and tasks. A forked child begins with none: those of its
    parent are the parent's.

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
        self.lock: Any = allocate_rlock()
        self._families: dict[str, Family] = {}
        #: Where else traces are made.
        self.sources: list[Source] = []
        #: What families are: others while somebody watches, so that nobody else pays for it.
        self._kind: type[Family] = Family
        self._watchers: list[Callable[[Trace], None]] = []
        #: The family of what has not been filed yet.
        self.unnamed = Family(self, "", clock, self.lock)
        self._number()
        _all.add(self)
        if not _hooked:
            _hooked.append(True)
            os.register_at_fork(after_in_child=_after_fork)

    def _number(self) -> None:
        # Not from the random module: programs seed it, alike in each worker.
        first = int.from_bytes(os.urandom(4), "big") << 32
        self.next_number = itertools.count(first + 1).__next__

    def start(
        self,
        family: str,
        title: str,
        parent: Trace | None = None,
        max_events: int | None = None,
    ) -> Trace:
        """Begin a trace.

        :param parent: the trace that this is a part of.
        :param max_events: how many events are kept, at least 6; of more the middle is dropped.
        """
        # Nothing is keyword-only: Python 3.11 to 3.13 call such functions 0.1 µs more slowly.
        try:
            found = self._families[family]
        except Exception:  # not there yet, or no text: it may even raise when it is hashed
            found = self.family(family)
        if type(title) is not str or len(title) > LONGEST_NAME:
            title = name(title)
        # Named first: Python 3.11 is slow to call an attribute that is no method.
        next_number, wall, clock = self.next_number, self.wall, self.clock
        trace = Trace()
        trace._family = found
        trace.title = title
        trace._number = number = next_number()
        trace._wall = wall()
        trace._began = clock()
        trace._events = []
        trace._room = MAX_EVENTS
        trace._more = NOTHING
        trace._before = OUTSIDE
        trace._end = trace._error = None
        if max_events is not None:
            trace._room = most = _room(max_events)
            trace._more = More(most)
        if parent is not None:
            parent._adopt(trace)
        # Family.begin(), without a call.
        running = found._running
        running[number] = trace
        if len(running) > found.purge_at:
            found.purge()
        return trace

    def here(self, family: str, title: str, max_events: int | None = None) -> Trace:
        """Begin a trace as :func:`trace` does.

        The default registry's tracer gives way to that of the current trace; others do not.
        """
        above = innermost()
        if above is not None:
            tracer = above._family.tracer
            if tracer is not self:
                if self is default_tracer():
                    return tracer.start(family, title, above, max_events)
                above = None
        return self.start(family, title, above, max_events)

    def family(self, family: object) -> Family:
        """Return the family of a name, made if need be; one too many is ``(other)``."""
        key = name(family)
        with self.lock:
            found = self._families.get(key)
            if found is None:
                if len(self._families) >= MAX_FAMILIES:
                    key = OTHER
                made = self._kind(self, key, self.clock, self.lock)
                found = self._families.setdefault(key, made)
            return found

    def families(self) -> list[Family]:
        """Return the families in which something happened, by name."""
        guests = self._look()
        with self.lock:
            # list(): a signal handler or a finalizer may begin a family in the midst.
            every = list(self._families.values())
        found = [each for each in every if each.name in guests or not each.empty]
        return sorted(found, key=lambda each: each.name)

    def watch(self, watcher: Callable[[Trace], None]) -> None:
        """Call *watcher* with each trace that has finished, where that is filed."""
        with self.lock:
            self._watchers.append(watcher)
            self._become(Watched)

    def unwatch(self, watcher: Callable[[Trace], None]) -> None:
        """Call *watcher* no more."""
        with self.lock:
            self._watchers = [each for each in self._watchers if each != watcher]
            if not self._watchers:
                self._become(Family)

    def _become(self, kind: type[Family]) -> None:
        self._kind = kind
        for family in self._families.values():
            family.__class__ = kind

    def finished(self, trace: Trace) -> None:
        """Tell the watchers of a trace that has finished."""
        for watcher in self._watchers:
            watcher(trace)

    def settle(self) -> None:
        """File what has ended at the sources."""
        for source in self.sources:
            source.settle()

    def guests(self) -> dict[str, list[Trace]]:
        """Return what is running at the sources, by family."""
        found: dict[str, list[Trace]] = {}
        for source in self.sources:
            for trace in source.running():
                found.setdefault(trace.family, []).append(trace)
        return found

    def _look(self) -> dict[str, list[Trace]]:
        """File what has ended, and let what is running at the sources have its family."""
        self.settle()
        guests = self.guests()
        for family in guests:
            if family and family not in self._families:
                self.family(family)
        return guests

    def known(self, family: str) -> Family | None:
        """Return the family of a name if it has one."""
        self._look()
        return self._families.get(family)

    # Look-ups

    def find(self, id: str, ref: str = "") -> Trace | None:
        """Return the trace with an id.

        :param ref: the id of a trace that knows it: its parent, child or link. Through it one is
            found that its own family keeps no more.
        """
        found = self._find(id)
        if found is None and ref:
            known = self._find(ref)
            near = _around(known) if known is not None else iter(())
            found = next((each for each in near if each.id == id), None)
        return found

    def _find(self, id: str) -> Trace | None:
        # From the right: a family's name may hold the mark.
        family, _, rest = id.rpartition("!")[0].rpartition("!")
        known = self.known(family)
        if known is None or not rest.isascii() or not rest.isdigit():
            return None
        candidates = itertools.chain(known.running(), known.kept())
        return next((trace for trace in candidates if trace.id == id), None)

    def _after_fork(self) -> None:
        self.lock = allocate_rlock()
        self._number()
        for family in (self.unnamed, *self._families.values()):
            family.lock = self.lock
            family.reset()
        for source in self.sources:
            source.forget()


def _around(trace: Trace) -> Iterator[Trace]:
    """Yield what *trace* refers to, and everything below that."""
    above = trace._above()
    if above is not None:
        yield above
    seen = {trace._number}
    waiting = [trace]
    while waiting:
        for _, other in waiting.pop().others():
            if other is not None and other._number not in seen:
                seen.add(other._number)
                waiting.append(other)
                yield other


def _room(asked: Any) -> int:
    try:
        return min(max(int(asked), FEWEST_EVENTS), MOST_EVENTS)
    except Exception:  # no number, infinity
        return MAX_EVENTS


def tracer_of(registry: Registry) -> Tracer:
    """Return the tracer that belongs to *registry*; always the same one."""
    found = _tracers.get(registry)
    if found is None:
        found = _tracers.setdefault(registry, Tracer())
    return found


def nearest_tracer(registry: Registry | None) -> Tracer:
    """Return the tracer of *registry*, else of the current trace, else of the default registry."""
    if registry is not None:
        return tracer_of(registry)
    above = innermost()
    if above is not None and isinstance(above._family.tracer, Tracer):
        return above._family.tracer
    return default_tracer()


def default_tracer() -> Tracer:
    """Return the tracer of the default registry."""
    global _default
    if _default is None:  # a look-up in _tracers costs 0.4 µs
        _default = tracer_of(registries.default_registry)
    return _default


def trace(
    family: str,
    title: str = "",
    *,
    registry: Registry | None = None,
    max_events: int | None = None,
) -> Trace:
    """Begin a trace, as a child of the current one if there is one.

    ::

        with expvar.trace("mail", f"to {domain}") as trace:
            trace.log("connected to %s", host)


        @expvar.trace("mail", "queue run")
        def run(): ...

    Without ``with`` or a decorator it runs until its :meth:`~flask_expvar.Trace.finish` is
    called. Never raises.

    :param family: the sort of work: one of a small number of names.
    :param title: which one it is.
    :param registry: of the pages that shall show it, where the current trace does not say.
    :param max_events: how many events are kept, 100 unless given.
    """
    tracer = _default or default_tracer()
    if registry is not None:
        with suppress(Exception):  # none that is a registry
            tracer = tracer_of(registry)
    return tracer.here(family, title, max_events)


def _after_fork() -> None:
    for tracer in list(_all):
        tracer._after_fork()
