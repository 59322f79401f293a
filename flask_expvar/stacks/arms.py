"""Arms: the wish to have the next requests of an application profiled, and what came of it."""

from __future__ import annotations

import itertools
import os
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .._native import allocate_rlock
from .profile import Profile

#: What one wish may ask for at the most, and how long it waits, in seconds.
MOST, LONGEST = 100, 3600.0
#: So many profiles of requests are kept.
KEPT = 20

_known: weakref.WeakKeyDictionary[Any, Arms] = weakref.WeakKeyDictionary()
_lock = allocate_rlock()


@dataclass
class Wish:
    """Which requests are meant.

    :param route: as the traces call it, such as ``/orders/<id>``; empty for all.
    :param slower: only those that take longer are kept, in seconds.
    :param left: how many more.
    :param ends: when it is given up, by the monotonic clock.
    """

    route: str
    slower: float
    left: int
    ends: float


@dataclass(frozen=True)
class Kept:
    """The profile of one request."""

    id: str
    trace: str
    route: str
    seconds: float
    profile: Profile


class Arms:
    """The wish of one registry, in this process, and the profiles of its requests.

    :param clock: for the end of a wish.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = allocate_rlock()
        self._numbers = itertools.count(1)
        self._wish: Wish | None = None
        self._kept: deque[Kept] = deque(maxlen=KEPT)
        #: Called with yes or no when requests are to be profiled, or no more.
        self.listeners: weakref.WeakSet[Any] = weakref.WeakSet()

    def arm(
        self, count: int = 20, route: str = "", slower: float = 0.0, ttl: float = 300.0
    ) -> None:
        """Profile the next *count* requests of *route* that take longer than *slower* seconds.

        Replaces what was wished for before. It is given up after *ttl* seconds.

        :raises ValueError: if that is too much, or nothing.
        """
        if not 1 <= count <= MOST:
            raise ValueError(f"count {count}: from 1 to {MOST}")
        if not 0 < ttl <= LONGEST:
            raise ValueError(f"ttl {ttl:g}: more than 0 and at most {LONGEST:g} seconds")
        if not 0 <= slower <= LONGEST:
            raise ValueError(f"slower {slower:g}: from 0 to {LONGEST:g} seconds")
        with self._lock:
            self._wish = Wish(route, slower, count, self._clock() + ttl)
        self._tell(True)

    def disarm(self) -> None:
        """Profile no more requests; those that are running end as they would have."""
        with self._lock:
            self._wish = None
        self._tell(False)

    def retire(self) -> None:
        """Let nobody stand in for an application any more, unless requests are wanted."""
        with self._lock:
            if self._wish is None:
                self._tell(False)

    def _tell(self, armed: bool) -> None:
        for listener in list(self.listeners):
            listener.arm(armed)

    @property
    def wish(self) -> Wish | None:
        """What is wished for now."""
        wish = self._wish
        if wish is not None and self._clock() > wish.ends:
            self.disarm()
            return None
        return wish

    def take(self) -> Wish | None:
        """Return the wish, one less being left, or None: for a request that begins."""
        with self._lock:
            wish = self.wish
            if wish is None or wish.left < 1:
                return None
            wish.left -= 1
            return wish

    def give_back(self, wish: Wish) -> None:
        """Take back a request that was none of those meant."""
        with self._lock:
            wish.left += 1

    def keep(self, wish: Wish, profile: Profile, route: str, trace: str) -> Kept:
        """Keep what came of a request, and end the wish with the last."""
        kept = Kept(f"{os.getpid()}-r{next(self._numbers)}", trace, route, profile.seconds, profile)
        with self._lock:
            self._kept.appendleft(kept)
            done = self._wish is wish and wish.left < 1
        if done:
            self.disarm()
        return kept

    @property
    def kept(self) -> list[Kept]:
        """The profiles of requests, newest first."""
        return list(self._kept)

    def of(self, trace: str) -> Kept | None:
        """Return the profile of the request with this trace."""
        return next((each for each in self.kept if each.trace == trace), None)


def arms_of(registry: Any) -> Arms:
    """Return those of *registry* in this process; always the same."""
    with _lock:
        found = _known.get(registry)
        if found is None:
            found = _known[registry] = Arms()
        return found
