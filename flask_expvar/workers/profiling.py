"""Profiling: what one worker does when a sibling asks it for a profile, or asks itself."""

from __future__ import annotations

import _thread
import threading
import time
from collections.abc import Mapping
from typing import Any

from ..exceptions import BusyError, ExpvarError, UnavailableError
from ..stacks.arms import Kept, arms_of
from ..stacks.profiler import LONGEST_SECONDS, Running, profiler
from ..variables.registry import Registry
from .folder import gunicorn_worker

#: Who asks comes back at least so often, in seconds; else the profile ends: the asker is gone.
LEASE = 5.0
#: Of the time after which gunicorn kills a sync worker that does not come back from a request.
_SHARE = 5 / 6


def answer(request: Mapping[str, Any], registry: Registry | None) -> dict[str, Any]:
    """Return what :mod:`.rounds` of a sibling wants to know. Waits for nothing.

    :param registry: whose requests have profiles, too.

    Called by the worker's native thread, while its others do what they do.
    """
    do, id = request["do"], str(request.get("id", ""))
    if do == "start":
        return _start(request, id)
    if do == "list":
        running = profiler.running
        return {
            "profiles": [_summary(each) for each in (running, *profiler.kept) if each],
            "requests": [_told(each) for each in _of_requests(registry)],
            "armed": _armed(registry),
        }
    try:
        found = profiler.find(id)
    except LookupError:
        for kept in _of_requests(registry):
            if kept.id == id:
                return {"data": kept.profile.plain()}
        return {"unknown": True}
    if do == "stop":
        found.stop()
        return {"left": found.left}
    if request.get("lease"):
        found.lease(LEASE)
    return _state(found)


def _start(request: Mapping[str, Any], id: str) -> dict[str, Any]:
    try:
        found = profiler.start(
            float(request["seconds"]),
            str(request["mode"]),
            str(request["engine"]),
            float(request["interval"]),
            in_main=serves_in_main(),
            skip=frozenset(request.get("skip", ())),
            id=id,
        )
    except BusyError as error:
        return {"busy": [error.worker, error.started, error.ends]}
    except (UnavailableError, ValueError) as error:
        return {"unavailable": str(error)}
    if request.get("lease"):
        found.lease(LEASE)
    return {"left": found.left}


def _state(found: Running) -> dict[str, Any]:
    if not found.done:
        return {"left": found.left}
    if found.profile is None:
        return {"unavailable": found.error}
    return {"data": found.profile.plain()}


def _of_requests(registry: Registry | None) -> list[Kept]:
    return [] if registry is None else arms_of(registry).kept


def _armed(registry: Registry | None) -> list[dict[str, Any]]:
    wish = None if registry is None else arms_of(registry).wish
    if wish is None:
        return []
    ends_in = max(round(wish.ends - time.monotonic(), 3), 0.0)
    told = {"route": wish.route, "slower": wish.slower, "left": wish.left, "ends_in": ends_in}
    return [told]


def _told(kept: Kept) -> dict[str, Any]:
    return {
        "id": kept.id,
        "trace": kept.trace,
        "route": kept.route,
        "seconds": kept.seconds,
        "started": kept.profile.started,
    }


def _summary(each: Running) -> dict[str, Any]:
    return {
        "id": each.id,
        "engine": each.engine,
        "mode": each.mode,
        "started": each.started,
        "seconds": each.seconds,
        "left": each.left,
        "done": each.done,
        "error": each.error,
    }


def serves_in_main() -> bool:
    """Return whether this worker runs the application in its main thread: sync and gevent do."""
    kinds = _kinds()
    return any(kind in kinds for kind in ("gunicorn.workers.sync", "gunicorn.workers.base_async"))


def blocks_itself() -> bool:
    """Return whether a request that waits here keeps this whole worker from everything else.

    One of the listener of its own does not: other threads than the main one answer it.
    """
    is_main = _thread.get_ident() == threading.main_thread().ident
    return is_main and "gunicorn.workers.sync" in _kinds()


def _kinds() -> set[str]:
    worker = gunicorn_worker()
    return set() if worker is None else {kind.__module__ for kind in type(worker).__mro__}


def longest() -> tuple[float, str]:
    """Return how many seconds the request of this thread may wait for a profile, and why no more.

    A sync worker that does not come back from a request within gunicorn's timeout is killed.
    """
    worker = gunicorn_worker()
    timeout = float(getattr(getattr(worker, "cfg", None), "timeout", 0) or 0)
    limit = float(int(timeout * _SHARE * 10)) / 10
    if not blocks_itself() or not timeout or limit >= LONGEST_SECONDS:
        return LONGEST_SECONDS, ""
    return limit, (
        f"gunicorn kills a sync worker after {timeout:g} s in one request (its setting timeout):"
        " raise it, take workers of class gthread, or let the profile be taken in the background"
    )


def is_stopping() -> bool:
    """Return whether the server has asked this worker to end."""
    worker = gunicorn_worker()
    return worker is not None and not getattr(worker, "alive", True)


def refusal(pid: int, told: Mapping[str, Any]) -> ExpvarError | None:
    """Return what a worker's answer to a start means if it has not begun."""
    if "busy" in told:
        _, started, ends = told["busy"]
        return BusyError(pid, float(started), float(ends), now=time.time())
    if "unavailable" in told:
        return UnavailableError(f"worker {pid}: {told['unavailable']}")
    return None
