"""Exemplars: traces of requests that this process keeps, for the buckets that counted them.

Nothing is noted on a request's way: what the rings of the traces hold is looked at when somebody
reads, the newest of each latency band.
"""

from __future__ import annotations

from ..traces.latencies import BANDS
from ..traces.tracer import tracer_of
from ..variables.metric import OTHER_METHOD
from ..variables.openmetrics import Exemplar
from ..variables.plan import Path
from ..variables.registry import Registry

#: Families beyond so many have none: a read has its limits.
MOST_FAMILIES = 200


def exemplars(registry: Registry) -> dict[Path, list[Exemplar]]:
    """Return some requests of this process by route, and by method, code and route; oldest first.

    A trace is named by its W3C id, under which tracing systems know it as well.
    """
    found: dict[Path, list[Exemplar]] = {}
    for family in tracer_of(registry).families()[:MOST_FAMILIES]:
        route = family.name.partition(" ")[2]
        for band in range(len(BANDS)) if route else ():
            for trace in family.band(band)[-1:]:
                facts = trace.facts or {}
                method, code = facts.get("method"), facts.get("status")
                if not isinstance(method, str):
                    continue
                if method.startswith("unknown"):
                    method = OTHER_METHOD
                end = trace.started + trace.seconds
                one = Exemplar(trace.seconds, trace.w3c_id, end)
                found.setdefault((route,), []).append(one)
                found.setdefault((method, str(code), route), []).append(one)
    for each in found.values():
        each.sort(key=lambda one: one.when)
    return found
