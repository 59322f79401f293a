"""Requests: the traces of requests, and the notes from which a dead worker's are known."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, NamedTuple, Protocol

from ..traces import w3c
from ..traces.event import LOG, Event
from ..traces.family import Family
from ..traces.trace import Trace, current
from ..traces.tracer import Tracer, name
from .notes import NOWHERE, Notes
from .routes import METHODS, NO_ROUTE, route_of

#: So many pairs of method and route are remembered.
MOST_PLACES = 5000
#: So many requests are filed at once.
BATCH = 64
#: What stands for a method that is none.
UNKNOWN = "unknown"

#: What was the current trace where a request's was entered, and the same of those around.
_entered: ContextVar[tuple[Any, Any] | None] = ContextVar("flask_expvar.entered", default=None)


def known_method(method: str) -> str:
    """Return *method* if it is one: what scanners send may be long, and each time another."""
    try:
        return method if method in METHODS else UNKNOWN
    except Exception:  # no text, but what some server takes for one
        return UNKNOWN


class Place(NamedTuple):
    """Where the requests of one method and route are filed.

    :param note: where the text is that notes of them refer to.
    """

    family: Family
    title: str
    note: int


class Requests:
    """Keeps the traces of one middleware's requests.

    On a request's way only what cannot wait is done. Those that have ended are filed by the
    batch, or when somebody looks: what is done often in a row is done four times as fast.
    """

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer
        self.notes: Notes | None = None
        self._key = 0
        #: Where the methods are written, for what is noted before the route is known.
        self.noted: dict[str, int] = {}
        #: Weak: who has lost a response without closing it must be found by the collector.
        self.flying: dict[int, weakref.ref[RequestTrace]] = {}
        self.ended: deque[RequestTrace] = deque()
        #: What each takes of the tracer.
        self.unnamed, self.wall = tracer.unnamed, tracer.wall
        self.next_number = tracer.next_number
        #: What :meth:`place` has returned: one call less for whoever looks here first.
        self.places: dict[tuple[str, Any], Place] = {}
        tracer.sources.append(self)

    def note_in(self, notes: Notes | None, key: int) -> None:
        """Note requests in *notes* from now on.

        :param key: what the notes of this registry are known by.
        """
        moved = notes is not self.notes
        self._key = key
        if notes is not None:
            self.noted = {each: notes.text(key, each.encode()) for each in (*METHODS, UNKNOWN)}
        self.notes = notes
        if moved:  # the last: what another thread has found meanwhile is of the notes before
            self.places = {}

    def place(self, method: str, route: Any) -> Place:
        """Return where requests of *method* and *route* are filed. Never raises."""
        method = known_method(method)
        places = self.places
        try:
            found = places.get((method, route))
            if found is not None:
                return found
        except Exception:  # an application may call its route anything
            route = name(route)
        title = name(route)
        filed = f"{method} {title}"
        notes, full = self.notes, len(places) >= MOST_PLACES
        text = filed.encode("utf-8", "replace")
        note = NOWHERE if notes is None or full else notes.text(self._key, text)
        if note == NOWHERE:  # without room for more, the method stays
            note = self.noted.get(method, NOWHERE)
        found = Place(self.tracer.family(filed), title, note)
        if not full:
            places[method, route] = found
        return found

    def settle(self) -> None:
        """File the traces of all requests that have ended."""
        ended, places = self.ended, self.places
        while ended:
            try:
                trace = ended.popleft()
            except IndexError:  # another thread was quicker
                return
            status = trace._status
            # The first question is all that most answer.
            if type(status) is str and status >= "5":
                trace.blame(status)
            try:
                place = places[trace._method, trace._route]
            except Exception:  # a new one, or no text
                trace._method = known_method(trace._method)  # a scanner's may be long
                place = trace._place
            trace._family = place.family
            place.family.keep(trace, trace._end)  # type: ignore[arg-type]  # it has ended

    def running(self) -> list[Trace]:
        """Return the requests that have not ended."""
        # list() of a dict's values is one step: requests begin and end meanwhile.
        found = [ref() for ref in list(self.flying.values())]
        return [trace for trace in found if trace is not None]

    def forget(self) -> None:
        """Begin anew in a forked child: what was running is its parent's."""
        self.flying = {}
        self.ended = deque()
        self.next_number = self.tracer.next_number


class Filing(Protocol):
    """What the trace of a request needs of its middleware."""

    clock: Callable[[], float]
    requests: Requests | None


