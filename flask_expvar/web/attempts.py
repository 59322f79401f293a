"""Attempts: how many wrong passwords and tokens came from where, and when it is enough."""

from __future__ import annotations

import math
from collections.abc import Callable

from .._native import allocate_lock

#: So many wrong ones from one peer in so many seconds.
MOST, WITHIN = 10, 60.0
#: So many peers are remembered.
MOST_PEERS = 1000


class Attempts:
    """Counts failed attempts to identify by peer; one that has had enough is told to wait.

    Behind a proxy all come from one peer, so who has the right token is never kept waiting:
    nobody guesses one. Of passwords, which take much work to check, none is checked meanwhile.
    Safe to use from several threads; nothing is ever waited for.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = allocate_lock()
        self._seen: dict[str, list[float]] = {}

    def fail(self, peer: str) -> None:
        """Note a failed attempt."""
        # A lock that was taken during a fork stays taken in the child: never wait for it.
        if not self._lock.acquire(False):
            return
        try:
            recent = [*self._recent(peer), self._clock()][-MOST:]
            self._seen.pop(peer, None)
            self._seen[peer] = recent  # the last to be forgotten
            while len(self._seen) > MOST_PEERS:
                del self._seen[next(iter(self._seen))]
        finally:
            self._lock.release()

    def wait(self, peer: str) -> int:
        """Return for how many seconds *peer* has to wait, 0 if it may go on."""
        recent = self._recent(peer)
        if len(recent) < MOST:
            return 0
        return max(1, math.ceil(recent[0] + WITHIN - self._clock()))

    def _recent(self, peer: str) -> list[float]:
        now = self._clock()
        return [when for when in self._seen.get(peer, ()) if now - when < WITHIN]
