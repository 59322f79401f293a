"""Ticking: rows for a history where no thread is there already to take them."""

from __future__ import annotations

import os
import time
import weakref

from .._native import original, start_thread
from .history import history_of
from .registry import Registry

_ticked: weakref.WeakKeyDictionary[Registry, int] = weakref.WeakKeyDictionary()


def keep_ticking(registry: Registry) -> None:
    """Take a row of *registry* every second until it is gone; calling it again is fine.

    For a process that has no siblings to answer, whose thread would do it. A forked child has
    no thread and may call it for itself.
    """
    pid = os.getpid()
    if _ticked.get(registry) != pid:
        _ticked[registry] = pid
        start_thread(_tick, weakref.ref(registry))


def _tick(held: weakref.ref[Registry]) -> None:
    # Not gevent's, which would want a hub in this thread.
    sleep = original("time", "sleep")
    while True:
        sleep(1.001 - time.time() % 1)
        registry = held()
        if registry is None:
            return
        history_of(registry).tick()
        del registry
