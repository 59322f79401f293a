"""EventLog: what happened to one long-lived object, and where it was made."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from .event import ERROR, EXCEPTION, LOG
from .texts import LONGEST, message, place, text_of

#: So many entries of a log are kept, as x/net/trace does.
KEPT = 100
MAX_FRAMES = 32


class Frame(NamedTuple):
    """A place in the code, as a traceback names it."""

    file: str
    line: int
    function: str


class Entry(NamedTuple):
    """One thing that happened.

    :param when: in seconds since the epoch.
    :param kind: ``log``, ``error`` or ``exception``.
    :param detail: an exception's message, which may be sensitive.
    """

    when: float
    kind: str
    text: str
    detail: str = ""


class Store(Protocol):
    """What a log needs of all logs of a registry."""

    lock: Any
    clock: Callable[[], float]

    def epoch(self) -> float:
        """Return the time of day at which the clock was zero."""


class Home(Protocol):
    """What a log needs of its family."""

    name: str

    @property
    def home(self) -> Store:
        """Where its family is."""

    def close(self, log: EventLog) -> None:
        """Forget *log*."""


class EventLog:
    """What happens to a long-lived object; made by :func:`~flask_expvar.event_log`.

    The newest 100 entries are kept, and the others are counted in :attr:`dropped`. It is shown
    until it is closed; as a context manager it closes at the end.

    All methods are safe to call from any thread, greenlet or task, and none of them raises.
    """

    __slots__ = (
        "__weakref__", "_began", "_closed", "_count", "_entries", "_errors", "_failed", "_family",
        "_late", "_number", "stack", "title",
    )  # fmt: skip

    def __init__(self, family: Home, title: str, number: int) -> None:
        self._family = family
        self._number = number
        #: What the object is; may be changed while the log is open.
        self.title = title
        #: Where the log was made, the innermost place first.
        self.stack = _stack()
        self._began = family.home.clock()
        # Tuples, the time on the clock: an Entry would cost three times as much to make.
        self._entries: deque[tuple[float, str, str, str]] = deque(maxlen=KEPT)
        self._count = self._errors = self._late = 0
        self._failed: float | None = None
        self._closed = False

    def log(self, fmt: str, *args: object) -> None:
        """Add an entry; *args* are put into *fmt* as ``%`` does, if there are any."""
        if args or type(fmt) is not str or len(fmt) > LONGEST:
            fmt = text_of(fmt, args)
        self._add(LOG, fmt)

    def error(self, fmt: str | BaseException, *args: object) -> None:
        """Add an entry that counts as an error; *fmt* may be the exception itself.

        Of an exception its class and place are kept, and the beginning of its message, which is
        shown only to those who may see what is sensitive.
        """
        if isinstance(fmt, BaseException):
            self._add(EXCEPTION, place(fmt), message(fmt))
        else:
            self._add(ERROR, text_of(fmt, args))

    def _add(self, kind: str, text: str, detail: str = "") -> None:
        home = self._family.home
        with home.lock:
            if self._closed:
                self._late += 1
                return
            now = home.clock()
            self._entries.append((now, kind, text, detail))
            self._count += 1
            if kind != LOG:
                self._errors += 1
                self._failed = now

    def close(self) -> None:
        """Take the log off the pages; closing again is fine. Later entries are only counted."""
        self._family.close(self)

    def __enter__(self) -> EventLog:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # What is known of it

    @property
    def family(self) -> str:
        """The sort of object."""
        return self._family.name

    @property
    def id(self) -> str:
        """64 random bits; a forked child has its parent's logs, with their ids."""
        return f"{self._number:016x}"

    @property
    def closed(self) -> bool:
        """Whether it takes no more entries."""
        return self._closed

    @property
    def started(self) -> float:
        """When it was made, in seconds since the epoch."""
        return self._family.home.epoch() + self._began

    @property
    def seconds(self) -> float:
        """How long ago it was made."""
        return self._family.home.clock() - self._began

    @property
    def entries(self) -> list[Entry]:
        """The entries that were kept, oldest first."""
        with self._family.home.lock:
            kept = list(self._entries)
        epoch = self._family.home.epoch()
        return [Entry(epoch + when, *rest) for when, *rest in kept]

    @property
    def dropped(self) -> int:
        """How many entries before those were not kept."""
        with self._family.home.lock:
            return self._count - len(self._entries)

    @property
    def late(self) -> int:
        """How many entries came after the end."""
        return self._late

    @property
    def error_count(self) -> int:
        """How many errors there were, those included whose entries were not kept."""
        return self._errors

    @property
    def error_age(self) -> float | None:
        """How many seconds ago the last error was, None if there was none."""
        return None if self._failed is None else self._family.home.clock() - self._failed

    @property
    def idle(self) -> float:
        """For how many seconds nothing has happened."""
        return self._family.home.clock() - self._active

    @property
    def _active(self) -> float:
        with self._family.home.lock:
            return self._entries[-1][0] if self._entries else self._began

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{self._count} entries"
        return f"<EventLog {self.family!r} {self.title!r} {state}>"


def _stack() -> tuple[Frame, ...]:
    """Return where a log is being made, without this package's own frames."""
    frame = sys._getframe(1)
    while frame.f_globals.get("__package__") == __package__ and frame.f_back is not None:
        frame = frame.f_back
    found: list[Frame] = []
    here: Any = frame
    while here is not None and len(found) < MAX_FRAMES:
        code = here.f_code
        found.append(Frame(code.co_filename, here.f_lineno, code.co_name))
        here = here.f_back
    return tuple(found)
