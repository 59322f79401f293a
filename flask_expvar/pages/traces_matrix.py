"""The families of traces: how many there were of each latency, running and failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..exceptions import UnknownError
from ..traces.family import Family
from ..traces.latencies import BANDS, Window, by_band, merged, quantile
from ..traces.tracer import Tracer
from .moments import micro
from .traces_plain import STARTING, public
from .traces_question import WINDOWS

#: Families of a page.
MOST_FAMILIES = 1000
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def tell_families(tracer: Tracer, only: str = "") -> list[dict[str, Any]]:
    """Return this process's families, or the one that is asked for, as :func:`merge_families`
    wants them.
    """
    guests = tracer.guests()
    told = [
        _family(each, each.count_running(guests), tracer.clock())
        for each in tracer.families()
        if only in ("", public(each.name))
    ]
    starting = tracer.unnamed.count_running(guests)
    if starting and only in ("", STARTING):
        told.append(_told(STARTING, starting))
    return told


def _family(family: Family, running: int, now: float) -> dict[str, Any]:
    with family.lock:
        latencies = family.latencies
        windows = latencies.windows(now)
        some = latencies.smallest <= latencies.largest
        return {
            **_told(public(family.name), running),
            "errors": family.error_count,
            "windows": [[each.seconds, list(each.counts.items())] for each in windows],
            "total": latencies.total,
            "least": latencies.smallest if some else None,
            "most": latencies.largest if some else None,
        }


def _told(family: str, running: int) -> dict[str, Any]:
    nothing: list[Any] = [[0.0, []] for _ in WINDOWS]
    rest = {"errors": 0, "windows": nothing, "total": 0.0, "least": None, "most": None}
    return {"family": family, "running": running, **rest}


def merge_families(answers: Iterable[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return one entry for each family of any worker, by name; nothing is rounded yet."""
    found: dict[str, list[dict[str, Any]]] = {}
    for answer in answers:
        for told in answer:
            found.setdefault(told["family"], []).append(told)
    return [_merged(name, found[name]) for name in sorted(found)]


def _merged(name: str, told: list[dict[str, Any]]) -> dict[str, Any]:
    windows = [
        [Window(seconds, dict(counts)) for seconds, counts in each["windows"]] for each in told
    ]
    sums = [merged(window.counts for window in column) for column in zip(*windows, strict=True)]
    return {
        "family": name,
        "running": sum(each["running"] for each in told),
        "bands": by_band(sums[2]),
        "errors": sum(each["errors"] for each in told),
        "rate": round(sum(map(_rate, (each[0] for each in windows))), 3),
        "seconds": {key: _seconds(counts) for key, counts in zip(WINDOWS, sums, strict=True)},
        "total": sum(each["total"] for each in told),
        "least": min((each["least"] for each in told if each["least"] is not None), default=None),
        "most": max((each["most"] for each in told if each["most"] is not None), default=None),
    }


def _rate(window: Window) -> float:
    # A family of half a second would have the rate of a busy one after a single trace.
    return sum(window.counts.values()) / max(window.seconds, 1.0)


def _seconds(counts: Mapping[int, int]) -> dict[str, Any]:
    values = {name: quantile(counts, share) for name, share in SHARES.items()}
    shown = {name: None if value is None else round(value, 9) for name, value in values.items()}
    return {**shown, "count": sum(counts.values())}


def sorted_families(families: list[dict[str, Any]], sort: str, window: str) -> list[dict[str, Any]]:
    """Return *families* with those first that have most of what is asked for."""
    if sort == "name":
        return families
    if sort in SHARES:
        return sorted(families, key=lambda each: -(each["seconds"][window][sort] or 0.0))
    return sorted(families, key=lambda each: -each[sort])


def matrix_data(families: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the matrix as programs get it."""
    names = ("family", "running", "bands", "errors", "rate", "seconds")
    shown = [{name: each[name] for name in names} for each in families[:MOST_FAMILIES]]
    return {
        "families": shown,
        "bands": list(BANDS),
        "showing": len(shown),
        "of": len(families),
    }


def latency_data(families: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return the histogram of one family.

    :raises UnknownError: if no worker has such a family.
    """
    found = next((each for each in families if each["family"] == name), None)
    if found is None and name != STARTING:
        raise UnknownError(f"There is no family {name!r} of traces.")
    found = found or _merged(name, [_told(name, 0)])
    count = sum(found["bands"])
    return {
        "family": name,
        "count": count,
        "errors": found["errors"],
        "running": found["running"],
        "total": micro(found["total"]),
        "mean": micro(found["total"] / count) if count else None,
        "min": None if found["least"] is None else micro(found["least"]),
        "max": None if found["most"] is None else micro(found["most"]),
        "bands": list(_histogram(found["bands"], count)),
        "seconds": found["seconds"],
    }


def _histogram(counts: list[int], total: int) -> Iterable[dict[str, Any]]:
    below = 0
    for bound, count in zip(BANDS, counts, strict=True):
        below += count
        yield {
            "bound": bound,
            "count": count,
            "share": round(100 * count / total, 2) if total else 0.0,
            "cumulative": round(100 * below / total, 2) if total else 0.0,
        }
