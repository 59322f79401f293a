"""The tables of ``/debug/queue``: queues and their items as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .moments import duration, iso, when, zone
from .queue_question import PAGES, Question
from .texts import opened, short

_MARKS = {
    "PENDING": ("●", "muted"), "SENT": ("✔", "ok"), "FAILED": ("✖", "err"),
}  # fmt: skip
NO_TEXT: dict[str, str] = {"text": "", "whole": "", "detail": ""}


def table(sections: list[dict[str, Any]], asked: Question, sensitive: bool) -> dict[str, Any]:
    """Return the data of the template: a summary of all queues, and the items of each."""
    return {
        "sections": [_section(each, asked, number) for number, each in enumerate(sections, 1)],
        "zone": zone(),
        "hides": not sensitive and any(each.get("items") for each in sections),
        "all": asked.link() if asked.name else "",
        "search": {
            "q": asked.text,
            "name": asked.name,
            "limit": asked.given.get("limit", ""),
            "worker": asked.given.get("worker", ""),
            "clear": asked.same(q="", page="") if asked.text else "",
        },
    }


def _section(section: Mapping[str, Any], asked: Question, number: int) -> dict[str, Any]:
    shown = {
        "id": f"queue-{number}",
        "name": section["name"],
        "worker": section["worker"],
        "error": section["error"],
        "href": asked.same(name=section["name"], page=""),
    }
    if section["error"]:
        return {**shown, "rows": [], "states": []}
    more = not section["cut"] and section["first"] - 1 + section["showing"] < section["of"]
    return {
        **shown,
        "depth": f"{section['depth']:,}",
        "depth_number": section["depth"],
        "oldest": "" if section["oldest"] is None else age(section["oldest"]),
        "of_all": section["oldestIsOfAll"],
        "states": [
            {"state": short(state), "count": f"{count:,}", **_mark(state)}
            for state, count in section["states"].items()
        ],
        "rows": [_row(item) for item in section["items"]],
        "first": section["first"],
        "showing": section["showing"],
        "of": section["of"],
        "scanned": section["scanned"],
        "searched": section["searched"],
        "previous": asked.same(page=asked.page - 1) if asked.page > 1 else "",
        "next": asked.same(page=asked.page + 1) if more and asked.page < PAGES else "",
        # The next page would begin behind those that there was no room for.
        "smaller": asked.same(page="", limit=max(section["showing"] // 2, 1))
        if section["cut"]
        else "",
    }


def _mark(state: str) -> dict[str, str]:
    mark, tone = _MARKS.get(state, ("", ""))
    return {"mark": mark, "tone": tone}


def age(seconds: float) -> str:
    """Return how old something is; what is of the future, for how long that lasts."""
    return duration(seconds) if seconds >= 0 else f"in {duration(-seconds)}"


def _row(item: Mapping[str, Any]) -> dict[str, Any]:
    row = {"id": short(item["id"]), "problem": short(item.get("problem", "")), "recipients": []}
    if row["problem"]:
        return row
    later = item["nextAttempt"]
    created = item["created"]
    return {
        **row,
        "age": "" if item["age"] is None else age(item["age"]),
        "created": None if created is None else {"text": when(created), "iso": iso(created)},
        "from": short(item["from"]),
        "to": [short(each) for each in item["to"]],
        "to_more": item["toOf"] - len(item["to"]),
        "summary": short(item["summary"]),
        "attempts": "" if item["attempts"] is None else f"{item['attempts']:,}",
        "next": None if later is None else _next(later, item["nextIn"]),
        "status": short(item["status"]),
        **_mark(item["status"]),
        "failure": opened(item["lastFailure"], "") if item["lastFailure"] else NO_TEXT,
        "recipients": [_recipient(each) for each in item["recipients"]],
        "more": item["recipientsOf"] - len(item["recipients"]),
    }


def _next(stamp: float, away: float) -> dict[str, str]:
    relative = f"in {duration(away)}" if away >= 0 else f"{duration(-away)} ago"
    return {"text": relative, "title": when(stamp), "iso": iso(stamp)}


def _recipient(each: Mapping[str, str]) -> dict[str, Any]:
    moved = each["original"] != each["address"]
    return {
        "address": short(each["address"]),
        "status": short(each["status"]),
        "type": short(each["type"]),
        "original": short(each["original"]) if moved else "",
        "failure": opened(each["lastFailure"], "") if each["lastFailure"] else NO_TEXT,
        **_mark(each["status"]),
    }
