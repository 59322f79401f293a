"""What an engine is asked for, and how it is told to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from .._native import allocate_lock, original
from .profile import Profile


class Stop:
    """A flag of the operating system's threads, also where gevent has replaced Python's."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._lock.acquire()

    def set(self) -> None:
        """Tell whoever waits to stop. Safe from anywhere, any number of times."""
        try:
            self._lock.release()
        except RuntimeError:  # it is set
            return

    def wait(self, seconds: float) -> bool:
        """Return whether it is set, waiting for that *seconds* at the most."""
        if not self._lock.acquire(True, max(seconds, 0.0)):
            return False
        self.set()
        return True


class Served(Protocol):
    """What a thread or greenlet serves."""

    @property
    def family(self) -> str:
        """What others of its kind are called too."""


def _nobody() -> Mapping[int, Served]:
    return {}


@dataclass
class Order:
    """One profile to be taken.

    :param interval: between two looks, in seconds.
    :param skip: identifiers of threads to leave out, as the one that waits for the result.
    :param serving: what each thread or greenlet serves, by its identifier; called often.
    """

    seconds: float
    mode: str = "wall"
    interval: float = 0.01
    skip: frozenset[int] = frozenset()
    serving: Callable[[], Mapping[int, Served]] = _nobody
    stop: Stop = field(default_factory=Stop)
    #: Until when somebody wants it, by the monotonic clock; None: to its end.
    lease: float | None = None

    def over(self, pause: float) -> bool:
        """Return whether to end now, at the latest after *pause* seconds."""
        if self.stop.wait(pause):
            return True
        return self.lease is not None and time.monotonic() > self.lease


class Engine(Protocol):
    """One way to take a profile."""

    name: str

    def obstacle(self, mode: str) -> str:
        """Return why it cannot take a profile of *mode* in this process, empty if it can."""

    def run(self, order: Order) -> Profile:
        """Take the profile, in a native thread of its own, until the end or the order's stop."""


def ident() -> int:
    """Return what :func:`sys._current_frames` knows the calling thread by, also under gevent."""
    found: int = original("_thread", "get_ident")()
    return found


def family(served: Served | None) -> str:
    """Return what *served* is called, empty for nothing."""
    return "" if served is None else served.family
