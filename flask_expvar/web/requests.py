"""Requests: the traces of requests, and the notes from which a dead worker's are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..traces import w3c
from ..traces.family import Family
from ..traces.trace import LOG, Trace, current
from ..traces.tracer import Tracer, name
from .routes import METHODS, route_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: So many pairs of method and route are remembered.
MOST_PLACES = 5000


class Notes(Protocol):
    """What is noted of requests in flight, for the case that the worker dies."""

    def begin(self, began_ns: int, number: int, key: int) -> int:
        """Note that a request has begun; return the note's number, -1 if there is no room."""

    def name(self, note: int, text: bytes) -> None:
        """Note what is known of it."""

    def end(self, note: int) -> None:
        """Take the note back."""

    def keep(self, note: int) -> None:
        """Leave the note: the worker is about to end with it, most likely."""


class Place(NamedTuple):
    """Where the requests of one method and route are filed."""

    family: Family
    title: str
    note: bytes


class Requests:
    """Begins the traces of one middleware's requests.

    :param clock: the middleware's; it times both.
    """

    def __init__(self, tracer: Tracer, clock: Callable[[], float]) -> None:
        self.tracer = tracer
        self.clock = clock
        #: What the notes of this registry are known by.
        self.key = 0
        self.notes: Notes | None = None
        self._places: dict[tuple[Any, Any], Place] = {}

    def begin(self, environ: WSGIEnvironment, method: Any, began: float) -> RequestTrace:
        """Begin the trace of a request, and make it the current one. Never raises."""
        tracer = self.tracer
        trace = RequestTrace.__new__(RequestTrace)
        tracer.begin(trace, tracer.unnamed, "", began)
        trace._requests = self
        trace._environ = environ
        trace._method = method
        trace._route = None
        trace._doomed = False
        trace._first_at = began
        header = environ.get("HTTP_TRACEPARENT")
        if header:
            found = w3c.parse_parent(str(header))
            if found is not None:
                trace._w3c, caller = found
                trace.facts = {"caller": caller}
        before = current.get()
        # One that has ended was left behind: its server has never closed the body.
        trace._before = before if before is not None and before._end is None else None
        current.set(trace)
        notes = trace._notes = self.notes
        if notes is not None:
            trace._note = notes.begin(trace._wall, trace._number, self.key)
        return trace

    def place(self, method: Any, route: Any) -> Place:
        """Return where requests of *method* and *route* are filed."""
        try:
            found = self._places.get((method, route))
            if found is not None:
                return found
        except TypeError:  # an application may call its route anything
            route = name(route)
        title = name(route)
        verb = method if method in METHODS else "unknown"
        filed = f"{verb} {title}"
        found = Place(self.tracer.family(filed), title, filed.encode("utf-8", "replace"))
        if len(self._places) < MOST_PLACES:
            self._places[method, route] = found
        return found


class RequestTrace(Trace):
    """The trace of one request. Nothing of it that came from the client is kept but the method."""

    __slots__ = (
        "_caller",
        "_doomed",
        "_environ",
        "_first_at",
        "_method",
        "_note",
        "_notes",
        "_requests",
        "_route",
    )

    _requests: Requests
    _environ: WSGIEnvironment | None
    _method: Any
    _route: Any
    _notes: Notes | None
    _note: int
    _doomed: bool
    _first_at: float

    def match(self) -> None:
        """Note that the application has found the route."""
        if self._environ is not None:
            self._add(self._requests.clock(), "matched")
            self.file(route_of(self._environ))

    def forget_environ(self) -> None:
        """Let go of the environ: it holds the body, which may be waiting to be collected."""
        self._environ = None

    def file(self, route: Any) -> None:
        """Move to the family of *route*."""
        if route is self._route:
            return
        self._route = route
        place = self._requests.place(self._method, route)
        if place.family is not self._family:
            self._family.move(self, place.family)
        self.title = place.title
        if self._notes is not None:
            self._notes.name(self._note, place.note)

    def fail(self, error: BaseException) -> None:
        """Note an exception that the application raised."""
        self.error(error)
        self._doomed = not isinstance(error, (Exception, GeneratorExit))

    def first(self, when: float, route: Any) -> None:
        """Note the first byte of the response."""
        self.file(route)
        self._first_at = when
        self._add(when, "first byte")

    def _add(self, when: float, text: str) -> None:
        event = (when, LOG, text)
        if len(self._events) < self._room:
            self._events.append(event)
        else:
            self._overflow(event)

    def done(self, when: float, status: Any, received: int, sent: int) -> None:
        """End with the response; one whose status is 500 or more has failed."""
        self._add(when, "done")
        code = status[:3] if isinstance(status, str) else "(none)"
        if self._error is None and "500" <= code <= "599":
            self._error = f"HTTP {code}"
        said, self.facts = (
            self.facts,
            {
                "method": self._method if self._method in METHODS else "unknown",
                "status": code,
                "firstByte": self._first_at - self._began,
                "received": received,
                "sent": sent,
            },
        )
        if said:
            self.facts |= said
        self._family.finish(self, when)
        self._leave()

    def withdraw(self) -> None:
        """Be forgotten: this request is not to be seen."""
        self._family.discard(self)
        self._leave()

    def _leave(self) -> None:
        if current.get() is self:
            current.set(self._before)
        self._before = None
        self._environ = None
        if self._notes is None:
            return
        # Whoever asks a worker to go raises through what it is doing: SystemExit, GreenletExit.
        if self._doomed:
            self._notes.keep(self._note)
        else:
            self._notes.end(self._note)
