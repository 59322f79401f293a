"""Traces as plain data: secrets hidden in the process that has them, each text bounded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any

from .. import _json
from ..redaction import HIDDEN
from ..traces.event import LINK, Event
from ..traces.trace import Trace
from ..traces.tracer import Tracer, name
from .moments import micro
from .texts import Room, clean, fit, shown_name

#: Where requests are listed whose route is not known yet.
STARTING = "(starting)"
#: The kind of the row that stands for events that were not kept.
DROPPED = "dropped"
#: Facts of one trace that are shown.
FACTS = 30
LONGEST_FACT = 200


def public(name: str) -> str:
    """Return a family's name as pages and links have it."""
    return shown_name(name or STARTING)


def public_id(id: str) -> str:
    """Return a trace's id as pages and links have it."""
    rest, _, number = id.rpartition("!")
    family, _, wall = rest.rpartition("!")
    return f"{public(family)}!{wall}!{number}"


def find(tracer: Tracer, id: str, ref: str = "") -> Trace | None:
    """Return the trace with a public id, if need be through the one with the id *ref*."""
    refs = list(_raw_ids(tracer, ref)) if ref else []
    for raw in _raw_ids(tracer, id):
        for known in refs or [""]:
            found = tracer.find(raw, known)
            if found is not None:
                return found
    starting = (each for each in tracer.unnamed.running() if id in (each.id, public_id(each.id)))
    return next(starting, None)


def _raw_ids(tracer: Tracer, id: str) -> Iterator[str]:
    family, mark, number = id.rpartition("!")
    family, _, wall = family.rpartition("!")
    if not mark:
        return
    for each in tracer.families():
        # Who was starting when somebody noted its id has a family since.
        if family in (each.name, public(each.name), STARTING, ""):
            yield f"{each.name}!{wall}!{number}"


def outline(trace: Trace) -> dict[str, Any]:
    """Return which trace *trace* is, and how it fared."""
    return {
        "id": public_id(trace.id),
        "family": public(trace.family),
        "title": title(trace),
        "seconds": micro(trace.seconds),
        "running": trace.running,
        "error": None if trace.failed is None else fit(clean(trace.failed, 200), 400),
    }


def summary(trace: Trace) -> dict[str, Any]:
    """Return what is known of *trace* but for its events."""
    links = [public_id(event.other) for event, _ in trace.others() if event.kind == LINK]
    return {
        **outline(trace),
        "start": round(trace.started, 6),
        "parent": None if trace.parent is None else public_id(trace.parent),
        "links": links[:10],
        "facts": facts(trace),
        "dropped": trace.dropped,
        "late": trace.late,
    }


def title(trace: Trace, room: int = 2048) -> str:
    """Return the title of *trace*, which the program may have set to anything."""
    return fit(clean(raw_title(trace), 512), room)


def raw_title(trace: Trace) -> str:
    """Return the title of *trace* with its secrets."""
    given = trace.title
    return given if isinstance(given, str) else name(given)


def facts(trace: Trace) -> dict[str, Any]:
    """Return what else is known of *trace*: names and plain values."""
    given = trace.facts
    if not isinstance(given, dict):
        return {}
    # list() of a dict is one step: the program may write into it meanwhile.
    return {
        fit(clean(name(key), 100), LONGEST_FACT): _fact(value)
        for key, value in list(given.items())[:FACTS]
    }


def _fact(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int)):
        return value if value is None or abs(value) < 2**63 else str(value)[:40]
    if isinstance(value, float):
        return value if isfinite(value) else None
    text = value if isinstance(value, str) else _json.compact(value)
    return fit(clean(text, 2 * LONGEST_FACT), 2 * LONGEST_FACT)


def events(
    trace: Trace, sensitive: bool, room: Room, *, most: int | None = None
) -> list[dict[str, Any]]:
    """Return the events of *trace*, where some were dropped one that says so.

    :param most: so many at the most: a third from the start and the newest.
    """
    kept = trace.events
    gap, missing = trace.gap, trace.dropped
    if most is not None and len(kept) > most:
        gap = most // 3
        missing += len(kept) - most
        kept = [*kept[:gap], *kept[gap - most :]]
    return list(_told(trace.began, kept, gap, missing, sensitive, room))


def _told(
    began: float, kept: Sequence[Event], gap: int, missing: int, sensitive: bool, room: Room
) -> Iterator[dict[str, Any]]:
    last = began
    for number, event in enumerate(kept):
        if missing and number == gap:
            yield gap_event(micro(last - began), missing)
        yield event_data(event, began, last, sensitive, room)
        last = event.when


def gap_event(offset: float, count: int) -> dict[str, Any]:
    """Return the row that stands for *count* events that are not there."""
    text = f"{count:,} {'event' if count == 1 else 'events'} dropped"
    return {"offset": offset, "delta": 0.0, "kind": DROPPED, "text": text}


def event_data(
    event: Event, began: float, last: float, sensitive: bool, room: Room
) -> dict[str, Any]:
    """Return one event; its message, if it has one, only for who may see what is sensitive."""
    told: dict[str, Any] = {
        "offset": micro(event.when - began),
        "delta": micro(event.when - last),
        "kind": event.kind,
        "text": room.take(event.text),
    }
    if event.detail:
        told["detail"] = room.take(event.detail) if sensitive else HIDDEN
    if event.other:
        told["trace"] = public_id(event.other)
    return told
