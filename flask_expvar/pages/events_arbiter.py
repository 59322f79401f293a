"""The event logs of arbiters: read from the folder, for an arbiter answers nobody."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from ..traces.events import EventLogs
from ..workers.journal import Told, journals

FAMILY = "gunicorn"


def arbiters_of(folder: Path, *, wall: Callable[[], float] = time.time) -> dict[int, EventLogs]:
    """Return the event logs of the arbiters whose workers share *folder*, by process id.

    :param wall: the time of day, in seconds since the epoch.
    """
    return {told.pid: _logs(told, wall) for told in journals(folder)}


def _logs(told: Told, wall: Callable[[], float]) -> EventLogs:
    """Return what an arbiter told, as if it had happened here."""
    moment = [told.began]
    logs = EventLogs(clock=lambda: moment[0], wall=lambda: int(moment[0] * 1e9))
    # The same at each look, for links lead to it.
    logs.next_number = lambda: (told.pid << 41) ^ int(told.began * 1000)
    log = logs.open(FAMILY, f"arbiter {told.pid}")
    log.stack = ()
    for when, failed, text in told.entries:
        moment[0] = when
        (log.error if failed else log.log)(text)
    log._count, log._errors = told.count, told.errors
    moment[0] = wall()
    return logs
