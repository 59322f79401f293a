"""One trace with everything below it, bounded: as a tree of bars and as one time line."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ..exceptions import UnknownError
from ..traces.event import CHILD, LINK, Event
from ..traces.trace import Trace
from ..traces.tracer import Tracer
from .moments import micro
from .texts import Room, unheard
from .traces_plain import event_data, find, gap_event, outline, summary
from .traces_question import Question
from .waterfall import own_seconds

Clock = Callable[[], float]

#: Rows of the drawing and of the time line, and how far down traces are followed.
ROWS, DEPTH = 500, 20
#: Counting what is not shown ends after so many traces, or so many seconds of work.
COUNTED, BUDGET = 10_000, 0.05
#: Characters of long texts.
TEXTS = 200_000


class Node(NamedTuple):
    """A trace somewhere below the one that is asked for.

    :param above: the place of what leads to it, by *via*: a child or a link.
    :param linked: whether a link is anywhere on the way to it.
    """

    trace: Trace
    depth: int
    above: int
    via: str
    linked: bool


class _Row(NamedTuple):
    when: float
    order: int
    node: int
    event: Event | int  # a number: so many were dropped here


def tell_trace(
    tracer: Tracer, asked: Question, sensitive: bool, *, clock: Clock = time.thread_time
) -> dict[str, Any] | None:
    """Return the trace that is asked for, None if this process does not know it."""
    root = find(tracer, asked.trace, asked.ref)
    if root is None:
        return None
    nodes, total, whole = walk(root, clock)
    places = _in_order(nodes)
    ordered = [nodes[place] for place in places]
    rows, of = _time_line(nodes, places)
    return {
        "trace": {**summary(root), "traceparent": root.traceparent},
        "traces": [_bar(node, root) for node in ordered],
        "rows": list(_rows(rows, root, sensitive)),
        "showing": {"traces": len(ordered), "rows": len(rows)},
        "of": {"traces": total, "rows": of},
        "whole": whole,
    }


def merge_trace(answers: dict[int, Any], asked: Question, missing: list[int]) -> dict[str, Any]:
    """Return the answer of the worker that knows the trace.

    :raises UnknownError: if none does.
    """
    for pid, answer in answers.items():
        if answer["found"] is not None:
            told = answer["found"]
            return {**told, "trace": {**told["trace"], "worker": pid}}
    family = asked.trace.rpartition("!")[0].rpartition("!")[0]
    known = family and any(family in answer["families"] for answer in answers.values())
    raise UnknownError(
        "There is no such trace. It may have been dropped after newer ones of its kind,"
        f" or with the worker that had it.{unheard(missing)}",
        link=(f"traces{asked.link(fam=family)}", family) if known else None,
    )


def walk(root: Trace, clock: Clock) -> tuple[list[Node], int, bool]:
    """Return the traces below *root*, those of few generations first, each once.

    Also how many there are, and whether that is all: counting stops somewhere, too.
    """
    nodes = [Node(root, 0, -1, "", False)]
    seen = {id(root)}
    # A number is the place in nodes, of traces that are counted only -1.
    waiting = deque([(root, 0, 0)])
    until = clock() + BUDGET
    while waiting:
        if len(seen) >= COUNTED or clock() > until:
            return nodes, len(seen), False
        trace, depth, place = waiting.popleft()
        for event, other in trace.others():
            if other is None or id(other) in seen:
                continue
            seen.add(id(other))
            shown = place >= 0 and depth < DEPTH and len(nodes) < ROWS
            waiting.append((other, depth + 1, len(nodes) if shown else -1))
            if shown:
                linked = event.kind == LINK or nodes[place].linked
                nodes.append(Node(other, depth + 1, place, event.kind, linked))
    return nodes, len(seen), True


def _in_order(nodes: list[Node]) -> list[int]:
    """Return the places of *nodes* so that each comes after its parent, by time."""
    below: dict[int, list[int]] = {}
    for place, node in enumerate(nodes):
        below.setdefault(node.above, []).append(place)
    order: list[int] = []
    waiting = [0]
    while waiting:
        place = waiting.pop()
        order.append(place)
        later = sorted(below.get(place, []), key=lambda each: nodes[each].trace.began)
        waiting += reversed(later)
    return order


def _bar(node: Node, root: Trace) -> dict[str, Any]:
    trace = node.trace
    end = trace.began + trace.seconds
    children = [
        (other.began, other.began + other.seconds)
        for event, other in trace.others()
        if event.kind == CHILD and other is not None
    ]
    own = own_seconds(trace.began, end, children)
    return {
        **outline(trace),
        "depth": node.depth,
        "via": node.via,
        "linked": node.linked,
        "offset": micro(trace.began - root.began),
        "self": micro(own),
        "children": micro(max(end - trace.began - own, 0.0)),
    }


def _time_line(nodes: list[Node], places: list[int]) -> tuple[list[_Row], int]:
    """Return the events of all traces by time, and how many there are.

    Too many, and the traces far below are the first to go without.
    """
    rows: list[_Row] = []
    of = 0
    shown_as = {place: number for number, place in enumerate(places)}
    for place, node in enumerate(nodes):
        found = list(_events(node.trace, shown_as[place], len(rows)))
        of += len(found)
        rows += found[: ROWS - len(rows)]
    return sorted(rows), of


def _events(trace: Trace, node: int, first: int) -> Iterator[_Row]:
    kept, last = trace.events, trace.began
    order = first
    for number, event in enumerate(kept):
        if trace.dropped and number == trace.gap:
            yield _Row(last, order, node, trace.dropped)
            order += 1
        yield _Row(event.when, order, node, event)
        order += 1
        last = event.when


def _rows(rows: list[_Row], root: Trace, sensitive: bool) -> Iterator[dict[str, Any]]:
    room, last = Room(TEXTS), root.began
    for row in rows:
        if isinstance(row.event, int):
            told = gap_event(micro(row.when - root.began), row.event)
        else:
            told = event_data(row.event, root.began, last, sensitive, room)
        last = row.when
        yield {"of": row.node, **told}
