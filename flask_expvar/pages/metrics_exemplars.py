"""Exemplars: traces of requests that this process keeps, for the buckets that counted them.

Nothing is noted on a request's way: what the rings of the traces hold is looked at when somebody
reads, the newest of each latency band.
"""

from __future__ import annotations

from ..traces.latencies import BANDS
from ..traces.tracer import tracer_of
from ..variables.openmetrics import Exemplar
from ..variables.registry import Registry

#: Families beyond so many have none: a read has its limits.
MOST_FAMILIES = 200


def exemplars(registry: Registry) -> dict[str, list[Exemplar]]:
    """Return some requests of this process by route, oldest first.

    A trace is named by its W3C id, under which tracing systems know it as well.
    """
    found: dict[str, list[Exemplar]] = {}
    for family in tracer_of(registry).families()[:MOST_FAMILIES]:
        route = family.name.partition(" ")[2]
        for band in range(len(BANDS)) if route else ():
            for trace in family.band(band)[-1:]:
                if (trace.facts or {}).get("method"):
                    end = trace.started + trace.seconds
                    found.setdefault(route, []).append(Exemplar(trace.seconds, trace.w3c_id, end))
    for each in found.values():
        each.sort(key=lambda one: one.when)
    return found
