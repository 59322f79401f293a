"""Arming: profiles of single requests, as the page of profiles asks for them and lists them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ..exceptions import ParameterError
from ..stacks.arms import LONGEST, MOST, arms_of
from ..variables.registry import Registry
from ..workers.rounds import Asked
from .links import query_string
from .moments import duration, iso, when
from .page import Query
from .vars_table import seconds, visible

#: What may be done, and the word of ``EXPVAR_ACTIONS`` that it needs.
ACTIONS = {"arm": "arm", "disarm": "arm"}
#: Unless one says: so many requests, and for so many seconds.
COUNT, TTL = 20, 300.0
LONGEST_ROUTE = 256

_ID = re.compile(r"[0-9]+-r[0-9]+")


def act(registry: Registry, action: str, query: Query) -> dict[str, Any]:
    """Have the next requests profiled in this process, or no more.

    :raises ParameterError: if a field is not allowed.
    """
    arms = arms_of(registry)
    if action == "disarm":
        arms.disarm()
        return {"left": 0}
    count = query.whole("count", 1, MOST) or COUNT
    route = query.text("route", LONGEST_ROUTE).strip()
    slower = _within(query, "slower", 0.0, zero=True)
    arms.arm(count, route, slower, _within(query, "for", TTL))
    return {"left": count}


def _within(query: Query, name: str, usual: float, *, zero: bool = False) -> float:
    # What a form sends of a field that was left empty.
    if not query.given.get(name):
        return usual
    found = query.duration(name)
    if found is None or not 0 <= found <= LONGEST or (found == 0 and not zero):
        allowed = f"at most {LONGEST:g} s, such as 0.5 or 500ms"
        raise ParameterError(name, query.given[name], allowed)
    return found


def profile_link(value: object) -> str:
    """Return where the profile is that a trace names; empty if *value* is no name of one."""
    known = isinstance(value, str) and _ID.fullmatch(value)
    return f"profile{query_string({'id': value})}" if known else ""


def plain(asked: Asked) -> dict[str, Any]:
    """Return what is armed, and which profiles of requests are kept, for ``profile.json``."""
    return {"armed": asked.armed, "requests": asked.kept}


def html(asked: Asked) -> dict[str, Any]:
    """Return the same for the template, with what the form says at first."""
    return {
        "armed": [_armed(each) for each in asked.armed],
        "requests": list(_rows(asked.kept)),
        "count": COUNT,
        "most": MOST,
        "ttl": f"{TTL:g}",
    }


def _armed(each: dict[str, Any]) -> dict[str, Any]:
    return {
        "worker": each["worker"],
        "left": each["left"],
        "route": visible(each["route"]),
        "slower": seconds(each["slower"]) if each["slower"] else "",
        "until": duration(each["ends_in"]),
    }


def _rows(kept: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    for each in kept:
        yield {
            "when": when(each["started"]),
            "iso": iso(each["started"]),
            "seconds": seconds(each["seconds"]),
            "route": visible(each["route"]),
            "worker": each["worker"],
            "id": each["id"],
            "href": profile_link(each["id"]),
            "trace": f"traces{query_string({'trace': each['trace']})}" if each["trace"] else "",
        }
