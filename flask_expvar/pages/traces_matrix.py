"""The families of traces: how many there were of each latency, running and failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..exceptions import UnknownError
from ..traces.family import Family
from ..traces.latencies import BANDS, by_band, quantiles
from ..traces.tracer import Tracer
from .moments import micro
from .texts import unheard
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


def merge_families(
    answers: Iterable[list[dict[str, Any]]], windows: Sequence[str] = WINDOWS
) -> list[dict[str, Any]]:
    """Return one entry for each family of any worker, by name; nothing is rounded yet.

    :param windows: those whose percentiles are wanted.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for answer in answers:
        for told in answer:
            found.setdefault(told["family"], []).append(told)
    return [_merged(name, found[name], windows) for name in sorted(found)]


def _merged(name: str, told: list[dict[str, Any]], windows: Sequence[str]) -> dict[str, Any]:
    minute, hour, all_of_them = zip(*(each["windows"] for each in told), strict=True)
    columns = {"minute": minute, "hour": hour, "all": all_of_them}
    return {
        "family": name,
        "running": sum(each["running"] for each in told),
        "bands": by_band(_added(columns["all"])),
        "errors": sum(each["errors"] for each in told),
        "rate": round(sum(map(_rate, minute)), 3),
        "seconds": {key: _seconds(_added(columns[key])) for key in windows},
        "total": sum(each["total"] for each in told),
        "least": min((each["least"] for each in told if each["least"] is not None), default=None),
        "most": max((each["most"] for each in told if each["most"] is not None), default=None),
    }


def _added(column: Iterable[list[Any]]) -> dict[int, int]:
    """Return the counts by bucket of one window in all workers."""
    sums: dict[int, int] = {}
    for _, counts in column:
        for bucket, count in counts:
            sums[bucket] = sums.get(bucket, 0) + count
    return sums


def _rate(window: list[Any]) -> float:
    total: int = sum(count for _, count in window[1])
    # A family of half a second would have the rate of a busy one after a single trace.
    return total / max(float(window[0]), 1.0)


def _seconds(counts: Mapping[int, int]) -> dict[str, Any]:
    values = zip(SHARES, quantiles(counts, tuple(SHARES.values())), strict=True)
    shown = {name: None if value is None else round(value, 9) for name, value in values}
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


def latency_data(
    families: list[dict[str, Any]], name: str, missing: Sequence[int] = ()
) -> dict[str, Any]:
    """Return the histogram of one family.

    :raises UnknownError: if no worker has such a family.
    """
    found = next((each for each in families if each["family"] == name), None)
    if found is None and name != STARTING:
        raise UnknownError(f"There is no family {name!r} of traces.{unheard(missing)}")
    found = found or _merged(name, [_told(name, 0)], WINDOWS)
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
