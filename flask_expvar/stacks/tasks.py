"""Tasks of asyncio's loops that wait, where the program has any."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import FrameType
from typing import Any

from .seen import TASK, Seen
from .waiting import WAITING, doing
from .walking import DEEPEST, Raw, named

#: So many are looked at.
MOST = 20_000
#: Where asyncio keeps all tasks of all loops: until 3.11, then in two sets.
_SETS = ("_all_tasks", "_scheduled_tasks", "_eager_tasks")


def tasks() -> tuple[list[Seen], str]:
    """Return the tasks of all loops that are not running, and how many are not told.

    What runs is the stack of its thread.
    """
    module = sys.modules.get("asyncio.tasks")
    found = [task for name in _SETS for task in _copy(getattr(module, name, ()))]
    seen = []
    for task in found[:MOST]:
        try:
            one = _seen(task)
        except Exception:  # a task of the program's own kind may raise anything
            continue
        if one is not None:
            seen.append(one)
    note = f"Tasks: {MOST:,} of {len(found):,} are told." if len(found) > MOST else ""
    return seen, note


def _copy(every: Iterable[Any]) -> list[Any]:
    for _ in range(10):
        try:
            return list(every)
        except RuntimeError:  # another thread makes or ends a task meanwhile
            continue
    return []


def _seen(task: Any) -> Seen | None:
    if task.done():
        return None
    coroutine = task.get_coro()
    if getattr(coroutine, "cr_running", False):
        return None
    stack = named(_awaited(coroutine))
    on = doing(stack, None)[1] or "a future"
    return Seen(TASK, id(task), str(task.get_name()), stack, state=WAITING, on=on)


def _awaited(coroutine: Any) -> Raw:
    """Return where *coroutine* waits, below where each waits that it waits for."""
    found: Raw = []
    while coroutine is not None and len(found) < 2 * DEEPEST:
        frame = _first(coroutine, "cr_frame", "gi_frame", "ag_frame")
        if isinstance(frame, FrameType):
            found[:0] = frame.f_code, frame.f_lasti
        del frame
        coroutine = _first(coroutine, "cr_await", "gi_yieldfrom", "ag_await")
    return found


def _first(coroutine: Any, *names: str) -> Any:
    return next((found for name in names if (found := getattr(coroutine, name, None))), None)