class RequestTrace(Trace):
    """The trace of one request. Of what came from the client only a method that is one is kept.

    When the route was found, the response began and ended is kept as numbers, and what is known
    of the response as it came: events and facts are made of them when somebody looks.
    """

    __slots__ = (
        "_environ", "_first_at", "_ident", "_matched_at", "_method", "_note", "_notes", "_read",
        "_recorder", "_ref", "_route", "_sent", "_status",
    )  # fmt: skip

    _recorder: Filing
    _environ: dict[str, Any]
    _ident: int
    _method: str
    _route: Any
    _notes: Notes | None
    _note: int
    _matched_at: float
    _first_at: float
    _status: Any
    _read: int
    _sent: int
    # What gives back the trace that was the current one before; None after the end.
    _before: Any
    # What others hold of it as long as it runs: see Requests.flying.
    _ref: weakref.ref[RequestTrace]

    # What happens on the way of the request; how it begins and ends, Exchange and Tally know

    def follow(self, header: Any) -> None:
        """Take part in the trace of the program that has sent *header*, a ``traceparent``."""
        found = w3c.parse_parent(header) if isinstance(header, str) else None
        if found is not None:
            more = self._own()
            more.w3c, more.caller = found

    def match(self, route: Any) -> None:
        """Note which route the application has found, if it has one."""
        if self._recorder.requests is None:
            self._route = route
        else:
            self.matched(route)

    def matched(self, route: Any) -> None:
        """Note the same, where requests are traced."""
        self._route = route
        recorder = self._recorder
        if route is not NO_ROUTE:
            self._matched_at = recorder.clock()
        notes = self._notes
        if notes is not None:
            requests: Any = recorder.requests
            try:
                place = requests.places[self._method, route]
            except Exception:  # a new one, or no text
                place = requests.place(self._method, route)
            notes.words[self._note] = place.note

    def _withdraw(self, requests: Requests) -> None:
        """Be forgotten: this request is not to be seen."""
        requests.flying.pop(self._number, None)
        self._end = self._began
        self._room = 0
        with suppress(Exception):  # in another thread or task, or out of turn
            current.reset(self._before)
        self._before = None
        if self._notes is not None:
            self._notes.end(self._note)

    # What can wait

    def blame(self, status: str) -> None:
        """Be among the failed ones if nothing else has failed and *status* is 500 or more."""
        if self._error is None and status[:3] <= "599":
            self._error = f"HTTP {status[:3]}"

    def finish(self) -> None:
        """Do nothing: the trace of a request ends with its response."""

    def __enter__(self) -> RequestTrace:
        # Not as other traces do: what was current before the request is still needed at its end.
        _entered.set((current.get(), _entered.get()))
        current.set(self._ref)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        before, around = _entered.get() or (None, None)
        _entered.set(around)
        current.set(before)
        if error is not None:
            self.error(error)

    @property
    def outer(self) -> Trace | None:
        """The trace that was the current one when the request began, while this one runs."""
        before = None if self._before is None else self._before.old_value
        if before is Token.MISSING:
            return None
        found = before() if type(before) is weakref.ref else before
        # One that has ended was left behind: its server has never closed the body.
        return None if found is None or found._end is not None else found

    @property
    def ident(self) -> int:
        """The identifier of the thread or greenlet in which the request began."""
        return self._ident

    @property
    def _place(self) -> Place:
        requests, route = self._recorder.requests, self._route
        assert requests is not None
        return requests.place(self._method, route_of(self._environ) if route is None else route)

    @property
    def family(self) -> str:
        """Method and route; nothing as long as the route may still be found."""
        if self._route is None and self._end is None and route_of(self._environ) is NO_ROUTE:
            return ""
        return self._place.family.name

    @property
    def title(self) -> str:
        """The route, unless the application has set another title."""
        title = self._more.title
        if title is not None:
            return title
        return self._place.title if self.family else known_method(self._method)

    @title.setter
    def title(self, title: str) -> None:
        self._own().title = name(title)

    @property
    def facts(self) -> dict[str, Any]:
        """What is known of the response, and what the application says of the request."""
        facts: dict[str, Any] = {"method": known_method(self._method)}
        if self._more.caller:
            facts["caller"] = self._more.caller
        if hasattr(self, "_first_at"):
            facts["firstByte"] = self._first_at - self._began
        if self._end is not None:
            code = self._status[:3] if isinstance(self._status, str) else "(none)"
            facts |= {"status": code, "received": self._read, "sent": self._sent}
        return facts | (self._more.facts or {})

    @facts.setter
    def facts(self, said: dict[str, Any]) -> None:
        self._own().facts = said

    def _moments(self) -> list[Event]:
        named = (("_matched_at", "matched"), ("_first_at", "first byte"), ("_end", "done"))
        found = [(getattr(self, at, None), text) for at, text in named]
        return [Event(when, LOG, text) for when, text in found if when is not None]

    @property
    def events(self) -> list[Event]:
        """The events that were kept, the request's own among them."""
        return sorted([*super().events, *self._moments()], key=lambda event: event.when)

    @property
    def gap(self) -> int:
        """How many of the events that were kept come before those that were dropped."""
        kept = super().events[: super().gap]
        return len(kept) + sum(each.when <= kept[-1].when for each in self._moments() if kept)
