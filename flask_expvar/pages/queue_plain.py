"""Queues as plain data: what one worker tells of each, and what all of them told."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ..exceptions import UnknownError
from .budget import BUDGET, Call, LateError, said
from .queue_items import OddError, created_of, size_of, states_of, tell, texts_of
from .queue_question import SCANNED, Question
from .registered import Source
from .texts import shown_name
from .vars_table import visible

Clock = Callable[[], float]

#: Items that a source without paging may return: they are put in order before a page is cut.
MOST_RETURNED = 100_000
#: Bytes of items that one worker tells of, and that one answer has.
TOLD_BYTES, MOST_BYTES = 500_000, 1_200_000
#: How long one worker reads items, in seconds: hiding secrets takes 0.4 µs a character.
TELLING_BUDGET = 0.3


@dataclass(frozen=True)
class Limits:
    """What the section of one queue may take: bytes, and seconds for reading its items."""

    room: int
    seconds: float
    clock: Clock
    wall: Clock
    sensitive: bool


def tell_queues(
    queues: Mapping[str, Source],
    asked: Question,
    *,
    speaks: bool,
    sensitive: bool,
    budget: float = BUDGET,
    clock: Clock = time.monotonic,
    wall: Clock = time.time,
) -> dict[str, Any]:
    """Return what this process knows of the queues that are meant.

    :param speaks: whether it is also asked for what all workers share.
    :param budget: seconds for all of them together.
    """
    until = clock() + budget
    wanted = [
        each
        for name, each in sorted(queues.items())
        if asked.name in ("", shown_name(name)) and (speaks or not each.shared)
    ]
    # All are begun before one is waited for: a queue that hangs costs the others nothing.
    share = max(len(wanted), 1)
    limits = Limits(TOLD_BYTES // share, TELLING_BUDGET / share, clock, wall, sensitive)
    calls = [(each, _begin(each, asked, limits)) for each in wanted]
    told = [_section(source, call, until, budget, sensitive) for source, call in calls]
    return {"names": [shown_name(name) for name in sorted(queues)], "queues": told}


def _begin(source: Source, asked: Question, limits: Limits) -> Call | Exception:
    def page(returned: Any) -> dict[str, Any]:
        items, depth = _returned(returned, source.paged)
        return _page(_oldest_first(items), depth, source, asked, limits)

    try:
        if not source.paged:
            return source.fetch.start(then=page)
        if asked.text:
            return source.fetch.start(SCANNED, 0, then=page)
        return source.fetch.start(asked.limit, asked.offset, then=page)
    except Exception as error:  # no thread is to be had
        return error


def _section(
    source: Source, call: Call | Exception, until: float, budget: float, sensitive: bool
) -> dict[str, Any]:
    section = {"name": shown_name(source.name), "shared": source.shared, "error": ""}
    try:
        if isinstance(call, Exception):
            raise call
        return {**section, **call.result(until, budget)}
    except (LateError, OddError) as error:
        return {**section, "error": str(error)}
    except BaseException as error:
        return {**section, "error": said(error, sensitive)}


def _returned(value: Any, paged: bool) -> tuple[list[Any], int]:
    """Return the items and the depth that a source told of."""
    if isinstance(value, tuple) and len(value) == 2 and _is_depth(value[1]):
        items, depth = _listed(value[0]), int(value[1])
    elif paged:
        raise OddError(
            f"fetch(limit, offset) returned {_kind(value)}, not a pair of items and their number"
        )
    else:
        items = _listed(value)
        depth = len(value) if isinstance(value, Sequence) else len(items)
    return items, max(depth, 0 if paged else len(items))


def _is_depth(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _listed(value: Any) -> list[Any]:
    if isinstance(value, (str, bytes, Mapping)) or not hasattr(type(value), "__iter__"):
        raise OddError(f"fetch() returned {_kind(value)}, not a list of items")
    return list(islice(value, MOST_RETURNED))


def _kind(value: Any) -> str:
    return "None" if value is None else f"something of class {visible(type(value).__name__)[:80]}"


def _page(
    items: list[Any], depth: int, source: Source, asked: Question, limits: Limits
) -> dict[str, Any]:
    now = limits.wall()
    read, cut = len(items), False
    oldest = next((made for made in map(created_of, items) if made is not None), None)
    if asked.text:
        found, of, scanned = _search(items[:SCANNED], now, asked, limits)
    else:
        start = 0 if source.paged else asked.offset
        items = items[start : start + asked.limit]
        found = _shown(items, now, limits)
        of, scanned = depth, len(found)
        cut = len(found) < len(items)
    return {
        "depth": depth,
        "now": now,
        "oldest": None if oldest is None else round(now - oldest, 3),
        # Of a source with its own paging no more is known than it returned.
        "oldestIsOfAll": read >= depth,
        "states": states_of(found),
        "items": found,
        "showing": len(found),
        # Whether there was no room or time for all items of this page.
        "cut": cut,
        "first": asked.offset + 1,
        "of": of,
        "scanned": scanned,
        "searched": bool(asked.text),
    }


def _shown(items: list[Any], now: float, limits: Limits) -> list[dict[str, Any]]:
    """Return what is told of as many *items* as there is room and time for."""
    until, room = limits.clock() + limits.seconds, limits.room
    shown: list[dict[str, Any]] = []
    for item in items:
        told = tell(item, now, limits.sensitive)
        room -= size_of(told)
        if room < 0 or (shown and limits.clock() > until):
            break
        shown.append(told)
    return shown


def _search(
    items: list[Any], now: float, asked: Question, limits: Limits
) -> tuple[list[dict[str, Any]], int, int]:
    """Return the page of what was found, how many that were, and how many were looked at."""
    until, needle = limits.clock() + limits.seconds, asked.text.casefold()
    matching, scanned = [], 0
    for item in items:
        told = tell(item, now, limits.sensitive)
        scanned += 1
        if needle in texts_of(told):
            matching.append(told)
        if limits.clock() > until:
            break
    page = matching[asked.offset : asked.offset + asked.limit]
    return _fitting(page, limits.room), len(matching), scanned


def _oldest_first(items: list[Any]) -> list[Any]:
    """Return *items* by age; those that do not tell theirs come last, as the source has them."""

    def order(numbered: tuple[int, Any]) -> tuple[bool, float, str, int]:
        number, item = numbered
        made = created_of(item)
        if made is None:
            return True, 0.0, "", number
        name = item.get("id") if isinstance(item, Mapping) else item.id
        return False, made, name if isinstance(name, str) else "", number

    return [item for _, item in sorted(enumerate(items), key=order)]


def _fitting(items: list[dict[str, Any]], room: int) -> list[dict[str, Any]]:
    shown = []
    for item in items:
        room -= size_of(item)
        if room < 0:
            break
        shown.append(item)
    return shown


def merge_queues(
    answers: Mapping[int, Any], asked: Question, missing: Sequence[int]
) -> list[dict[str, Any]]:
    """Return a section for each queue, and for each worker that has one of its own.

    :raises UnknownError: if no worker has the queue that is asked for.
    """
    names = {name for answer in answers.values() for name in answer["names"]}
    if asked.name and asked.name not in names and not missing:
        known = ", ".join(sorted(names)[:20]) or "none"
        raise UnknownError(f"There is no queue {asked.name!r}; there are: {known}")
    sections = [
        {**section, "worker": None if section["shared"] else pid}
        for pid in sorted(answers)
        for section in answers[pid]["queues"]
    ]
    sections.sort(key=lambda section: (section["name"], section["worker"] or 0))
    share = MOST_BYTES // max(len(sections), 1)
    for section in sections:
        if not section["error"]:
            fitting = _fitting(section["items"], share)
            section["cut"] = section["cut"] or len(fitting) < len(section["items"])
            section["items"], section["showing"] = fitting, len(fitting)
    return sections
