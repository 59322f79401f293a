"""Event logs as plain data: what one worker tells, and what all of them told."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from ..exceptions import UnknownError
from ..redaction import HIDDEN
from ..traces.event_log import EventLog, Frame
from ..traces.events import COLUMNS, EventFamily, EventLogs
from ..traces.tracer import name
from .events_question import Question
from .moments import micro
from .texts import Room, clean, fit, holds, shown_name, unheard

Clock = Callable[[], float]

#: Families of a page.
MOST_FAMILIES = 1000
#: How long one worker looks for what a search asks, in seconds of its own work.
BUDGET = 0.1
#: Entries of each log in a list, the same opened, and of all logs that a worker tells of.
ENTRIES, EXPANDED, ALL_ENTRIES = 6, 20, 1000
#: Frames of a stack in a list. Whole stacks would be most of what workers send each other.
FRAMES = 8
#: Bytes of long texts of one log.
TEXTS = 600_000


def public(family: str) -> str:
    """Return a family's name as pages and links have it."""
    return shown_name(family or "(no name)")


# -- families ------------------------------------------------------------------------------------


def tell_families(logs: EventLogs) -> list[list[Any]]:
    """Return this process's families with their counts, as :func:`merge_families` wants them."""
    return [[public(each.name), each.counts()] for each in logs.families()]


def merge_families(answers: Iterable[list[list[Any]]]) -> dict[str, Any]:
    """Return the matrix of all workers as programs get it."""
    found: dict[str, list[int]] = {}
    for family, counts in chain.from_iterable(answers):
        before = found.get(family, [0] * len(COLUMNS))
        found[family] = [a + b for a, b in zip(before, counts, strict=True)]
    names = sorted(found)[:MOST_FAMILIES]
    return {
        "families": [{"family": each, "counts": found[each]} for each in names],
        "columns": list(COLUMNS),
        "showing": len(names),
        "of": len(found),
    }


# -- lists ---------------------------------------------------------------------------------------


