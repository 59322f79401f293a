"""Known: all that a trace holds, and how it is told to those who look."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from . import w3c
from .event import CHILD, LINK, Event

MAX_EVENTS, FEWEST_EVENTS = 100, 6


class Home(Protocol):
    """What is asked of the family of a trace."""

    name: str
    lock: Any
    clock: Callable[[], float]


class More:
    """What only some traces have, so that the others need not set it one by one.

    :param most: how many events are kept.
    """

    __slots__ = (
        "above", "caller", "doomed", "dropped", "facts", "late", "most", "tail", "title", "tree",
        "w3c",
    )  # fmt: skip

    def __init__(self, most: int = MAX_EVENTS) -> None:
        self.most = most
        #: The newest events, once there are too many.
        self.tail: deque[Any] | None = None
        self.dropped = self.late = 0
        #: The trace that this is a child of: a weak reference and its id.
        self.above: Any = None
        #: How many traces are kept in the tree that this is a part of.
        self.tree: list[int] | None = None
        self.w3c: str | None = None
        self.facts: dict[str, Any] | None = None
        # Of requests alone.
        self.caller = ""
        self.title: str | None = None
        self.doomed = False


#: What all traces have that have nothing of it. Nobody may change it: see Known._own().
NOTHING = More()


class Known:
    """What is known of a trace, which may still be running.

    All may be asked from any thread.
    """

    # Tracer.start() sets them all. No __getattr__ for those that are seldom used: with one,
    # Python 3.11 reads every attribute ten times as slowly.
    __slots__ = (
        "__weakref__", "_before", "_began", "_end", "_error", "_events", "_family", "_more",
        "_number", "_room", "_wall", "title",
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
    _more: More
    # The current trace outside of this one's block, OUTSIDE if that is not being run.
    _before: Any

    def _own(self) -> More:
        """Return what may be changed of this trace alone."""
        more = self._more
        if more is NOTHING:
            with self._family.lock:  # two threads must not make two
                more = self._more
                if more is NOTHING:
                    self._more = more = More()
        return more

    @property
    def facts(self) -> dict[str, Any] | None:
        """What else is known of it: plain data, shown beside the events."""
        return self._more.facts

    @facts.setter
    def facts(self, facts: dict[str, Any] | None) -> None:
        self._own().facts = facts

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
        if self._more.tail is None:
            return list(self._events)
        return self._events[: self._more.most // 3] + list(self._settle())

    @property
    def dropped(self) -> int:
        """How many events between the first third and the rest were not kept."""
        return self._more.dropped

    @property
    def gap(self) -> int:
        """How many of the events that were kept come before those that were dropped."""
        return self._more.most // 3

    @property
    def began(self) -> float:
        """When it began, on the tracer's clock."""
        return self._began

    @property
    def late(self) -> int:
        """How many events came after the end."""
        return self._more.late

    @property
    def parent(self) -> str | None:
        """The id of the trace that this is a child of."""
        if self._more.above is None:
            return None
        above = self._above()
        # A request is filed under another family when its route is found.
        return str(self._more.above[1] if above is None else above.id)

    def others(self) -> Iterator[tuple[Event, Any]]:
        """Yield the events that refer to another trace, with it if it is still known."""
        with self._family.lock:
            kept = self._kept()
        for each in kept:
            if each[1] in (CHILD, LINK):
                other = each[3]
                yield _event(each), other if isinstance(other, Known) else other[0]()

    def texts(self) -> Iterator[str]:
        """Yield the texts of the events that were kept: a fifth of the time of :attr:`events`."""
        with self._family.lock:
            kept = [*self._events, *(self._more.tail or ())]
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
        if self._more.w3c is None:
            chain, above = [self], self._above()
            while above is not None and above._more.w3c is None:
                chain.append(above)
                above = above._above()
            found = w3c.new_id() if above is None else above._more.w3c
            for trace in reversed(chain):  # the topmost one first: two threads must agree
                with self._family.lock:
                    more = trace._own()
                    more.w3c = found = more.w3c or found
        return str(self._more.w3c)

    def _above(self) -> Any:
        above = self._more.above
        return above[0]() if above is not None else None

    def __repr__(self) -> str:
        state = "running" if self._end is None else f"{self.seconds:.6f} s"
        return f"<Trace {self.family!r} {self.title!r} {state}>"

    def _settle(self) -> deque[Any]:
        """Return the tail, with all in it that other threads have added to the list meanwhile."""
        more, events = self._own(), self._events
        third, most, tail = more.most // 3, more.most, more.tail
        if tail is None:
            more.tail = tail = deque(events[third:most], most - third)
            # The list stays as long as it is: by its length the next event comes here too.
            events[third:most] = [None] * (most - third)
        while len(events) > most:
            try:
                self._push(tail, events.pop(most))
            except IndexError:  # a signal handler has taken it
                break
        return tail

    def _overflow(self, event: Any) -> None:
        with self._family.lock:
            if self._end is not None:
                self._own().late += 1
                return
            tail = self._settle()
            self._push(tail, event)

    def _push(self, tail: deque[Any], event: Any) -> None:
        if len(tail) == tail.maxlen:
            self._own().dropped += 1
            self._let_go(tail[0])
        tail.append(event)

    def _let_go(self, event: Any) -> None:
        tree = self._more.tree
        if event[1] == CHILD and isinstance(event[3], Known) and tree is not None:
            tree[0] -= 1 + _kept_below(event[3])


def _kept_below(trace: Known) -> int:
    waiting, count = [trace], 0
    while waiting:
        found = waiting.pop()
        kept = (*found._events, *(found._more.tail or ()))
        below = [each[3] for each in kept if each is not None and each[1] == CHILD]
        waiting += [each for each in below if isinstance(each, Known)]
        count += 1
    return count - 1


def _event(kept: Any) -> Event:
    when, kind, text, *rest = kept
    detail = rest[0] if rest else ""
    if isinstance(detail, Known):
        return Event(when, kind, text, other=detail.id)
    if isinstance(detail, tuple):
        return Event(when, kind, text, other=detail[1])
    return Event(when, kind, text, detail)
