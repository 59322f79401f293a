"""Tiles and charts of the overview: whether all is well, at a glance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .charts import bar_chart, heat_map, line_chart, spark, summed
from .overview_queues import queue_tile
from .trends import lately, newest, percentiles
from .units import number, percent, size
from .vars_table import plain, seconds

#: From where on a figure is a warning, and a problem: the share of errors, seconds of the 95th
#: percentile, and the share of the time that the garbage collector takes.
ERROR_SHARE, SLOW, COLLECTING = (0.01, 0.05), (0.5, 2.0), (0.05, 0.2)
MINUTE = 60


def tiles(
    tree: Mapping[str, Any],
    process: Mapping[str, Any],
    second: Mapping[str, Any],
    past: Mapping[str, Any],
    queues: Mapping[int, list[dict[str, Any]]],
) -> list[dict[str, Any]]:
    """Return about eight figures with a verdict in words.

    :param second: the histories of the last minute, a point each second.
    :param past: those of the charts, for the little lines.
    :param queues: what the workers told of theirs.
    """
    pauses = lately(_own(second, "pauses"), MINUTE)
    found = [
        _requests(tree, second, past),
        _errors(second, past),
        _latency(second, past),
        _tile("In flight", plain(tree.get("http/requestsInFlight", 0)), "bodies not closed yet",
              line=_points(past, "http/requestsInFlight")),
        _tile("Memory", size(process.get("residentMemoryBytes", 0)), "resident",
              line=_own(past, "rss")),
        _tile("Threads", plain(process.get("threads", 0)),
              f"CPU: {_cpu(second)} of a core", line=_own(past, "threads")),
        _tile("Garbage collector", "–" if pauses is None else percent(pauses),
              "of the time, in the last minute" if pauses is not None else "history begins now",
              _verdict(pauses, COLLECTING), f"over {percent(COLLECTING[0])}",
              _own(past, "pauses")),
    ]  # fmt: skip
    waiting, dropped = queue_tile(queues), tree.get("expvar/dropped", 0)
    found += [waiting] if waiting else []
    # That nothing was dropped gives way to what the program has of its own.
    if dropped or not waiting:
        state = "warn" if dropped else "ok"
        found.append(_tile("Dropped", plain(dropped), "counts that found no place", state))
    return found


def _requests(
    tree: Mapping[str, Any], second: Mapping[str, Any], past: Mapping[str, Any]
) -> dict[str, Any]:
    total = plain(sum(tree.get("http/responseCodeCount", {}).values()))
    now = lately(_points(second, "http/requestCount"), 10)
    return _tile(
        "Requests",
        "–" if now is None else f"{number(now)}/s",
        f"{total} since the start",
        line=_points(past, "http/requestCount"),
    )


def _errors(second: Mapping[str, Any], past: Mapping[str, Any]) -> dict[str, Any]:
    failed = lately(errors(second), MINUTE)
    every = lately(_points(second, "http/responseCodeCount"), MINUTE)
    share = (failed or 0.0) / every if every else None
    return _tile(
        "Server errors",
        "–" if share is None else percent(share),
        "in the last minute" if share is not None else "no request in the last minute",
        _verdict(share, ERROR_SHARE),
        f"over {percent(ERROR_SHARE[0])}",
        errors(past),
    )


def _latency(second: Mapping[str, Any], past: Mapping[str, Any]) -> dict[str, Any]:
    found = second["series"].get("http/requestSeconds", {})
    counts = [[value or 0.0 for value in bucket] for bucket in found.get("buckets", ())]
    minute = {"bounds": found.get("bounds", ()), "buckets": [[sum(each)] for each in counts]}
    p95 = newest(percentiles(minute, 0.95))
    return _tile(
        "p95",
        "–" if p95 is None else seconds(p95),
        "in the last minute" if p95 is not None else "no request in the last minute",
        _verdict(p95, SLOW),
        f"over {seconds(SLOW[0])}",
        percentiles(past["series"].get("http/requestSeconds", {}), 0.95),
    )


def _cpu(second: Mapping[str, Any]) -> str:
    used = lately(_own(second, "cpu"), 10)
    return "–" if used is None else percent(used)


def _tile(
    label: str,
    value: str,
    note: str,
    state: str = "none",
    limit: str = "",
    line: Sequence[float | None] = (),
) -> dict[str, Any]:
    bad = state in ("warn", "err") and limit
    text = f"{limit}, {note}" if bad else note
    return {"label": label, "value": value, "note": text, "state": state, "spark": spark(line)}


def _verdict(value: float | None, limits: tuple[float, float]) -> str:
    if value is None:
        return "none"
    return "ok" if value <= limits[0] else "warn" if value <= limits[1] else "err"


def _points(past: Mapping[str, Any], name: str) -> list[float | None]:
    found: list[float | None] = past["series"].get(name, {}).get("points", [])
    return found


def _own(past: Mapping[str, Any], name: str) -> list[float | None]:
    found: list[float | None] = past["own"].get(name, [])
    return found


def errors(past: Mapping[str, Any]) -> list[float | None]:
    """Return how many responses per second were the server's fault."""
    keys = past["series"].get("http/responseCodeCount", {}).get("keys", {})
    failed = [points for code, points in keys.items() if code.startswith("5")]
    return summed(failed) or [None] * len(_points(past, "http/responseCodeCount"))


def charts(past: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the charts of what happened lately."""
    around: dict[str, Any] = {"step": past["step"], "end": past["end"]}
    latency = past["series"].get("http/requestSeconds", {})
    lines = {name: percentiles(latency, share) for name, share in (("p50", 0.5), ("p95", 0.95))}
    return [
        bar_chart(
            "requests", "Responses per second", classes(past), unit="/s", bad="5xx", **around
        ),
        line_chart("latency", "Latency", lines if latency else {}, unit="s", **around),
        heat_map(
            "heat", "Requests by latency", latency.get("bounds", ()),
            latency.get("buckets", ()), **around,
        ),
        line_chart("cpu", "CPU", {"of one core": _own(past, "cpu")}, unit="%", **around),
        line_chart("memory", "Memory", {"resident": _own(past, "rss")}, unit="B", **around),
        line_chart(
            "flight", "In flight", {"requests": _points(past, "http/requestsInFlight")},
            unit="", **around,
        ),
    ]  # fmt: skip


def classes(past: Mapping[str, Any]) -> dict[str, list[float | None]]:
    """Return responses per second by the class of their code."""
    keys = past["series"].get("http/responseCodeCount", {}).get("keys", {})
    found: dict[str, list[Any]] = {}
    for code, points in sorted(keys.items()):
        known = code[:1] in "12345"
        found.setdefault(f"{code[:1]}xx" if known else "others", []).append(points)
    return {name: summed(each) for name, each in found.items()}
