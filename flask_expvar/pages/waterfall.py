"""The waterfall of one trace and what is below it: which bar is where, on one axis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

#: A link far from the trace would make slivers of all else: it is drawn at the edge then.
FAR = 3.0
#: Deeper bars are not indented further, in steps of so many pixels.
DEEPEST, STEP = 6, 10
#: A bar has at least so much of the width, in per cent, or nobody would see it.
THINNEST = 0.4
LANE, HEAD = 22, 24
TICKS = 40


@dataclass(frozen=True)
class Axis:
    """A piece of time, in seconds from the beginning of the trace."""

    low: float
    high: float

    def at(self, offset: float) -> float:
        """Return where *offset* is, in per cent; what is outside is at the edge."""
        share = 100 * (offset - self.low) / ((self.high - self.low) or 1.0)
        return round(min(max(share, 0.0), 100.0), 3)

    def marks(self) -> list[float]:
        """Return about five round offsets.

        >>> Axis(0, 0.23).marks()
        [0.0, 0.05, 0.1, 0.15, 0.2]
        """
        span = self.high - self.low
        if span <= 0:
            return [self.low]
        step = round_step(span / 5)
        first = -int(-self.low // step) if self.low < 0 else int(self.low // step)
        found = (round((first + number) * step, 9) for number in range(12))
        return [mark for mark in found if self.low <= mark <= self.high]


def round_step(least: float) -> float:
    """Return the smallest of 1, 2, 5, 10, 20 … that is no less than *least*."""
    power = 1e-6
    while power * 10 <= least:
        power *= 10
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * 0.999)


def axis(traces: Sequence[dict[str, Any]]) -> Axis:
    """Return the axis of the traces: all of what is below the first one, and links near it."""
    below = [each for each in traces if not each["linked"]]
    low, high = _span(below)
    all_low, all_high = _span(traces)
    if all_high - all_low <= FAR * (high - low):
        low, high = all_low, all_high
    return Axis(low, high)


def _span(traces: Iterable[dict[str, Any]]) -> tuple[float, float]:
    each = list(traces)
    low = min((one["offset"] for one in each), default=0.0)
    return low, max((one["offset"] + max(one["seconds"], 0.0) for one in each), default=0.0)


def own_seconds(began: float, end: float, children: Iterable[tuple[float, float]]) -> float:
    """Return how much of a time span none of its children covers.

    >>> own_seconds(0, 10, [(1, 4), (3, 5), (9, 12)])
    5.0
    """
    covered, until = 0.0, began
    for low, high in sorted(children):
        low, high = max(low, until), min(high, end)
        if high > low:
            covered += high - low
            until = high
    return max(end - began - covered, 0.0)


def lanes(traces: Sequence[dict[str, Any]], events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the data of the drawing: a lane for each trace, in the order given.

    :param events: the rows of the time line, drawn as ticks on the bar of their trace.
    """
    line = axis(traces)
    ticks: dict[int, list[float]] = {}
    for event in events:
        found = ticks.setdefault(event["of"], [])
        place = line.at(event["offset"])
        if len(found) < TICKS and (not found or found[-1] != place):
            found.append(place)
    return {
        "axis": [{"at": line.at(mark), "offset": mark} for mark in _apart(line, line.marks())],
        "lanes": [_lane(line, number, each, ticks) for number, each in enumerate(traces)],
        "height": HEAD + LANE * len(traces),
        "guides": list(_guides(traces)),
        "head": HEAD,
        "lane": LANE,
    }


def _apart(line: Axis, marks: list[float]) -> list[float]:
    """Return the marks whose labels do not lie on each other."""
    shown: list[float] = []
    for mark in marks:
        if not shown or line.at(mark) - line.at(shown[-1]) >= 12:
            shown.append(mark)
    return shown


def _lane(
    line: Axis, number: int, trace: dict[str, Any], ticks: dict[int, list[float]]
) -> dict[str, Any]:
    begin, end = line.at(trace["offset"]), line.at(trace["offset"] + trace["seconds"])
    width = max(end - begin, THINNEST)
    return {
        "y": HEAD + LANE * number,
        "indent": indent(trace["depth"]),
        "depth": trace["depth"],
        "x": round(min(begin, 100 - width), 3),
        "width": round(width, 3),
        "tint": min(trace["depth"], 3),
        "ticks": ticks.get(number, []),
        "before": trace["offset"] + trace["seconds"] < line.low,
        "after": trace["offset"] > line.high,
    }


def indent(depth: int) -> int:
    """Return how far in a trace is written, in pixels."""
    return STEP * min(depth, DEEPEST)


def _guides(traces: Sequence[dict[str, Any]]) -> Iterator[dict[str, int]]:
    """Yield a line for each run of lanes below one trace."""
    for depth in range(1, DEEPEST + 1):
        first: int | None = None
        for number, trace in enumerate([*traces, {"depth": 0}]):
            inside = trace["depth"] >= depth
            if inside and first is None:
                first = number
            elif not inside and first is not None:
                low, high = HEAD + LANE * first, HEAD + LANE * number
                yield {"x": indent(depth) - STEP // 2, "y1": low, "y2": high}
                first = None
