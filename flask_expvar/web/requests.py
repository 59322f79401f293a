"""Requests: the traces of requests, and the notes from which a dead worker's are known."""

from __future__ import annotations

import _thread
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..traces import w3c
from ..traces.event import LOG, Event
from ..traces.family import Family
from ..traces.trace import MAX_EVENTS, Trace, current
from ..traces.tracer import Tracer, name
from .routes import METHODS, NO_ROUTE, route_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: So many pairs of method and route are remembered.
MOST_PLACES = 5000
#: So many requests are filed at once.
BATCH = 64
#: What stands for a method that is none.
UNKNOWN = "unknown"
#: What is noted of a request before its route is known.
_NOTED = {method: method.encode() for method in (*METHODS, UNKNOWN)}
_KNOWN = {method: method for method in METHODS}

#: What was the current trace where a request's was entered, and the same of those around.
_entered: ContextVar[tuple[Trace | None, Any] | None] = ContextVar(
    "flask_expvar.entered", default=None
)


class Notes(Protocol):
    """What is noted of requests in flight, for the case that the worker dies."""

    def begin(self, began_ns: int, number: int, key: int, text: bytes, /) -> int:
        """Note that a request has begun; return the note's number, -1 if there is no room."""

    def name(self, note: int, text: bytes, /) -> None:
        """Note what is known of it."""

    def end(self, note: int, /) -> None:
        """Take the note back."""

    def keep(self, note: int, /) -> None:
        """Leave the note: the worker is about to end with it, most likely."""


class Place(NamedTuple):
    """Where the requests of one method and route are filed."""

    family: Family
    title: str
    note: bytes


class Requests:
    """Begins and keeps the traces of one middleware's requests.

    On a request's way only what cannot wait is done. Those that have ended are filed by the
    batch, or when somebody looks: what is done often in a row is done four times as fast.

    :param clock: the middleware's; it times both.
    """

    def __init__(self, tracer: Tracer, clock: Callable[[], float]) -> None:
        self.tracer = tracer
        self.clock = clock
        #: What the notes of this registry are known by.
        self.key = 0
        self.notes: Notes | None = None
        self.running: dict[int, RequestTrace] = {}
        self.ended: deque[RequestTrace] = deque()
        #: What :meth:`place` has returned: one call less for whoever looks here first.
        self.places: dict[tuple[str, Any], Place] = {}
        tracer.sources.append(self)

    def begin(self, environ: WSGIEnvironment, method: str, began: float) -> RequestTrace:
        """Begin the trace of a request, and make it the current one. Never raises."""
        trace = RequestTrace()
        trace._requests = self
        trace._environ = environ
        # Asked each time by the module: gevent puts a function there that knows greenlets.
        trace._ident = _thread.get_ident()
        # A scanner's may be long, and each another.
        trace._method = method = _KNOWN.get(method, UNKNOWN)
        tracer = self.tracer
        trace._family = tracer.unnamed
        trace._number = number = tracer.next_number()
        trace._wall = tracer.wall()
        trace._began = began
        trace._events = []
        trace._max = trace._room = MAX_EVENTS
        trace._dropped = trace._late = 0
        trace._end = trace._error = trace._parent = trace._tail = trace._tree = trace._w3c = None
        trace._route = trace._doomed = None
        self.running[number] = trace
        if "HTTP_TRACEPARENT" in environ:
            trace.follow(environ["HTTP_TRACEPARENT"])
        before = current.get()
        # One that has ended was left behind: its server has never closed the body.
        trace._before = before if before is None or before._end is None else None
        current.set(trace)
        notes = trace._notes = self.notes
        if notes is not None:
            trace._note = notes.begin(trace._wall, number, self.key, _NOTED[method])
        return trace

    def place(self, method: str, route: Any) -> Place:
        """Return where requests of *method* and *route* are filed. Never raises."""
        try:
            found = self.places.get((method, route))
            if found is not None:
                return found
        except Exception:  # an application may call its route anything
            route = name(route)
        title = name(route)
        filed = f"{method} {title}"
        found = Place(self.tracer.family(filed), title, filed.encode("utf-8", "replace"))
        if len(self.places) < MOST_PLACES:
            self.places[method, route] = found
        return found

    def settle(self) -> None:
        """File the traces of all requests that have ended."""
        ended = self.ended
        while ended:
            try:
                trace = ended.popleft()
            except IndexError:  # another thread was quicker
                return
            trace.settle()

    def forget(self) -> None:
        """Begin anew in a forked child: what was running is its parent's."""
        self.running = {}
        self.ended = deque()


