"""The log of refused requests: why, and how to open, at most one line a minute for each rule."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

from .._native import allocate_lock

logger = logging.getLogger("flask_expvar.access")

INTERVAL = 60.0


class RefusalLog:
    """Writes the first refusal of each rule at once, counts the others of the same minute.

    The clients are strangers, so nothing that they can vary at will may reach a line or make
    one: a rule is one of a few fixed names. Safe to use from several threads, native ones too.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = allocate_lock()
        self._seen: dict[str, tuple[float, int]] = {}

    def add(self, status: int, rule: str, hint: str) -> None:
        """Log one refusal, or only count it if the same *rule* has had its line already.

        The count is a good guess: a refusal in the same microsecond as another may be missed.
        """
        suppressed = self._due(rule)
        if suppressed is not None:
            more = f" ({suppressed} more since the last such line)" if suppressed else ""
            logger.warning("refused with %d by rule %s: %s%s", status, rule, hint, more)

    def _due(self, rule: str) -> int | None:
        """Return how many refusals went without a line, or None if this one does too."""
        # Never wait: a lock that was taken during a fork stays taken in the child for ever.
        if not self._lock.acquire(False):
            return None
        try:
            now = self._clock()
            since, suppressed = self._seen.get(rule, (-math.inf, 0))
            quiet = now - since < INTERVAL
            self._seen[rule] = (since, suppressed + 1) if quiet else (now, 0)
        finally:
            self._lock.release()
        return None if quiet else suppressed
