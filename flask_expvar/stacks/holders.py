"""Holders: which thread has the lock that another one waits for, where that can be known.

A plain lock has no owner. A re-entrant one tells it in its repr(), and on Linux the kernel tells
the address at which a thread waits: it stands in the memory of just the lock that it is for.
"""

from __future__ import annotations

import ctypes
import re
import struct
import sys
from collections.abc import Mapping
from typing import Any

from .._native import original
from .kernel import Call
from .objects import instances

_OWNER = re.compile(r"<locked \S+ object owner=(\d+) ")
_WORD = struct.calcsize("P")


def holders(calls: Mapping[int, Call | None]) -> dict[int, int]:
    """Return, for threads that wait for a re-entrant lock, who has it.

    :param calls: the system call in which each thread waits for a lock, by its identifier.
    """
    waiting = {ident: call.address for ident, call in calls.items() if call and call.address}
    # Without two that wait there is no circle, and most programs need not be searched.
    if len(waiting) < 2 or sys.implementation.name != "cpython":
        return {}
    owners: dict[int, int] = {}
    for lock in instances(original("_thread", "RLock")) or ():
        found = _OWNER.match(_told(lock))
        if found is not None:
            owners.update(dict.fromkeys(_words(lock), int(found[1])))
    return {ident: owners[address] for ident, address in waiting.items() if address in owners}


def _told(lock: Any) -> str:
    # That of the type itself: a derived one may say anything.
    return str(original("_thread", "RLock").__repr__(lock))


def _words(lock: Any) -> tuple[int, ...]:
    """Return what the lock's own memory holds, which lives as long as it is referred to."""
    size = original("_thread", "RLock").__sizeof__(lock)
    memory = ctypes.string_at(id(lock), size)
    # Behind the head of every object: its count of references and its type.
    return struct.unpack(f"{size // _WORD}P", memory[: size // _WORD * _WORD])[2:]


def circles(holding: Mapping[int, int]) -> list[list[int]]:
    """Return who waits for whom in a circle, each circle once.

    >>> circles({1: 2, 2: 3, 3: 2, 4: 1})
    [[2, 3]]
    """
    found: list[list[int]] = []
    seen: set[int] = set()
    for start in holding:
        way: list[int] = []
        at: int | None = start
        while at is not None and at not in seen:
            seen.add(at)
            way.append(at)
            at = holding.get(at)
        if at in way:
            found.append(way[way.index(at) :])
    return found