class RequestTrace(Trace):
    """The trace of one request. Of what came from the client only a method that is one is kept.

    When the route was found, the response began and ended is kept as numbers, and what is known
    of the response as it came: events and facts are made of them when somebody looks.
    """

    __slots__ = (
        "_caller", "_done_at", "_doomed", "_environ", "_first_at", "_ident", "_matched_at",
        "_method", "_note", "_notes", "_received", "_requests", "_route", "_said", "_sent",
        "_status", "_title",
    )  # fmt: skip

    _requests: Requests
    _environ: WSGIEnvironment | None
    _ident: int
    _method: str
    _route: Any
    _notes: Notes | None
    _note: int
    _caller: str
    _doomed: bool | None
    _matched_at: float
    _first_at: float
    _done_at: float
    _status: Any
    _received: int
    _sent: int
    _said: dict[str, Any]
    _title: str

    # What happens on the way of the request

    def follow(self, header: Any) -> None:
        """Take part in the trace of the program that has sent *header*, a ``traceparent``."""
        found = w3c.parse_parent(header) if isinstance(header, str) else None
        if found is not None:
            self._w3c, self._caller = found

    def match(self, route: Any) -> None:
        """Note which route the application has found."""
        requests, notes = self._requests, self._notes
        if route is not NO_ROUTE:
            self._matched_at = requests.clock()
        self._route = route
        if notes is not None:
            try:
                place = requests.places[self._method, route]
            except Exception:  # a new one, or no text
                place = requests.place(self._method, route)
            notes.name(self._note, place.note)

    def fail(self, error: BaseException) -> None:
        """Note an exception that the application raised."""
        self.error(error)
        self._doomed = not isinstance(error, (Exception, GeneratorExit))

    def done(self, when: float, status: Any, received: int, sent: int) -> None:
        """End with the response."""
        self._status = status
        self._received = received
        self._sent = sent
        self._done_at = self._end = when  # now others look at the rest
        self._room = 0
        requests = self._requests
        # Not there: this process was forked meanwhile, and the request is its parent's.
        if requests.running.pop(self._number, None) is not None:
            ended = requests.ended
            ended.append(self)
            if len(ended) >= BATCH:
                requests.settle()
        # as _leave does, without the call
        now = current.get()
        if now is self or self._within():
            current.set(self._before)
        self._before = self._environ = None
        notes = self._notes
        if notes is not None:
            if self._doomed:
                notes.keep(self._note)
            else:
                notes.end(self._note)

    def withdraw(self) -> None:
        """Be forgotten: this request is not to be seen."""
        self._requests.running.pop(self._number, None)
        self._end = self._began
        self._room = 0
        self._leave()

    def _leave(self) -> None:
        # What was begun inside and never left, such as a generator's, is current no more.
        if self._within():
            current.set(self._before)
        self._before = self._environ = None
        if self._notes is not None:
            self._release(self._notes)

    def _release(self, notes: Notes) -> None:
        # Whoever asks a worker to go raises through what it is doing: SystemExit, GreenletExit.
        if self._doomed:
            notes.keep(self._note)
        else:
            notes.end(self._note)

    # What can wait

    def settle(self) -> None:
        """Be kept among those of the route; one whose status is 500 or more has failed."""
        status = self._status
        # The first question is all that most answer.
        if type(status) is str and status >= "5" and self._error is None and status[:3] <= "599":
            self._error = f"HTTP {status[:3]}"
        try:
            place = self._requests.places[self._method, self._route]
        except Exception:  # a new one, or no text
            place = self._place
        self._family = family = place.family
        family.keep(self, self._done_at)

    def finish(self) -> None:
        """Do nothing: the trace of a request ends with its response."""

    def __enter__(self) -> RequestTrace:
        # Not as other traces do: what was current before the request is still needed at its end.
        _entered.set((current.get(), _entered.get()))
        current.set(self)
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
    def ident(self) -> int:
        """The identifier of the thread or greenlet in which the request began."""
        return self._ident

    @property
    def _place(self) -> Place:
        route = self._route
        if route is None:
            environ = self._environ  # it may go meanwhile
            route = NO_ROUTE if environ is None else route_of(environ)
        return self._requests.place(self._method, route)

    @property
    def family(self) -> str:
        """Method and route; nothing as long as the route may still be found."""
        if self._route is None and self._end is None:
            environ = self._environ
            if environ is None or route_of(environ) is NO_ROUTE:
                return ""
        return self._place.family.name

    @property
    def title(self) -> str:
        """The route, unless the application has set another title."""
        if hasattr(self, "_title"):
            return self._title
        return self._place.title if self.family else self._method

    @title.setter
    def title(self, title: str) -> None:
        self._title = name(title)

    @property
    def facts(self) -> dict[str, Any]:
        """What is known of the response, and what the application says of the request."""
        facts: dict[str, Any] = {"method": self._method}
        if hasattr(self, "_caller"):
            facts["caller"] = self._caller
        if hasattr(self, "_first_at"):
            facts["firstByte"] = self._first_at - self._began
        if hasattr(self, "_done_at"):
            code = self._status[:3] if isinstance(self._status, str) else "(none)"
            facts |= {"status": code, "received": self._received, "sent": self._sent}
        return facts | (self._said if hasattr(self, "_said") else {})

    @facts.setter
    def facts(self, said: dict[str, Any]) -> None:
        self._said = said

    def _moments(self) -> list[Event]:
        named = (("_matched_at", "matched"), ("_first_at", "first byte"), ("_done_at", "done"))
        return [Event(getattr(self, at), LOG, text) for at, text in named if hasattr(self, at)]

    @property
    def events(self) -> list[Event]:
        """The events that were kept, the request's own among them."""
        return sorted([*super().events, *self._moments()], key=lambda event: event.when)

    @property
    def gap(self) -> int:
        """How many of the events that were kept come before those that were dropped."""
        kept = super().events[: super().gap]
        return len(kept) + sum(each.when <= kept[-1].when for each in self._moments() if kept)
