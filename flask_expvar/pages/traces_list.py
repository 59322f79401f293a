"""Lists of traces: those of a family and a latency, or those that a search finds."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from ..exceptions import UnknownError
from ..traces.event import CHILD
from ..traces.family import FAILED, RUNNING, Family
from ..traces.trace import Trace
from ..traces.tracer import Tracer
from .moments import micro
from .texts import Room, holds, unheard
from .traces_plain import STARTING, events, public, public_id, raw_title, summary, title
from .traces_question import Question, bands

Clock = Callable[[], float]

#: How long one worker looks for what a search asks, in seconds of its own work: by the time of
#: day a machine that is busy with something else would find nothing.
BUDGET = 0.1
#: Events of each trace in a list, and where a later page makes the list long.
EVENTS, FEW_EVENTS = 20, 6
LONGEST_TITLE = 2048


def tell_list(
    tracer: Tracer,
    asked: Question,
    sensitive: bool,
    *,
    most_events: int | None = None,
    clock: Clock = time.thread_time,
) -> dict[str, Any]:
    """Return this process's part of a list, as :func:`merge_lists` wants it.

    :param most_events: of each trace so many; 0 for those who want its head alone, None for as
        many as the page shows.
    """
    families = [each for each in tracer.families() if asked.family in ("", public(each.name))]
    known = bool(families) or asked.family == STARTING
    if asked.family in ("", STARTING):
        families.append(tracer.unnamed)
    guests = tracer.guests()  # of 400 families each would look for its own
    candidates = list(chain.from_iterable(_candidates(each, asked, guests) for each in families))
    candidates.sort(key=lambda trace: trace._wall, reverse=asked.band != RUNNING)
    found, scanned = _search(candidates, asked, sensitive, clock)
    wanted = asked.page * asked.limit
    most = most_events if most_events is not None else EVENTS if wanted <= 100 else FEW_EVENTS
    return {
        "known": known,
        "of": len(found),
        "scanned": scanned,
        "candidates": len(candidates),
        "traces": [_entry(trace, sensitive, most) for trace in found[:wanted]],
    }


def _candidates(
    family: Family, asked: Question, guests: Mapping[str, Sequence[Trace]]
) -> Iterator[Trace]:
    """Yield the traces of one family that are of the state and the latency asked for."""
    if asked.band == RUNNING:
        yield from family.running(guests=guests)
        return
    if asked.band == FAILED:
        yield from chain.from_iterable(family.failed().values())
        return
    if asked.band is None:
        yield from family.running(guests=guests)
        yield from family.kept()
        return
    for number in bands(asked):
        yield from family.band(number)


def _search(
    candidates: list[Trace], asked: Question, sensitive: bool, clock: Clock
) -> tuple[list[Trace], int]:
    if not (asked.text or asked.state or asked.least is not None):
        return candidates, len(candidates)
    found: list[Trace] = []
    until = clock() + BUDGET
    needle = asked.text.casefold()
    for number, trace in enumerate(candidates):
        if number % 16 == 0 and clock() > until:
            return found, number
        if _fits(trace, asked) and (not needle or _says(trace, needle, sensitive)):
            found.append(trace)
    return found, len(candidates)


def _fits(trace: Trace, asked: Question) -> bool:
    if asked.state and asked.state != state(trace):
        return False
    return asked.least is None or trace.seconds >= asked.least


def state(trace: Trace) -> str:
    """Return ``running``, ``error`` or ``ok``: a running one is no error yet."""
    return "running" if trace.running else "error" if trace.failed is not None else "ok"


def _says(trace: Trace, needle: str, sensitive: bool) -> bool:
    if holds(raw_title(trace), needle) or any(holds(text, needle) for text in trace.texts()):
        return True
    # Only failed traces have events with a message, and others are many.
    messages = trace.events if sensitive and trace.failed is not None else ()
    return any(holds(event.detail, needle) for event in messages)


def _entry(trace: Trace, sensitive: bool, most: int) -> dict[str, Any]:
    entry = summary(trace)
    if not most:
        return {**entry, "events": [], "longest": None}
    entry["events"] = events(trace, sensitive, Room(0), most=most)
    below = [other for event, other in trace.others() if event.kind == CHILD and other is not None]
    longest = max(below, key=lambda other: other.seconds, default=None)
    entry["longest"] = None if longest is None else {
        "id": public_id(longest.id),
        "family": public(longest.family),
        "title": title(longest, 400),
        "seconds": micro(longest.seconds),
    }  # fmt: skip
    return entry


def merge_lists(
    answers: dict[int, Any], asked: Question, missing: Sequence[int] = ()
) -> dict[str, Any]:
    """Return one page of the list of all workers, newest first; running ones oldest first.

    :raises UnknownError: if no worker has such a family.
    """
    told = answers.values()
    if asked.family and not any(each["known"] for each in told):
        raise UnknownError(f"There is no family {asked.family!r} of traces.{unheard(missing)}")
    oldest = asked.band == RUNNING
    each = [
        [{**trace, "worker": pid} for trace in answer["traces"]] for pid, answer in answers.items()
    ]
    merged = heapq.merge(*each, key=lambda trace: trace["start"], reverse=not oldest)
    first = (asked.page - 1) * asked.limit
    shown = list(merged)[first : first + asked.limit]
    return {
        "family": asked.family or None,
        "traces": shown,
        "showing": len(shown),
        "of": sum(each["of"] for each in told),
        "scanned": sum(each["scanned"] for each in told),
        "candidates": sum(each["candidates"] for each in told),
    }
