"""Trace: what happened in one piece of work, when, and with what end."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from types import TracebackType
from typing import Any, NamedTuple, Protocol, TypeVar

from . import w3c
from .texts import LONGEST, is_error, kind_of, message, place, text_of
from .wrapping import fail, wrapped

F = TypeVar("F", bound=Callable[..., Any])

#: Kinds of events. A record is a line of the program's log.
LOG, ERROR, EXCEPTION, RECORD, CHILD, LINK = "log", "error", "exception", "record", "child", "link"
MAX_EVENTS, FEWEST_EVENTS = 100, 6
#: So many traces below one are kept as long as it is; more are, while their own family keeps them.
KEPT_BELOW = 100

#: See :meth:`Trace.__enter__`.
OUTSIDE: Any = object()

current: ContextVar[Trace | None] = ContextVar("flask_expvar.trace", default=None)


class Event(NamedTuple):
    """One thing that happened.

    :param when: on the tracer's clock, in seconds.
    :param kind: ``log``, ``error``, ``exception``, ``record``, ``child`` or ``link``.
    :param detail: an exception's message, which may be sensitive.
    :param other: the id of the child, or of what the link leads to.
    """

    when: float
    kind: str
    text: str
    detail: str = ""
    other: str = ""


class Starter(Protocol):
    """What a trace needs of its tracer."""

    def start(
        self,
        family: str,
        title: str,
        parent: Trace | None = None,
        max_events: int | None = None,
    ) -> Trace:
        """Begin another trace."""

    def settle(self) -> None:
        """File what has ended elsewhere."""

    def guests(self, family: str) -> Sequence[Trace]:
        """Return what is running elsewhere of a family."""

    def here(self, family: str, title: str, max_events: int | None) -> Trace:
        """Begin another trace, as a child of the current one if there is one."""


class Home(Protocol):
    """What a trace needs of its family."""

    name: str
    lock: Any
    _running: dict[int, Trace]
    clock: Callable[[], float]

    @property
    def tracer(self) -> Starter:
        """Where other traces are begun."""

    def keep(self, trace: Trace, end: float) -> None:
        """Keep *trace*, which is done."""

    def discard(self, trace: Trace) -> None:
        """Forget *trace*."""


class Trace:
    """A piece of work that is going on, or was; made by :func:`~flask_expvar.trace`.

    As a context manager it is the current trace of what happens inside, and finishes at the
    end, with an error if an exception goes through. As a decorator each call of the function is
    a trace of its own. Of many events the first third and the newest two thirds are kept, and
    the others are counted in :attr:`dropped`.

    All methods are safe to call from any thread, greenlet or task, and none of them raises.
    """

    # Tracer.start() sets them all. No __getattr__ for those that are seldom used: with one,
    # Python 3.11 reads every attribute ten times as slowly.
    __slots__ = (
        "__weakref__",
        "_before",
        "_began",
        "_dropped",
        "_end",
        "_error",
        "_events",
        "_family",
        "_late",
        "_max",
        "_number",
        "_parent",
        "_room",
        "_tail",
        "_tree",
        "_w3c",
        "_wall",
        "facts",
        "title",
    )  # fmt: skip

    _family: Home
    #: What this one is about; may be changed while the trace is running.
    title: str
    _began: float
    _number: int
    _wall: int
    _end: float | None
    _error: str | None
    # Tuples like Event's, which would cost three times as much to make.
    _events: list[Any]
    # Whether one more fits is the only question on the way of an event: none does after the end.
    _room: int
    _max: int
    _tail: deque[Any] | None
    _dropped: int
    _late: int
    _parent: Any
    _tree: list[int] | None
    # The current trace outside of this one's block, OUTSIDE if that is not being run.
    _before: Any
    _w3c: Any
    #: What else is known of it: plain data, shown beside the events.
    facts: dict[str, Any] | None

    # What happened

    def log(self, fmt: str, *args: object) -> None:
        """Add an event; *args* are put into *fmt* as ``%`` does, if there are any."""
        if args or type(fmt) is not str or len(fmt) > LONGEST:
            fmt = text_of(fmt, args)
        events = self._events
        if len(events) < self._room:
            events.append((self._family.clock(), LOG, fmt))
        else:
            self._overflow((self._family.clock(), LOG, fmt))

    def error(self, fmt: str | BaseException, *args: object) -> None:
        """Add an event, and mark the trace as failed; *fmt* may be the exception itself.

        Of an exception its class and place are kept, and the beginning of its message, which is
        shown only to those who may see what is sensitive.
        """
        if is_error(fmt):
            self.mark(kind_of(fmt))
            self.add(EXCEPTION, place(fmt), message(fmt))
        else:
            self.mark("error")
            self.add(ERROR, text_of(fmt, args))

    def mark(self, error: str) -> None:
        """Mark the trace as failed; the first *error* names the sort of failure."""
        if self._error is None and self._end is None:
            self._error = error

    def add(self, kind: str, text: str, detail: Any = "") -> None:
        """Add an event of any kind."""
        event = (self._family.clock(), kind, text, detail)
        if len(self._events) < self._room:
            self._events.append(event)
        else:
            self._overflow(event)

    def _overflow(self, event: Any) -> None:
        with self._family.lock:
            if self._end is not None:
                self._late += 1
                return
            tail = self._settle()
            self._push(tail, event)

    def _settle(self) -> deque[Any]:
        """Return the tail, with all in it that other threads have added to the list meanwhile."""
        third, most, events = self._max // 3, self._max, self._events
        tail = self._tail
        if tail is None:
            self._tail = tail = deque(events[third:most], most - third)
            # The list stays as long as it is: by its length the next event comes here too.
            events[third:most] = [None] * (most - third)
        while len(events) > most:
            try:
                self._push(tail, events.pop(most))
            except IndexError:  # a signal handler has taken it
                break
        return tail

    def _push(self, tail: deque[Any], event: Any) -> None:
        if len(tail) == tail.maxlen:
            self._dropped += 1
            self._let_go(tail[0])
        tail.append(event)

    def _let_go(self, event: Any) -> None:
        if event[1] == CHILD and isinstance(event[3], Trace) and self._tree is not None:
            self._tree[0] -= 1 + _kept_below(event[3])

    def child(self, family: str, title: str) -> Trace:
        """Begin a trace below this one."""
        return self._family.tracer.start(family, title, parent=self)

    def _adopt(self, child: Trace) -> None:
        """Make *child*, which is about to begin, a child of this one."""
        child._parent = (weakref.ref(self), self.id)
        with self._family.lock:  # many threads may have the same tree
            if self._end is not None:
                self._late += 1
                return
            if self._tree is None:
                self._tree = [0]
            child._tree = tree = self._tree
            tree[0] += 1
            # Weak beyond a number: a chain of children must not keep what the rings have let go.
            kept: Any = child if tree[0] <= KEPT_BELOW else (weakref.ref(child), child.id)
            self.add(CHILD, "", kept)

    def link(self, other: Trace | NoTrace, msg: str = "") -> None:
        """Refer to another trace, with a message."""
        if issubclass(type(other), Trace):  # isinstance() asks, and a proxy may raise
            self.add(LINK, text_of(msg, ()), (weakref.ref(other), other.id))

    # Its end

    def finish(self) -> None:
        """End the trace; ending it again is fine. Later events are dropped, and counted."""
        family = self._family
        # Who takes it out of the running ones does the rest: one step, where a lock would cost
        # as much as all of this.
        if family._running.pop(self._number, None) is not None:
            self._end = end = family.clock()
            self._room = 0
            family.keep(self, end)

    def __enter__(self) -> Trace:
        if self._before is OUTSIDE:
            self._before = current.get()
        current.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Set, not reset: a token is refused in another context, where a generator may end.
        if current.get() is self or self._within():
            current.set(None if self._before is OUTSIDE else self._before)
        self._before = OUTSIDE
        if error is not None:
            fail(self, error)
        self.finish()

    @property
    def outer(self) -> Trace | None:
        """The trace that was the current one outside of this one's block, while that is run."""
        before: Trace | None = None if self._before is OUTSIDE else self._before
        return before

    def _within(self) -> bool:
        """Whether the current trace was entered in this one's block, and has been left behind.

        Generators leave blocks in any order: one that has been left already changes nothing.
        """
        now = current.get()
        for _ in range(100):  # bounded, as blocks entered twice can make a circle
            if now is None or now is self:
                break
            now = now.outer
        return now is self

    def __call__(self, func: F) -> F:
        """Return *func* so that each call is a trace of its own, as a child of the current one.

        Of a generator the trace lasts until it ends.
        """
        begin, family, title, most = self._family.tracer.here, self.family, self.title, self._max
        self._family.discard(self)
        made: F = wrapped(func, lambda: begin(family, title, most))
        return made

    # What is known of it

    @property
    def family(self) -> str:
        """The sort of work."""
        return self._family.name

    @property
    def id(self) -> str:
        """``family!start in ns!64 random bits``, which no other trace in any worker has."""
        return f"{self.family}!{self._wall}!{self._number:016x}"

    @property
    def seconds(self) -> float:
        """How long it took, or has taken so far."""
        end = self._family.clock() if self._end is None else self._end
        return max(end - self._began, 0.0)  # a clock may have gone back

    @property
    def running(self) -> bool:
        """Whether it has not finished yet."""
        return self._end is None

    @property
    def failed(self) -> str | None:
        """The sort of failure: the class of the exception, ``error``; None if all is well."""
        return self._error

    @property
    def started(self) -> float:
        """When it began, in seconds since the epoch."""
        return self._wall / 1e9

    @property
    def events(self) -> list[Event]:
        """The events that were kept, in the order in which they happened."""
        with self._family.lock:
            kept = self._kept()
        return [_event(each) for each in kept]

    def _kept(self) -> list[Any]:
        if self._tail is None:
            return list(self._events)
        return self._events[: self._max // 3] + list(self._settle())

    @property
    def dropped(self) -> int:
        """How many events between the first third and the rest were not kept."""
        return self._dropped

    @property
    def gap(self) -> int:
        """How many of the events that were kept come before those that were dropped."""
        return self._max // 3

    @property
    def began(self) -> float:
        """When it began, on the tracer's clock."""
        return self._began

    @property
    def late(self) -> int:
        """How many events came after the end."""
        return self._late

    @property
    def parent(self) -> str | None:
        """The id of the trace that this is a child of."""
        if self._parent is None:
            return None
        above = self._above()
        # A request is filed under another family when its route is found.
        return str(self._parent[1] if above is None else above.id)

    def others(self) -> Iterator[tuple[Event, Trace | None]]:
        """Yield the events that refer to another trace, with it if it is still known."""
        with self._family.lock:
            kept = self._kept()
        for each in kept:
            if each[1] in (CHILD, LINK):
                other = each[3]
                yield _event(each), other if isinstance(other, Trace) else other[0]()

    def texts(self) -> Iterator[str]:
        """Yield the texts of the events that were kept: a fifth of the time of :attr:`events`."""
        with self._family.lock:
            kept = [*self._events, *(self._tail or ())]
        for each in kept:
            if each is not None:
                yield each[2]

    # To other programs: https://www.w3.org/TR/trace-context/

    @property
    def traceparent(self) -> str:
        """The header ``traceparent`` to send on, so that another program's trace joins this one.

        Its trace id is the one that came with the request, if one did.
        """
        return w3c.format_parent(self.w3c_id, self._number)

    @property
    def w3c_id(self) -> str:
        """32 hexadecimal digits that are the same all along the way of a request."""
        if self._w3c is None:
            chain, above = [self], self._above()
            while above is not None and above._w3c is None:
                chain.append(above)
                above = above._above()
            found = w3c.new_id() if above is None else above._w3c
            for trace in reversed(chain):  # the topmost one first: two threads must agree
                with self._family.lock:
                    trace._w3c = found = trace._w3c or found
        return str(self._w3c)

    def _above(self) -> Trace | None:
        above: Trace | None = self._parent[0]() if self._parent is not None else None
        return above

    def __repr__(self) -> str:
        state = "running" if self._end is None else f"{self.seconds:.6f} s"
        return f"<Trace {self.family!r} {self.title!r} {state}>"


class NoTrace:
    """What :func:`~flask_expvar.current_trace` gives outside of a trace; false, does nothing."""

    __slots__ = ()

    id = family = title = traceparent = w3c_id = ""
    parent = failed = None
    running = False
    seconds = started = 0.0
    dropped = late = 0
    events: tuple[Event, ...] = ()

    def __bool__(self) -> bool:
        return False

    def log(self, fmt: str, *args: object) -> None:
        """Do nothing."""

    def error(self, fmt: str | BaseException, *args: object) -> None:
        """Do nothing."""

    def link(self, other: Trace | NoTrace, msg: str = "") -> None:
        """Do nothing."""

    def child(self, family: str, title: str) -> NoTrace:
        """Return an object that does nothing either."""
        return self

    def finish(self) -> None:
        """Do nothing."""

    def __enter__(self) -> NoTrace:
        return self

    def __exit__(self, *error: object) -> None:
        """Do nothing."""

    def __call__(self, func: F) -> F:
        return func

    def __repr__(self) -> str:
        return "<NoTrace>"


NO_TRACE = NoTrace()


def current_trace() -> Trace | NoTrace:
    """Return the trace that this code runs in; outside of one, an object that does nothing.

    Threads do not inherit it by themselves: hand it over with
    ``pool.submit(contextvars.copy_context().run, work)``.
    """
    return current.get() or NO_TRACE


def _kept_below(trace: Trace) -> int:
    waiting, count = [trace], 0
    while waiting:
        found = waiting.pop()
        kept = (*found._events, *(found._tail or ()))
        below = [each[3] for each in kept if each is not None and each[1] == CHILD]
        waiting += [each for each in below if isinstance(each, Trace)]
        count += 1
    return count - 1


def _event(kept: Any) -> Event:
    when, kind, text, *rest = kept
    detail = rest[0] if rest else ""
    if isinstance(detail, Trace):
        return Event(when, kind, text, other=detail.id)
    if isinstance(detail, tuple):
        return Event(when, kind, text, other=detail[1])
    return Event(when, kind, text, detail)
