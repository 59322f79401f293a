"""The tile of the overview for what waits in the application's queues."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from ..variables.registry import Registry
from .page import Query
from .queue_plain import tell_queues
from .queue_question import question
from .queue_table import age
from .registered import registered
from .texts import short

#: Queues that are asked, and the seconds that they have together: the page does not wait longer.
MOST, BUDGET = 20, 0.25


def tell_depths(registry: Registry, query: Query) -> list[dict[str, Any]]:
    """Return how much waits in the queues of this process, and for how long the oldest does."""
    queues = dict(islice(sorted(registered(registry).queues.items()), MOST))
    # One item is the oldest: where a source has pages, they begin with it.
    asked = question(Query({"limit": "1"}))
    told = tell_queues(
        queues, asked, speaks=query.speaks, sensitive=query.sensitive, budget=BUDGET
    )["queues"]
    names = ("name", "error", "depth", "oldest")
    return [{name: each.get(name) for name in names} for each in told]


def queue_tile(told: Mapping[int, list[dict[str, Any]]]) -> dict[str, Any] | None:
    """Return the tile of what all workers told, None if no queue is registered."""
    each = [section for sections in told.values() for section in sections]
    known = [section for section in each if not section["error"]]
    broken = [section for section in each if section["error"]]
    if not each:
        return None
    ages = [section["oldest"] for section in known if section["oldest"] is not None]
    # Workers that have a queue each often say the same of theirs.
    notes = [*dict.fromkeys(f"{short(each['name'])}: {each['error']}" for each in broken)][:2]
    notes += [f"the oldest: {age(max(ages))}"] if ages else []
    notes += [f"in {len(each)} queues"] if len(each) > 1 else []
    return {
        "label": "Queue",
        "value": f"{sum(section['depth'] for section in known):,}" if known else "–",
        "note": ", ".join(notes) or short(each[0]["name"]),
        "state": "err" if broken else "none",
        "spark": "",
        "href": "queue",
    }
