"""Threads as plain data: what one worker tells, and what all of them told."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from ..stacks.seen import GREENLET, TASK, THREAD, Seen
from ..stacks.threads import Look, look, short_turns
from ..stacks.walking import DEEPEST, Place, Stack
from ..traces.tracer import Tracer, tracer_of
from ..variables.registry import Registry
from .moments import micro
from .texts import clean, cost, fit, thread_name
from .traces_plain import outline

#: Groups of a page, and those that one worker tells of.
MOST_GROUPS, TOLD_GROUPS = 100, 300
#: Threads that one worker tells of one by one.
MOST_MEMBERS = 500
#: Places of a stack that are told.
PLACES = 60
#: Bytes of the stacks of one worker, and of all that is on a page.
MOST_BYTES, PAGE_BYTES = 400_000, 1_200_000
KINDS = (THREAD, GREENLET, TASK)


# -- one worker ----------------------------------------------------------------------------------


def tell(registry: Registry) -> dict[str, Any]:
    """Return what runs in this process, as :func:`merge` wants it."""
    found = look()
    with short_turns():
        return told_of(found, requests_by_ident(tracer_of(registry)))


def requests_by_ident(tracer: Tracer) -> dict[int, Any]:
    """Return the running requests by the thread or greenlet that serves them."""
    found: dict[int, Any] = {}
    for source in tracer.sources:
        for trace in source.running():
            # The newest one: a body that its server has never closed runs for ever.
            found[getattr(trace, "ident", 0)] = trace
    return found


def told_of(found: Look, requests: dict[int, Any]) -> dict[str, Any]:
    """Return what was found, its secrets hidden and all within bounds.

    :param requests: those that run, by thread or greenlet.
    """
    seen, names = found.seen, {one.ident: _name(one) for one in found.seen if one.kind == THREAD}
    members: dict[tuple[str, Stack], list[Seen]] = {}
    for one in seen:
        members.setdefault((one.kind, one.stack), []).append(one)
    largest = sorted(members.items(), key=lambda item: -len(item[1]))
    groups, room, rest = [], MOST_BYTES, MOST_MEMBERS
    for (kind, stack), each in largest[:TOLD_GROUPS]:
        group = _group(kind, stack, each[:rest], len(each), requests, names)
        room -= _bytes(group["stack"])
        if room < 0:
            break
        rest -= len(group["members"])
        groups.append(group)
    return {
        "total": {kind: sum(one.kind == kind for one in seen) for kind in KINDS},
        "of": len(members),
        "groups": groups,
        "natives": [[fit(clean(each.name, 64), 128), each.count, micro(each.cpu)]
                    for each in found.natives[:20]],
        "deadlocks": [[names.get(ident, "") for ident in circle] for circle in found.circles[:20]],
        "notes": found.notes,
    }  # fmt: skip


def _group(
    kind: str,
    stack: Stack,
    told: list[Seen],
    count: int,
    requests: dict[int, Any],
    names: dict[int, str],
) -> dict[str, Any]:
    places = [_place(place) for place in stack[:PLACES]]
    text = repr((kind, places, len(stack)))
    return {
        "key": hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=6).hexdigest(),
        "kind": kind,
        "count": count,
        "stack": places,
        "places": len(stack),
        "whole": len(stack) < DEEPEST,
        "members": [_member(one, requests, names) for one in told],
    }


def _name(one: Seen) -> str:
    return fit(thread_name(one.name, 128), 256)


def _member(one: Seen, requests: dict[int, Any], names: dict[int, str]) -> dict[str, Any]:
    # A thread in which greenlets take turns serves none of their requests itself.
    trace = requests.get(one.ident)
    told = outline(trace) if trace is not None else None
    return {
        "ident": one.ident,
        "name": _name(one),
        "native": one.native_id,
        "daemon": one.daemon,
        "cpu": None if one.cpu is None else micro(one.cpu),
        "state": one.state,
        "on": one.on,
        "letter": one.letter,
        "current": one.current,
        "holder": names.get(one.holder),
        "request": told and {key: told[key] for key in ("id", "family", "title", "seconds")},
    }


@lru_cache(maxsize=8192)
def _place(place: Place) -> list[Any]:
    return [
        fit(clean(short_path(place.file), 512), 512),
        place.line,
        fit(clean(place.function, 256), 256),
    ]


@lru_cache(maxsize=4096)
def short_path(file: str) -> str:
    """Return the path of a source as an import would have it, without where that is."""
    homes = [home for home in map(os.path.abspath, filter(None, sys.path)) if file.startswith(home)]
    home = max(homes, key=len, default="")
    if home and file[len(home) : len(home) + 1] in ("/", os.sep):
        return file[len(home) + 1 :]
    return "/".join(file.replace("\\", "/").rsplit("/", 2)[-2:]) if os.path.isabs(file) else file


def _bytes(stack: list[list[Any]]) -> int:
    return sum(cost(file) + cost(function) + 40 for file, _, function in stack)


# -- all workers ---------------------------------------------------------------------------------


def merge(answers: dict[int, Any], before: dict[int, Any] | None = None) -> dict[str, Any]:
    """Return the groups of all workers, largest first.

    :param before: what the workers had told at the look before, to see what has not moved.
    """
    found: dict[str, dict[str, Any]] = {}
    for pid in sorted(answers):
        still = _Before(before.get(pid)) if before is not None else None
        for group in answers[pid]["groups"]:
            members = [
                {**each, "worker": pid, **(still.compare(group, each) if still else _ALONE)}
                for each in group["members"]
            ]
            known = found.get(group["key"])
            if known is None:
                found[group["key"]] = {**group, "members": members}
            else:
                known["count"] += group["count"]
                known["members"] += members
    every = sorted(found.values(), key=lambda group: (-group["count"], group["stack"]))
    shown = _that_fit(every)
    return {
        "total": {kind: sum(each["total"][kind] for each in answers.values()) for kind in KINDS},
        "groups": shown,
        "showing": len(shown),
        # Of those that no worker tells of it is not known how many are alike.
        "of": len(every) + sum(each["of"] - len(each["groups"]) for each in answers.values()),
        "natives": _natives(answers.values()),
        "deadlocks": [
            {"worker": pid, "threads": circle}
            for pid in sorted(answers)
            for circle in answers[pid]["deadlocks"]
        ],
        "notes": [f"{note} (worker {pid})" for pid in answers for note in answers[pid]["notes"]],
    }


_ALONE: dict[str, Any] = {"still": None, "busy": None}


class _Before:
    """What one worker told at the look before."""

    def __init__(self, answer: Any) -> None:
        groups = answer["groups"] if answer is not None else []
        self._known = {
            _identity(group, each): (group["key"], each["cpu"])
            for group in groups
            for each in group["members"]
        }

    def compare(self, group: dict[str, Any], member: dict[str, Any]) -> dict[str, Any]:
        """Return whether a thread is where it was, and what CPU time it took since then."""
        known = self._known.get(_identity(group, member))
        if known is None:
            return {"still": False, "busy": None}
        key, cpu = known
        busy = None if cpu is None or member["cpu"] is None else micro(member["cpu"] - cpu)
        still = key == group["key"] and not member["current"]
        return {"still": still, "busy": busy}


def _identity(group: dict[str, Any], member: dict[str, Any]) -> tuple[str, int, str]:
    return group["kind"], member["ident"], member["name"]


def _that_fit(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    room, shown = PAGE_BYTES, []
    for group in groups[:MOST_GROUPS]:
        room -= _bytes(group["stack"]) + 300
        if room < 0:
            break
        fitting = []
        for each in group["members"]:
            room -= 900 + cost(each["name"])
            if room < 0:
                break
            fitting.append(each)
        group["members"] = fitting
        shown.append(group)
    return shown


def _natives(answers: Iterable[Any]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for answer in answers:
        for name, count, cpu in answer["natives"]:
            known = found.setdefault(name, {"name": name, "count": 0, "cpu": 0.0})
            known["count"] += count
            known["cpu"] = micro(known["cpu"] + cpu)
    return list(found.values())
