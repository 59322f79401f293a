"""The tables of ``/debug/traces``: families, lists and latencies as people read them."""

from __future__ import annotations

from typing import Any

from ..traces.family import FAILED, RUNNING
from ..traces.latencies import BANDS
from .moments import iso, when, zone
from .texts import cost, opened, short
from .traces_question import PAGES, SORTS, STATES, WINDOWS, Question
from .vars_table import seconds, visible

#: Bytes of names and links on one page: what is more is not shown, and counted.
MOST_BYTES = 1_200_000
#: Families of one page.
FAMILIES = 50
#: A list of so few traces, or events, is open from the start.
FEW_TRACES, FEW_EVENTS = 10, 8
MARKS = {"ok": "✔", "error": "✖", "running": "●"}


def matrix_html(data: dict[str, Any], asked: Question) -> dict[str, Any]:
    """Return the data of a page of the matrix family × (running, bands, errors)."""
    rows, left = [], MOST_BYTES
    last = min(max(-(-len(data["families"]) // FAMILIES), 1), PAGES)
    page = min(asked.page, last)
    first = (page - 1) * FAMILIES
    for family in data["families"][first : first + FAMILIES]:
        row = _family_row(family, asked)
        left -= row["cost"]
        if left < 0:
            break
        rows.append(row)
    return {
        "bands": [bound(each) for each in data["bands"]],
        "rows": rows,
        "showing": len(rows),
        "first": first + 1,
        "of": data["of"],
        "previous": asked.same(page=page - 1) if page > 1 else "",
        "next": asked.same(page=page + 1) if page < last else "",
        "sorts": {
            name: {"href": asked.same(sort=name, page=""), "on": asked.sort == name}
            for name in SORTS
        },
        "windows": [
            {"name": name, "href": asked.same(window=name), "on": asked.window == name}
            for name in WINDOWS
        ],
        "window": asked.window,
        "search": search(asked),
    }


def bound(value: float) -> str:
    """Return the lower bound of a latency band."""
    return f"≥ {seconds(value)}" if value else "≥ 0"


def _family_row(family: dict[str, Any], asked: Question) -> dict[str, Any]:
    name, window = family["family"], family["seconds"][asked.window]
    cells = [_cell(family["running"], asked, fam=name, b=RUNNING)]
    cells += [
        _cell(count, asked, fam=name, b=number, all=0)
        for number, count in enumerate(family["bands"])
    ]
    failed = _cell(family["errors"], asked, fam=name, b=FAILED)
    href = asked.link(fam=name)
    shares = {key: "–" if window[key] is None else seconds(window[key]) for key in SORTS[-3:]}
    links = sum(len(cell["href"]) for cell in (*cells, failed))
    return {
        "name": name,
        "href": href,
        "latency": asked.link(fam=name, lat=1),
        "cells": cells,
        "failed": failed,
        "rate": f"{family['rate']:,.3g}" if family["rate"] else "0",
        "shares": shares,
        "cost": cost(name) + links + 2 * len(href) + 1000,
    }


def _cell(count: int, asked: Question, **link: object) -> dict[str, str]:
    # Most are empty, and have no link.
    return {"text": f"{count:,}", "href": asked.link(**link) if count else ""}


def search(asked: Question) -> dict[str, Any]:
    """Return what the form for searching holds."""
    return {
        "q": asked.text,
        "fam": asked.family,
        "status": asked.state,
        "slower": asked.given.get("slower", ""),
        "b": "" if asked.band is None else str(asked.band),
        "all": "" if asked.slower else "0",
        "states": STATES,
        "worker": asked.given.get("worker", ""),
        "clear": asked.link() if asked.text or asked.state or asked.least is not None else "",
    }


def list_html(data: dict[str, Any], asked: Question) -> dict[str, Any]:
    """Return the data of a list of traces."""
    traces = data["traces"]
    last = asked.page * asked.limit
    more = last < data["of"]
    return {
        "family": asked.family,
        "what": what(asked),
        "zone": zone(),
        "traces": [_entry(each, asked, len(traces)) for each in traces],
        "showing": len(traces),
        "first": last - asked.limit + 1,
        "of": data["of"],
        "scanned": data["scanned"],
        "candidates": data["candidates"],
        "searched": bool(asked.text or asked.state or asked.least is not None),
        "previous": asked.same(page=asked.page - 1) if asked.page > 1 else "",
        "next": asked.same(page=asked.page + 1) if more and asked.page < PAGES else "",
        "deepest": more and asked.page >= PAGES,
        "bands": _tabs(asked),
        "toggle": _toggle(asked),
        "latency": asked.link(fam=asked.family, lat=1) if asked.family else "",
        "families": asked.link(),
        "search": search(asked),
    }


def what(asked: Question) -> str:
    """Return in words which traces of a family are listed."""
    if asked.band is None:
        return "all that are kept"
    if asked.band == RUNNING:
        return "running, the oldest first"
    if asked.band == FAILED:
        return "failed"
    slower = asked.slower or asked.band == len(BANDS) - 1
    if slower:
        return bound(BANDS[asked.band])
    return f"{bound(BANDS[asked.band])} and < {seconds(BANDS[asked.band + 1])}"


def _tabs(asked: Question) -> list[dict[str, Any]]:
    """Return the links to the other lists of the family."""
    if not asked.family:
        return []
    tabs: list[tuple[str, int | None]] = [("all", None), ("running", RUNNING)]
    tabs += [(bound(each), number) for number, each in enumerate(BANDS)]
    tabs.append(("errors", FAILED))
    return [
        {
            "text": text,
            "href": asked.same(b="" if band is None else band, page=""),
            "on": asked.band == band,
        }
        for text, band in tabs
    ]


def _toggle(asked: Question) -> dict[str, str] | None:
    if asked.band is None or not 0 <= asked.band < len(BANDS) - 1:
        return None
    if asked.slower:
        return {"text": "Only this band", "href": asked.same(all=0, page="")}
    return {"text": "This band and slower", "href": asked.same(all="", page="")}


def _entry(trace: dict[str, Any], asked: Question, count: int) -> dict[str, Any]:
    longest = trace["longest"]
    events = [event_html(each) for each in trace["events"]]
    return {
        **head(trace, asked),
        "events": events,
        "open": count <= FEW_TRACES and len(events) <= FEW_EVENTS,
        "longest": longest and {
            "title": short(longest["title"] or longest["family"]),
            "seconds": seconds(longest["seconds"]),
            "href": asked.link(trace=longest["id"], ref=trace["id"]),
        },
    }  # fmt: skip


def head(trace: dict[str, Any], asked: Question) -> dict[str, Any]:
    """Return what is shown of a trace everywhere."""
    return {
        "family": trace["family"],
        "title": short(trace["title"]) or "(no title)",
        "href": asked.link(trace=trace["id"]),
        "when": when(trace["start"]),
        "iso": iso(trace["start"]),
        "seconds": seconds(trace["seconds"]),
        "exact": f"{trace['seconds']:.6f} s",
        "worker": trace["worker"],
        **status(trace),
    }


def status(trace: dict[str, Any]) -> dict[str, str]:
    """Return the state of a trace as an icon and a word."""
    state = "running" if trace["running"] else "ok" if trace["error"] is None else "error"
    error = trace["error"]
    word = state if error is None else visible(error) + (" so far" if trace["running"] else "")
    return {
        "state": "error" if error is not None else state,
        "mark": MARKS["error" if error is not None else state],
        "word": word,
    }


def event_html(event: dict[str, Any]) -> dict[str, Any]:
    """Return one event of a time line."""
    other = event.get("trace", "")
    return {
        "other": other.rpartition("!")[0].rpartition("!")[0][:80],
        "offset": f"{event['offset']:.6f}",
        "delta": delta(event["delta"]),
        "kind": event["kind"],
        **opened(event["text"], event.get("detail", "")),
    }


def delta(value: float) -> str:
    """Return a time span in seconds so that its width tells its size.

    >>> delta(0.000016), delta(0.25), delta(-1.5)
    (' .    16', ' .250000', '-1.500000')
    """
    sign = "-" if value < 0 else " "
    whole, micros = divmod(round(abs(value) * 1e6), 1_000_000)
    return f"{sign}{whole}.{micros:06}" if whole else f"{sign}.{micros:6}"


def latency_html(data: dict[str, Any], asked: Question) -> dict[str, Any]:
    """Return the data of a family's histogram."""
    figures = {key: data[key] for key in ("total", "mean", "min", "max")}
    name = data["family"]
    return {
        "family": name,
        "count": f"{data['count']:,}",
        "figures": {
            key: "–" if value is None else seconds(value) for key, value in figures.items()
        },
        "bands": [
            {
                "bound": bound(each["bound"]),
                "href": asked.link(fam=name, b=number) if each["count"] else "",
                "count": f"{each['count']:,}",
                "share": f"{each['share']:.1f}%",
                "width": each["share"],
                "cumulative": f"{each['cumulative']:.1f}%",
            }
            for number, each in enumerate(data["bands"])
        ],
        "windows": [
            {"name": key, "count": f"{value['count']:,}"}
            | {p: "–" if value[p] is None else seconds(value[p]) for p in ("p50", "p95", "p99")}
            for key, value in data["seconds"].items()
        ],
        "running": _cell(data["running"], asked, fam=name, b=RUNNING),
        "failed": _cell(data["errors"], asked, fam=name, b=FAILED),
        "list": asked.link(fam=name),
        "families": asked.link(),
    }
