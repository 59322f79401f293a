"""One trace as people read it: its head, its waterfall, its time line."""

from __future__ import annotations

from typing import Any

from .arming import profile_link
from .moments import zone
from .texts import short
from .traces_question import Question
from .traces_table import event_html, head, status
from .vars_table import plain, seconds, visible
from .waterfall import lanes

#: Bytes of links to other traces on one page.
LINKS = 400_000


def trace_html(data: dict[str, Any], asked: Question) -> dict[str, Any]:
    """Return the data of the view of one trace."""
    trace, traces, rows = data["trace"], data["traces"], data["rows"]
    links = _Links(asked, trace["id"])
    bars = [_bar(each, links) for each in traces]
    places = {each["id"]: number for number, each in enumerate(traces)}
    drawing = lanes(traces, rows)
    for lane, bar in zip(drawing["lanes"], bars, strict=True):
        lane.update(bar)
    drawing["axis"] = [
        {"at": mark["at"], "text": seconds(mark["offset"]) if mark["offset"] else "0"}
        for mark in drawing["axis"]
    ]
    return {
        "trace": {**head(trace, asked), "zone": zone()},
        "self": seconds(traces[0]["self"]),
        "children": seconds(traces[0]["children"]),
        "family": {"name": trace["family"], "href": asked.link(fam=trace["family"])},
        "parent": _parent(trace, links),
        "links": [{"id": each, "href": links.to(each)} for each in trace["links"]],
        "traceparent": trace["traceparent"],
        "facts": [_fact(key, value) for key, value in trace["facts"].items()],
        "late": trace["late"],
        "id": trace["id"],
        "drawing": drawing,
        "rows": [_row(each, traces, bars, places) for each in rows],
        "showing": data["showing"],
        "of": data["of"],
        "whole": data["whole"],
        "alone": len(traces) == 1,
        "families": asked.link(),
    }


def _fact(key: str, value: Any) -> dict[str, str]:
    href = profile_link(value) if key == "profile" else ""
    return {"key": visible(key), "value": plain(value), "href": href}


class _Links:
    """Links to other traces, as many as a page has room for."""

    def __init__(self, asked: Question, ref: str) -> None:
        self._asked = asked
        self._ref = ref
        self._left = LINKS

    def to(self, id: str) -> str:
        """Return the address of a trace that this one leads to, empty if there is no room."""
        href = self._asked.link(trace=id, ref=self._ref)
        self._left -= len(href)
        return href if self._left >= 0 else ""


def _parent(trace: dict[str, Any], links: _Links) -> dict[str, str] | None:
    if trace["parent"] is None:
        return None
    family = trace["parent"].rpartition("!")[0].rpartition("!")[0]
    return {"family": family, "href": links.to(trace["parent"])}


def _bar(trace: dict[str, Any], links: _Links) -> dict[str, Any]:
    title = short(trace["title"])[:80]
    return {
        "family": trace["family"][:80],
        "title": title,
        "label": f"{trace['family']} {title}"[:80],
        "href": links.to(trace["id"]) if trace["depth"] else "",
        "offset": _offset(trace["offset"]),
        "seconds": seconds(trace["seconds"]),
        "self": seconds(trace["self"]),
        "children": seconds(trace["children"]) if trace["children"] else "–",
        "linked": trace["via"] == "link",
        **status(trace),
    }


def _offset(value: float) -> str:
    return f"{'-' if value < 0 else '+'}{seconds(abs(value))}" if value else "0"


def _row(
    event: dict[str, Any],
    traces: list[dict[str, Any]],
    bars: list[dict[str, Any]],
    places: dict[str, int],
) -> dict[str, Any]:
    number = event["of"]
    shown = event_html(event)
    if event["kind"] in ("child", "link"):
        shown["other"] = _other(event.get("trace", ""), bars, places)
    return {
        **shown,
        "of": number + 1,
        "depth": traces[number]["depth"],
        "name": bars[number]["family"],
    }


def _other(id: str, bars: list[dict[str, Any]], places: dict[str, int]) -> dict[str, Any]:
    """Return where the trace that an event leads to stands on this page."""
    number = places.get(id)
    if number is not None:
        return {"number": number + 1, "text": bars[number]["label"]}
    family = id.rpartition("!")[0].rpartition("!")[0]
    return {"number": 0, "text": f"{family[:80]} (not kept, or not shown)"}
