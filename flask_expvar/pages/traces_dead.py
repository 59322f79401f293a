"""Dead workers: what they were doing when they died, from the notes in their slots."""

from __future__ import annotations

import time
from typing import Any

from ..redaction import redact_text
from ..variables.registry import Registry
from ..workers.graves import Grave
from ..workers.membership import membership
from .texts import clean
from .vars_table import seconds, visible

#: Deaths on the page, requests of one, and characters of its stacks.
MOST_DEATHS, MOST_REQUESTS, LONGEST_STACK = 10, 50, 16_384


def tell_dead(registry: Registry, pid: int | None = None) -> dict[str, Any]:
    """Return the deaths that are known, the newest first, or those of one process.

    Any worker may tell: the notes are in the folder that all share.
    """
    shares = membership(registry)
    found = [each for each in shares.graves() if pid in (None, each.pid)]
    return {
        "dead": [_death(each) for each in found[:MOST_DEATHS]],
        "deadOf": len(found),
        "stacksNote": shares.stacks_note,
    }


def _death(grave: Grave) -> dict[str, Any]:
    return {
        "worker": grave.pid,
        "slot": grave.slot,
        "started": grave.started_ns / 1e9,
        "died": grave.died_ns / 1e9,
        "exact": grave.exact,
        "cause": grave.cause,
        "requests": [
            {
                "route": clean(each.text),
                "start": each.began_ns / 1e9,
                # Until what ended the process went through it, if that is known.
                "seconds": max((each.ended_ns or grave.died_ns) - each.began_ns, 0) / 1e9,
                "trace": f"{each.number:016x}" if each.number else None,
            }
            for each in grave.requests[:MOST_REQUESTS]
        ],
        "of": len(grave.requests),
        "missed": grave.missed,
        "stack": redact_text(grave.stack[:LONGEST_STACK], LONGEST_STACK),
    }


def dead_html(told: dict[str, Any]) -> dict[str, Any]:
    """Return the deaths as people read them."""
    return {
        "deaths": [
            {
                "worker": death["worker"],
                "cause": _cause(death),
                "died": _when(death["died"]),
                "exact": death["exact"],
                "uptime": seconds(max(death["died"] - death["started"], 0)),
                "requests": [
                    {
                        "route": visible(each["route"]),
                        "start": _when(each["start"]),
                        "seconds": seconds(each["seconds"]),
                    }
                    for each in death["requests"]
                ],
                "of": death["of"],
                "missed": death["missed"],
                "stack": [visible(line) for line in death["stack"].splitlines()],
            }
            for death in told["dead"]
        ],
        "of": told["deadOf"],
        "note": told["stacksNote"],
    }


def _cause(death: dict[str, Any]) -> str:
    if death["cause"] == "SIGABRT":
        return "SIGABRT: aborted, as gunicorn does after its timeout"
    return death["cause"] or "killed, with no time for last words (SIGKILL, or out of memory)"


def _when(stamp: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(stamp))
