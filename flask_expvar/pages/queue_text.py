"""Queues as text, in chasquid's format."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from .vars_table import visible

_ESCAPES = str.maketrans({
    "\\": "\\\\", '"': '\\"', "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r",
    "\t": "\\t", "\v": "\\v",
})  # fmt: skip

NONE = "# Queue status\n\nno queue is registered: call flask_expvar.register_queue(name, fetch)\n"


def text(sections: list[dict[str, Any]], missing: list[int], now: float) -> str:
    """Return the text of all *sections*: where there is one, as chasquid would print it."""
    workers: dict[str, int] = {}
    for section in sections:
        workers[section["name"]] = workers.get(section["name"], 0) + 1
    parts = [_section(each, len(workers) > 1, workers[each["name"]] > 1, now) for each in sections]
    parts += [f"# Queue status\n\nerror: worker {pid} did not answer in time\n" for pid in missing]
    if len(parts) < 2:
        return parts[0] if parts else NONE
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _section(section: Mapping[str, Any], named: bool, per_worker: bool, now: float) -> str:
    lines = ["# Queue status", ""]
    if named:
        lines.append(f"queue: {section['name']}")
    if per_worker:
        lines.append(f"worker: {section['worker']}")
    if section["error"]:
        return "\n".join(
            [*lines, f"date: {moment(now)}", f"error: {visible(section['error'])}", ""]
        )
    lines += [f"date: {moment(section['now'])}", f"length: {section['depth']}"]
    if section["showing"] < section["depth"]:
        lines.append(f"showing: {_which(section)}")
    lines.append("")
    return "\n".join(lines) + "\n" + "".join(map(_item, section["items"]))


def _which(section: Mapping[str, Any]) -> str:
    first, count = section["first"], section["showing"]
    which = f"{first} to {first + count - 1}" if count else "none"
    if section["searched"]:
        return f"{which} of {section['of']} found in {section['scanned']} scanned"
    more = "; there was no room for more: ask for a smaller limit" if section["cut"] else ""
    return f"{which} of {section['of']}{more}"


def _item(item: Mapping[str, Any]) -> str:
    lines = [f"## Item {visible(item['id'])}".rstrip()]
    if "problem" in item:
        return "\n".join([*lines, f"error: {visible(item['problem'])}", "", ""])
    if item["created"] is not None:
        lines.append(f"created at: {moment(item['created'])}")
    if item["from"] or item["recipients"]:
        lines.append(f"from: {visible(item['from'])}")
    if item["to"] or item["recipients"]:
        more = [f"... {item['toOf'] - len(item['to'])} more"] * (item["toOf"] > len(item["to"]))
        lines.append(f"to: [{' '.join([*map(visible, item['to']), *more])}]")
    lines += _ours(item)
    for each in item["recipients"]:
        lines += _recipient(each)
    if item["recipientsOf"] > len(item["recipients"]):
        lines.append(f"... {item['recipientsOf'] - len(item['recipients'])} more recipients")
    return "\n".join([*lines, "", ""])


def _ours(item: Mapping[str, Any]) -> list[str]:
    """Return what chasquid's format has not, each line only if there is something to say."""
    lines = []
    if item["summary"]:
        lines.append(f"summary: {visible(item['summary'])}")
    if item["age"] is not None:
        lines.append(f"age: {span(item['age'])}")
    if item["attempts"] is not None:
        lines.append(f"attempts: {item['attempts']}")
    if item["nextAttempt"] is not None:
        lines.append(f"next attempt: {moment(item['nextAttempt'])} ({_away(item['nextIn'])})")
    if item["status"]:
        lines.append(f"status: {visible(item['status'])}")
    if item["lastFailure"]:
        lines.append(f"last failure: {quoted(item['lastFailure'])}")
    return lines


def _recipient(each: Mapping[str, str]) -> list[str]:
    return [
        f"{visible(each['status'])} {visible(each['address'])} ({visible(each['type'])})",
        f"  original address: {visible(each['original'])}",
        f"  last failure: {quoted(each['lastFailure'])}",
    ]


def moment(stamp: float) -> str:
    """Return date, time and zone as Go prints them."""
    whole, part = divmod(round(stamp * 1e6), 1_000_000)
    there = time.localtime(whole)
    fraction = f".{part:06}".rstrip("0").rstrip(".")
    return time.strftime("%Y-%m-%d %H:%M:%S", there) + fraction + time.strftime(" %z %Z", there)


def span(seconds: float) -> str:
    """Return a time span in whole seconds as Go prints it.

    >>> span(3725.4)
    '1h2m5s'
    """
    sign, left = ("-" if seconds <= -0.5 else ""), round(abs(seconds))
    hours, minutes = left // 3600, left // 60 % 60
    head = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{head}{left % 60}s"


def _away(seconds: float) -> str:
    return f"in {span(seconds)}" if seconds >= 0 else f"{span(-seconds)} ago"


def quoted(text: str) -> str:
    """Return *text* as Go's ``%q`` prints it, on one line."""
    return '"' + visible(text.translate(_ESCAPES)) + '"'
