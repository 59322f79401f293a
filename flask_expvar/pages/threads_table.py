"""The tables of ``/debug/threads``: groups and their threads as people read them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from .links import query_string
from .threads_question import LONGEST, Question
from .threads_text import deadlock, more, state
from .vars_table import seconds, visible

#: A stack has so many places before one opens it.
TOP = 3
#: So many threads of a group are shown.
MEMBERS = 50


def html(data: dict[str, Any], asked: Question) -> dict[str, Any]:
    """Return the data of the template."""
    return {
        "headline": headline(data),
        "groups": [_group(each, asked) for each in data["groups"]],
        "showing": data["showing"],
        "of": data["of"],
        "natives": [
            {"name": visible(each["name"]), "count": each["count"], "cpu": f"{each['cpu']:.3f} s"}
            for each in data["natives"]
        ],
        "notes": list(map(visible, data["notes"])),
        "deadlocks": [{"worker": e["worker"], "text": deadlock(e)} for e in data["deadlocks"]],
        "seconds": f"{data['seconds']:g}" if data["seconds"] else "",
        "again": asked.link(seconds=f"{LONGEST:g}"),
        "once": asked.link(),
        "text": asked.link(debug=1),
        "stuck": [
            {**each, "stack": "\n".join(map(visible, each["stack"].split("\n")))}
            for each in data["stuck"]
        ],
        "keep": asked.link(worker="", seconds=asked.given.get("seconds", ""))[1:],
    }


def headline(data: dict[str, Any]) -> str:
    """Return how many there are, and what most of them do.

    >>> thread = {"state": "waiting", "on": "a lock"}
    >>> group = {"count": 2, "members": [thread, thread]}
    >>> headline({"total": {"thread": 2}, "groups": [group]})
    '2 threads: 2 waiting for a lock'
    """
    counts = [f"{n:,} {kind}{'s' if n != 1 else ''}" for kind, n in data["total"].items() if n]
    states = Counter(state(each) for group in data["groups"] for each in group["members"])
    most = [f"{count:,} {name}" for name, count in states.most_common(5) if name]
    return ", ".join(counts) + (": " + ", ".join(most) if most else "")


def _group(group: dict[str, Any], asked: Question) -> dict[str, Any]:
    places = [visible(f"{function}  {file}:{line}") for file, line, function in group["stack"]]
    members = [_member(each, asked) for each in group["members"][:MEMBERS]]
    states = Counter(each["state"] for each in members)
    told = [each for each in group["members"] if each["still"] is not None]
    return {
        "key": group["key"],
        "kind": group["kind"],
        "count": f"{group['count']:,}",
        "top": places[:TOP],
        "stack": [*places, *filter(None, [more(group)])] if len(places) > TOP else [],
        "places": group["places"],
        "states": [
            {"text": name, "count": count, "class": "ok" if name.startswith("running") else ""}
            for name, count in states.most_common() if name
        ],
        "still": sum(each["still"] for each in told) if told else None,
        "members": members,
        "hidden": group["count"] - len(members),
    }  # fmt: skip


def _member(member: dict[str, Any], asked: Question) -> dict[str, Any]:
    request = member["request"]
    if request is not None:
        href = query_string({"trace": request["id"], "worker": asked.given.get("worker", "")})
        request = {
            "href": f"traces{href}",
            "text": request["family"],
            "seconds": seconds(request["seconds"]),
        }
    native = "–" if member["native"] is None else member["native"]
    return {
        **{key: member[key] for key in ("worker", "daemon", "current", "letter", "still")},
        "name": visible(member["name"]),
        "holder": visible(member["holder"] or ""),
        "native": native,
        "cpu": "–" if member["cpu"] is None else f"{member['cpu']:.3f} s",
        "busy": "" if member["busy"] is None else f"+{member['busy']:.3f} s",
        "state": state(member),
        "request": request,
    }
