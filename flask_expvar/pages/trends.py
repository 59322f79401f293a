"""Trends: the histories of all workers as one, and what can be read off them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .charts import Points, summed
from .page import Query

#: How much of the past a chart may show, with the seconds between its points.
SPANS = {"1m": 1, "5m": 5, "15m": 15}
USUAL = "15m"


def span_of(query: Query) -> str:
    """Return which span is asked for.

    :raises ParameterError: if ``span`` is not allowed.
    """
    return query.choice("span", *SPANS) or USUAL


def merged(told: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return what several processes told of one step as if it were one process's.

    Rates and figures of processes add up; gauges follow their rule. Where a worker has no
    value the others' stand alone.
    """
    each = list(told)
    if not each:
        return {"step": 1, "end": 0, "own": {}, "series": {}, "full": False}
    step, end = each[0]["step"], max(one["end"] for one in each)
    # Asked at slightly different moments, one may be a point ahead of another.
    late = [(end - one["end"]) // step for one in each]
    own = _by_name([(one["own"], n) for one, n in zip(each, late)])
    series = _by_name([(one["series"], n) for one, n in zip(each, late)])
    return {
        "step": step,
        "end": end,
        "own": {name: summed([_moved(p, n) for p, n in found]) for name, found in own.items()},
        "series": {name: _series(found) for name, found in series.items()},
        "full": any(one["full"] for one in each),
    }


def _by_name(each: Iterable[tuple[Mapping[str, Any], int]]) -> dict[str, list[tuple[Any, int]]]:
    found: dict[str, list[tuple[Any, int]]] = {}
    for given, late in each:
        for name, value in given.items():
            found.setdefault(name, []).append((value, late))
    return found


def _moved(points: list[float | None], late: int) -> list[float | None]:
    return [*points[late:], *[None] * late] if late else points


def _series(found: Sequence[tuple[dict[str, Any], int]]) -> dict[str, Any]:
    first = found[0][0]
    rule = {"max": max, "min": min, "mostrecent": max}.get(first["mode"] or "", sum)
    data = {
        "kind": first["kind"],
        "mode": first["mode"],
        "points": _combined([_moved(one["points"], n) for one, n in found], rule),
    }
    keys = _by_name([(one.get("keys", {}), n) for one, n in found])
    if keys:
        data["keys"] = {
            key: _combined([_moved(p, n) for p, n in each], rule) for key, each in keys.items()
        }
    buckets = [(one, n) for one, n in found if one.get("bounds") == first.get("bounds")]
    if "buckets" in first:
        data["bounds"] = first["bounds"]
        columns = zip(*([_moved(b, n) for b in one["buckets"]] for one, n in buckets))
        data["buckets"] = [summed(column) for column in columns]
    return data


def _combined(each: Sequence[Points], rule: Callable[..., float]) -> list[float | None]:
    if len(each) == 1:
        return list(each[0])
    found: list[float | None] = []
    for column in zip(*each):
        known = [value for value in column if value is not None]
        found.append(rule(known) if known else None)
    return found


def percentile(bounds: Sequence[float], counts: Sequence[float], share: float) -> float | None:
    """Return an estimate of the value below which *share* of the observations are.

    As Prometheus has it: even inside a bucket, and the last bound for what is above it.

    >>> percentile((0.1, 0.2), (5, 5, 0), 0.75)
    0.15
    """
    wanted, below, lower = share * sum(counts), 0.0, 0.0
    if wanted <= 0:
        return None
    for bound, count in zip(bounds, counts):
        if count and below + count >= wanted:
            return round(lower + (bound - lower) * (wanted - below) / count, 6)
        below, lower = below + count, bound
    return lower


def percentiles(series: Mapping[str, Any], share: float) -> list[float | None]:
    """Return a percentile at each point; None where nothing was observed."""
    return [
        percentile(series["bounds"], [count or 0.0 for count in column], share)
        for column in zip(*series.get("buckets", ()))
    ]


def lately(points: Points, count: int) -> float | None:
    """Return the mean of the newest *count* points that are known, None if none is."""
    known = [value for value in points[-count:] if value is not None]
    return sum(known) / len(known) if known else None


def newest(points: Points) -> float | None:
    """Return the last value that is known."""
    return next((value for value in reversed(points) if value is not None), None)
