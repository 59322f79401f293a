"""Splitting: durations by method, code and route, counted only where somebody wants them.

OpenTelemetry's ``http.server.request.duration`` has all three. Route alone is enough for the
pages, and takes a tenth of the room.
"""

from __future__ import annotations

import weakref

from ..variables.histogram import Histogram
from ..variables.metric import OTHER_METHOD, SPLIT
from ..variables.registry import Registry
from .routes import METHODS

_split: weakref.WeakSet[Registry] = weakref.WeakSet()


def split_durations(registry: Registry) -> None:
    """Let durations be counted by method, code and route as well from now on."""
    _split.add(registry)


def is_split(registry: Registry) -> bool:
    """Return whether somebody wants that."""
    return registry in _split


def split_histogram(
    registry: Registry, prefix: str, method: object, code: str, route: object
) -> Histogram:
    """Return where the duration of such a request is counted.

    :raises NameTakenError: if there is something else.
    """
    methods = registry.new_map(
        f"{prefix}/{SPLIT}",
        "http_request_method",
        "seconds until the response body was closed, by method, code and route",
    )
    codes = methods.new_map(
        str(method) if method in METHODS else OTHER_METHOD, "http_response_status_code"
    )
    routes = codes.new_map(code, "http_route")
    return routes.new_histogram(route)  # type: ignore[arg-type]  # made text there