def tell_list(
    logs: EventLogs, asked: Question, sensitive: bool, *, clock: Clock = time.thread_time
) -> dict[str, Any]:
    """Return this process's part of a list, as :func:`merge_lists` wants it."""
    families = [each for each in logs.families() if asked.family in ("", public(each.name))]
    candidates = _candidates(families, asked.column)
    found, scanned = _search(candidates, asked.text.casefold(), sensitive, clock)
    most = min(EXPANDED if asked.expanded else ENTRIES, max(ALL_ENTRIES // asked.wanted, 1))
    epoch, room = logs.epoch(), Room(0)
    told = [
        {**summary(log, epoch, FRAMES), **entries(log, logs, sensitive, room, most)}
        for log in found[: asked.wanted]
    ]
    # Something may have happened to one since they were put in order.
    told.sort(key=lambda log: log["active"], reverse=True)
    return {
        "known": bool(families),
        "of": len(found),
        "scanned": scanned,
        "candidates": len(candidates),
        "logs": told,
    }


def _candidates(families: list[EventFamily], column: int) -> list[EventLog]:
    found = [each.logs(column) for each in families]
    if len(found) == 1:
        return found[0]
    return sorted(chain.from_iterable(found), key=lambda log: log._active, reverse=True)


def _search(
    candidates: list[EventLog], needle: str, sensitive: bool, clock: Clock
) -> tuple[list[EventLog], int]:
    """Return the logs that say *needle*, and how many were looked at before the time was over."""
    if not needle:
        return candidates, len(candidates)
    found: list[EventLog] = []
    until = clock() + BUDGET
    for number, log in enumerate(candidates):
        for text in _texts(log, sensitive):
            # Asked at each text: a hundred long ones whose secrets have to be hidden take 0.2 s.
            if clock() > until:
                return found, number
            if holds(text, needle):
                found.append(log)
                break
    return found, len(candidates)


def _texts(log: EventLog, sensitive: bool) -> Iterator[str]:
    yield _raw_title(log)
    for entry in reversed(log.entries):
        yield entry.text
        if sensitive and entry.detail:
            yield entry.detail


def merge_lists(
    answers: dict[int, Any],
    asked: Question,
    arbiters: Container[int] = (),
    missing: Sequence[int] = (),
) -> dict[str, Any]:
    """Return one page of the list of all workers, newest activity first.

    :param arbiters: which of the *answers* are not of workers.
    :raises UnknownError: if no worker has such a family.
    """
    told = answers.values()
    if asked.family and not any(each["known"] for each in told):
        raise UnknownError(f"There is no family {asked.family!r} of event logs.{unheard(missing)}")
    each = [
        [{**log, **_whose(pid, arbiters)} for log in answer["logs"]]
        for pid, answer in answers.items()
    ]
    merged = heapq.merge(*each, key=lambda log: log["active"], reverse=True)
    shown = list(merged)[asked.wanted - asked.limit : asked.wanted]
    return {
        "family": asked.family or None,
        "column": COLUMNS[asked.column],
        "logs": shown,
        "showing": len(shown),
        **{key: sum(each[key] for each in told) for key in ("of", "scanned", "candidates")},
    }


# -- one log -------------------------------------------------------------------------------------


def tell_log(logs: EventLogs, asked: Question, sensitive: bool) -> dict[str, Any] | None:
    """Return the log that is asked for, None if this process does not have it open."""
    every = chain.from_iterable(family.logs() for family in logs.families())
    log = next((each for each in every if each.id == asked.log), None)
    if log is None:
        return None
    epoch = logs.epoch()
    return {**summary(log, epoch), **entries(log, logs, sensitive, Room(TEXTS))}


def merge_log(
    answers: dict[int, Any], asked: Question, missing: list[int], arbiters: Container[int] = ()
) -> dict[str, Any]:
    """Return the log that is asked for.

    One that was made before the workers were forked goes on in each of them: then it is the one
    with the newest activity, and ``also`` names the other workers.

    :param arbiters: which of the *answers* are not of workers.
    :raises UnknownError: if no worker has it.
    """
    having = {pid: log for pid, log in answers.items() if log is not None}
    if not having:
        raise UnknownError(
            f"There is no open event log {asked.log!r}. It was closed, or the object that it told"
            f" of is gone, or its worker is.{unheard(missing)}",
            link=("events", "All event logs"),
        )
    newest = max(having, key=lambda pid: float(having[pid]["active"]))
    return {
        "log": {**having[newest], **_whose(newest, arbiters)},
        "also": [pid for pid in having if pid != newest],
    }


def _whose(pid: int, arbiters: Container[int]) -> dict[str, Any]:
    return {"worker": pid, **({"arbiter": True} if pid in arbiters else {})}


def summary(log: EventLog, epoch: float, frames: int | None = None) -> dict[str, Any]:
    """Return what is known of *log* but for its entries.

    :param epoch: the time of day at which the logs' clock was zero.
    :param frames: so many of the stack, the innermost ones; all of them unless given.
    """
    age = log.error_age
    return {
        "id": log.id,
        "family": public(log.family),
        "title": fit(clean(_raw_title(log), 512), 2048),
        "started": micro(log.started),
        "seconds": micro(log.seconds),
        "active": micro(epoch + log._active),
        "idle": micro(log.idle),
        "errors": log.error_count,
        "error_age": None if age is None else micro(age),
        "stack": [_place(frame) for frame in log.stack[:frames]],
        "frames": len(log.stack),
    }


def _raw_title(log: EventLog) -> str:
    # The program may have set it to anything.
    return log.title if isinstance(log.title, str) else name(log.title)


def _place(frame: Frame) -> dict[str, Any]:
    return {
        "file": fit(clean(frame.file, 512), 512),
        "line": frame.line,
        "function": fit(clean(frame.function, 256), 256),
    }


def entries(
    log: EventLog, logs: EventLogs, sensitive: bool, room: Room, most: int | None = None
) -> dict[str, Any]:
    """Return the newest entries of *log*, oldest first, and how many others there were.

    :param most: so many at the most; all that were kept unless given.
    """
    with logs.lock:  # so that both are of one moment
        kept, dropped = log.entries, log.dropped
    first = len(kept) if most is None else min(most, len(kept))
    earlier = [*([] if dropped else [log.started]), *(entry.when for entry in kept)]
    told: list[dict[str, Any]] = []
    last = earlier[-first - 1] if len(earlier) > first else None
    for entry in kept[len(kept) - first :]:
        one: dict[str, Any] = {
            "when": micro(entry.when),
            # What was before the first one that was kept is not known.
            "delta": None if last is None else micro(max(entry.when - last, 0.0)),
            "kind": entry.kind,
            "text": room.take(entry.text),
        }
        if entry.detail:
            one["detail"] = room.take(entry.detail) if sensitive else HIDDEN
        told.append(one)
        last = entry.when
    return {"entries": told, "kept": len(kept), "dropped": dropped}
