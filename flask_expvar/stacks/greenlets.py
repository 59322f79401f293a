"""Greenlets that wait for their turn, where the program has them."""

from __future__ import annotations

import sys
import threading
from typing import Any

from .objects import TOO_MANY, instances
from .seen import GREENLET, Seen
from .waiting import WAITING, doing
from .walking import named, walk

#: So many are looked at.
MOST = 20_000


def greenlets() -> tuple[list[Seen], str]:
    """Return the greenlets that are not running, and why they are not told if so.

    What runs is the stack of its thread.
    """
    kind = getattr(sys.modules.get("greenlet"), "greenlet", None)
    if not isinstance(kind, type):
        return [], ""
    found = instances(kind)
    if found is None:
        return [], f"Greenlets are {TOO_MANY}."
    active = dict(threading._active)  # type: ignore[attr-defined]  # enumerate() waits for a lock
    names = {ident: thread.name for ident, thread in active.items()}
    seen = [_seen(each, names) for each in found[:MOST] if not each.dead]
    note = f"Greenlets: {MOST:,} of {len(found):,} are told." if len(found) > MOST else ""
    return [one for one in seen if one is not None], note


def _seen(greenlet: Any, names: dict[int, str]) -> Seen | None:
    frame = greenlet.gr_frame
    if frame is None and greenlet:
        return None
    stack = named(walk(frame))
    del frame
    # Not its own repr(): that of gevent's shows arguments.
    kind = type(greenlet)
    name = names.get(id(greenlet)) or f"{kind.__module__}.{kind.__qualname__}"
    on = "its first turn" if not stack else doing(stack, None)[1] or "its turn"
    return Seen(GREENLET, id(greenlet), str(name), stack, state=WAITING, on=on)
