"""Charts as plain data: where each line, bar and cell is; ``charts.html`` draws them.

Everything is in per cent of the plot, which is stretched to the width of the page; text is not,
so it stays readable on a narrow one. Nothing depends on the clock or the zone but *end*.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from math import ceil, log2
from typing import Any

from .units import UNITS
from .vars_table import seconds
from .waterfall import round_step

Points = Sequence["float | None"]
#: Lines or layers of one chart that can be told apart, by colour and dash.
MOST_SERIES = 4
#: The tone of what counts errors, beside those of the others.
BAD = 5
SHADES = 5
#: Per cent of a plot that a value between two gaps takes.
ALONE = 1.5
#: Pixels of a plot, and at least of a row of a heat map, beside which its name has to fit.
HEIGHT, ROW = 120, 14


def line_chart(
    key: str, title: str, series: Mapping[str, Points], *, unit: str, step: int, end: int
) -> dict[str, Any]:
    """Return a chart of some lines, from zero up; a missing value is a gap.

    :param key: tells it from the other charts of its page.
    :param unit: one of :data:`~.units.UNITS`.
    :param step: seconds between points.
    :param end: the moment of the last one.
    """
    shown = dict(list(series.items())[:MOST_SERIES])
    most = max((v for p in shown.values() for v in p if v is not None), default=0)
    top, marks = scale(most, unit)
    return {
        "shape": "lines",
        **_around(key, title, shown, unit, step, end),
        "grid": _grid(marks, top, UNITS[unit]),
        "series": [
            {**_legend(name, points, unit), "tone": tone, "path": path(points, top)}
            for tone, (name, points) in enumerate(shown.items(), 1)
        ],
    }


def bar_chart(
    key: str,
    title: str,
    series: Mapping[str, Points],
    *,
    unit: str,
    step: int,
    end: int,
    bad: str = "",
) -> dict[str, Any]:
    """Return a chart of bars that are stacked on each other; beyond four layers they are one.

    :param bad: the layer that has the colour of errors.
    """
    shown = dict(list(series.items())[:MOST_SERIES])
    if len(series) > MOST_SERIES:
        rest = list(series.values())[MOST_SERIES - 1 :]
        shown.popitem()
        shown["others"] = summed(rest)
    total = summed(list(shown.values()))
    top, marks = scale(max((value for value in total if value is not None), default=0), unit)
    below = [0.0] * len(total)
    layers = []
    for tone, (name, points) in enumerate(shown.items(), 1):
        bars = []
        for place, value in enumerate(points):
            if value:
                below[place] += value
                bars.append(_bar(place, len(points), below[place], value, top))
        tone = BAD if name == bad else tone
        layers.append({**_legend(name, points, unit), "tone": tone, "bars": bars})
    return {
        "shape": "bars",
        **_around(key, title, shown, unit, step, end),
        "grid": _grid(marks, top, UNITS[unit]),
        "series": layers,
    }


def _bar(place: int, of: int, upper: float, value: float, top: float) -> dict[str, float]:
    width = 100 / of
    return {
        "x": round(place * width + width / 10, 3),
        "y": round(100 - 100 * upper / top, 3),
        "width": round(0.8 * width, 3),
        "height": round(100 * value / top, 3),
    }


def heat_map(
    key: str, title: str, bounds: Sequence[float], buckets: Sequence[Points], *, step: int, end: int
) -> dict[str, Any]:
    """Return how a distribution changed: a row for each bucket that counted, darker for more."""
    names = [f"≤ {seconds(bound)}" for bound in bounds]
    names.append(f"> {seconds(bounds[-1])}" if bounds else "all")
    used = [at for at, points in enumerate(buckets) if any(points)]
    rows = range(min(used), max(used) + 1) if used else range(0)
    most = max((v for at in rows for v in buckets[at] if v), default=0.0)
    count = len(rows)
    cells = []
    for row, at in enumerate(reversed(rows)):
        for place, value in enumerate(buckets[at]):
            if value:
                width = 100 / len(buckets[at])
                cells.append({
                    "x": round(place * width, 3),
                    "y": round(100 * row / count, 3),
                    "width": round(width, 3),
                    "height": round(100 / count, 3),
                    "shade": max(ceil(SHADES * value / most), 1),
                })  # fmt: skip
    shown = {names[at]: buckets[at] for at in rows}
    return {
        "shape": "heat",
        **_around(key, title, shown, "/s", step, end),
        "grid": [
            {"at": round(100 * (row + 1) / count, 3), "text": names[at]}
            for row, at in enumerate(reversed(rows))
        ],
        "height": max(HEIGHT, ROW * count),
        "cells": cells,
        "series": [],
        "most": UNITS["/s"](most),
    }


def spark(points: Points) -> str:
    """Return the path of a line without axes, empty if there is nothing to see."""
    known = [value for value in points if value is not None]
    return path(points, max(known) or 1.0) if len(known) > 1 else ""


def path(points: Points, top: float) -> str:
    """Return *points* as the path of a line on a plot of 100 by 100.

    >>> path([0, 5, None, 10], 10)
    'M0 100L33.333 50M98.5 0h1.5'
    """
    found, pen = [], "M"
    last = max(len(points) - 1, 1)
    for place, value in enumerate(points):
        if value is None:
            pen = "M"
            continue
        alone = pen == "M" and (place + 1 == len(points) or points[place + 1] is None)
        x, y = round(100 * place / last, 3), round(100 - 100 * min(value / top, 1), 3)
        if alone:
            x = round(min(max(x - ALONE / 2, 0), 100 - ALONE), 3)
        found.append(f"{pen}{x:g} {y:g}{f'h{ALONE:g}' if alone else ''}")
        pen = "L"
    return "".join(found)


def scale(most: float, unit: str = "") -> tuple[float, list[float]]:
    """Return the upper end of an axis that begins at zero, and about three round marks on it.

    >>> scale(7.3)
    (10, [5, 10])
    """
    if most <= 0:
        return 1.0, []
    # Of bytes powers of two are round.
    step = 2.0 ** ceil(log2(most / 3)) if unit == "B" else round_step(most / 3)
    marks = [round(step * n, 9) for n in range(1, ceil(most / step - 1e-9) + 1)]
    return marks[-1], marks


def summed(each: Sequence[Points]) -> list[float | None]:
    """Return the sum of several lines at each point; None only where none of them has a value."""
    found = []
    for column in zip(*each):
        known = [value for value in column if value is not None]
        found.append(sum(known) if known else None)
    return found


def _grid(marks: Sequence[float], top: float, text: Callable[[float], str]) -> list[dict[str, Any]]:
    return [{"at": round(100 - 100 * mark / top, 3), "text": text(mark)} for mark in marks]


def _legend(name: str, points: Points, unit: str) -> dict[str, str]:
    known = [value for value in points if value is not None]
    text = UNITS[unit]
    return {
        "name": name,
        "last": text(known[-1]) if known and points[-1] is not None else "–",
        "low": text(min(known)) if known else "–",
        "high": text(max(known)) if known else "–",
    }


def _around(
    key: str, title: str, series: Mapping[str, Points], unit: str, step: int, end: int
) -> dict[str, Any]:
    count = max(map(len, series.values()), default=0)
    text = UNITS[unit]
    moments = [end - step * (count - 1 - place) for place in range(count)]
    known = [
        (moment, values)
        for moment, values in zip(moments, zip(*series.values()))
        if any(value is not None for value in values)
    ]
    return {
        "key": key,
        "title": title,
        "empty": not known,
        "height": HEIGHT,
        "first": _clock(moments[0]) if moments else "",
        "middle": _clock(moments[count // 2]) if moments else "",
        "last": _clock(end),
        "about": f"{count} points, {step} s apart, until {_clock(end)}",
        "names": list(series),
        "rows": [
            [_clock(moment), *("–" if value is None else text(value) for value in values)]
            for moment, values in reversed(known)
        ],
    }


def _clock(moment: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(moment))
