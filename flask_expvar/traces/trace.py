"""Trace: what happened in one piece of work, when, and with what end."""

from __future__ import annotations

import _thread
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Protocol, TypeVar

from .event import CHILD, ERROR, EXCEPTION, LINK, LOG
from .known import FEWEST_EVENTS as FEWEST_EVENTS
from .known import MAX_EVENTS as MAX_EVENTS
from .known import Home, Known
from .nothing import NO_TRACE, NoTrace
from .texts import LONGEST, is_error, kind_of, message, place, text_of
from .wrapping import fail, wrapped

F = TypeVar("F", bound=Callable[..., Any])

#: So many traces below one are kept as long as it is; more are, while their own family keeps them.
KEPT_BELOW = 100

#: See :meth:`Trace.__enter__`.
OUTSIDE: Any = object()

#: The current trace; of a request a weak reference: what has lost its response must not live on
#: because it was the last in its thread.
current: ContextVar[Trace | weakref.ref[Any] | None] = ContextVar(
    "flask_expvar.trace", default=None
)


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

    def finished(self, trace: Trace) -> None:
        """Tell of a trace that has finished."""

    def guests(self) -> dict[str, list[Trace]]:
        """Return what is running elsewhere, by family."""

    def here(self, family: str, title: str, max_events: int | None) -> Trace:
        """Begin another trace, as a child of the current one if there is one."""


class Keeper(Home, Protocol):
    """What a trace needs of its family."""

    _running: dict[int, Trace]

    @property
    def tracer(self) -> Starter:
        """Where other traces are begun."""

    def keep(self, trace: Trace, end: float) -> None:
        """Keep *trace*, which is done."""

    def discard(self, trace: Trace) -> None:
        """Forget *trace*."""


class Trace(Known):
    """A piece of work that is going on, or was; made by :func:`~flask_expvar.trace`.

    As a context manager it is the current trace of what happens inside, and finishes at the
    end, with an error if an exception goes through. As a decorator each call of the function is
    a trace of its own. Of many events the first third and the newest two thirds are kept, and
    the others are counted in :attr:`dropped`.

    All methods are safe to call from any thread, greenlet or task, and none of them raises.
    """

    __slots__ = ()

    _family: Keeper

    # What happened

    def log(self, fmt: str, *args: object) -> None:
        """Add an event; *args* are put into *fmt* as ``%`` does, if there are any."""
        if args or type(fmt) is not str or len(fmt) > LONGEST:
            fmt = text_of(fmt, args)
        clock = self._family.clock  # Python 3.11 is slow to call an attribute that is no method
        events = self._events
        if len(events) < self._room:
            events.append((clock(), LOG, fmt))
        else:
            self._overflow((clock(), LOG, fmt))

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

    def child(self, family: str, title: str) -> Trace:
        """Begin a trace below this one."""
        return self._family.tracer.start(family, title, parent=self)

    def _adopt(self, child: Trace) -> None:
        """Make *child*, which is about to begin, a child of this one."""
        below = child._own()
        below.above = (weakref.ref(self), self.id)
        with self._family.lock:  # many threads may have the same tree
            more = self._own()
            if self._end is not None:
                more.late += 1
                return
            if more.tree is None:
                more.tree = [0]
            below.tree = tree = more.tree
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
            clock = family.clock
            self._end = end = clock()
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
        before = None if self._before is OUTSIDE else self._before
        return before() if type(before) is weakref.ref else before

    def _within(self) -> bool:
        """Whether the current trace was entered in this one's block, and has been left behind.

        Generators leave blocks in any order: one that has been left already changes nothing.
        """
        now = innermost()
        for _ in range(100):  # bounded, as blocks entered twice can make a circle
            if now is None or now is self:
                break
            now = now.outer
        return now is self

    def __call__(self, func: F) -> F:
        """Return *func* so that each call is a trace of its own, as a child of the current one.

        Of a generator the trace lasts until it ends.
        """
        begin, family, title, most = (
            self._family.tracer.here,
            self.family,
            self.title,
            self._more.most,
        )
        self._family.discard(self)
        made: F = wrapped(func, lambda: begin(family, title, most))
        return made


def current_trace() -> Trace | NoTrace:
    """Return the trace that this code runs in; outside of one, an object that does nothing.

    Threads do not inherit it by themselves: hand it over with
    ``pool.submit(contextvars.copy_context().run, work)``.
    """
    return innermost() or NO_TRACE


def innermost() -> Trace | None:
    """Return the current trace, None outside of one."""
    found: Any = current.get()
    if type(found) is weakref.ref:
        found = found()
        # Left behind in its own thread: it has ended in another one, or not in turn.
        if found is not None and found._end is not None and found._ident == _thread.get_ident():
            return None  # and no more: a finalizer that asks must not change what is current
    trace: Trace | None = found
    return trace
