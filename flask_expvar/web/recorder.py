"""Recorder: what an exchange needs of its middleware."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from ..variables.histogram import Histogram
from ..variables.kinds import Int, Var
from ..variables.maps import Map
from ..variables.registry import Registry
from .requests import Requests

#: Gives the variable under a key, None if there is none; anything may be asked for.
Lookup: TypeAlias = Callable[[Any], "Var | None"]


class Recorder(Protocol):
    """What an exchange needs of its middleware: variables, and ways to find their children."""

    registry: Registry
    clock: Callable[[], float]
    #: None where requests are not traced.
    requests: Requests | None
    trace_header: str | None
    exceptions: Map
    totals: Map
    firsts: Map
    in_flight: Int
    received: Int
    sent: Int
    # Look-ups of what is there already, in C: None for a key that is new.
    known_method: Lookup
    known_code: Lookup
    known_first: Lookup
    known_total: Lookup

    def method(self, method: object) -> Int:
        """Return the counter of a request method."""

    def code(self, status: object) -> Int:
        """Return the counter of a status as an application gave it."""

    def histogram(self, histograms: Map, route: object) -> Histogram:
        """Return the histogram of *route*."""

    def put_off(self, exchange: Any) -> None:
        """Let *exchange* finish before the next request."""

    def lost(self, var: Var, error: Exception) -> None:
        """Note that something could not be counted in *var*."""
