"""Permits: how many requests to the debug pages a process answers at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

#: More would keep the threads of the application busy with pages.
MOST = 2


class Permits:
    """Hands out permits, two at a time; safe in threads, greenlets and forked children."""

    def __init__(self) -> None:
        self._pid = 0
        self._free: list[None] = []

    @contextmanager
    def one(self) -> Iterator[bool]:
        """Tell whether there is a permit for what is done inside."""
        pid = os.getpid()
        if self._pid != pid:
            # A forked child: those that its parent has handed out will never come back here.
            self._pid, self._free = pid, [None] * MOST
        free = self._free
        try:
            free.pop()  # one step: no lock that a fork or a signal handler could keep
        except IndexError:
            yield False
            return
        try:
            yield True
        finally:
            free.append(None)
