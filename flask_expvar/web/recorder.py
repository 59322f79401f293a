"""Recorder: what an exchange needs of its middleware."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from ..variables.histogram import Histogram
from ..variables.kinds import Int, Var
from ..variables.maps import Map
from ..variables.registry import Registry
from .requests import Requests

#: In place of a histogram that is not there: it is nobody's.
NONE = Histogram()
#: The histograms of the end: by route, and by method and code as well if somebody wants that.
Ends: TypeAlias = "tuple[Histogram, Histogram | None]"
NEITHER: Ends = (NONE, None)
#: The counters of method and code, the histograms of the first byte and of the end.
Found: TypeAlias = "tuple[Int, Int, Histogram, Ends]"


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
    #: What :meth:`find` has found, by what it was given.
    known: dict[Any, Found]

    def find(self, method: object, status: object, route: object) -> Found:
        """Return where a request is counted."""

    def histogram(self, histograms: Map, route: object) -> Histogram:
        """Return the histogram of *route*."""

    def put_off(self, exchange: Any) -> None:
        """Let *exchange* finish before the next request."""

    def lost(self, var: Var, error: Exception) -> None:
        """Note that something could not be counted in *var*."""
