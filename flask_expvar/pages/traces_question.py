"""Question: what is asked of the traces page, by chasquid's parameters and a few more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..traces.family import FAILED, RUNNING
from ..traces.latencies import BANDS
from .links import query_string, quoted
from .page import LONGEST_PARAMETER, Query

#: Traces of a list, families of the matrix.
USUAL, MOST = 50, 50
#: Each worker has to tell of all pages before the one that is shown.
PAGES = 10
LONGEST_TEXT = 200

WINDOWS = ("minute", "hour", "all")
SORTS = ("name", "running", "errors", "rate", "p50", "p95", "p99")
STATES = ("ok", "error", "running")

MATRIX, LIST, LATENCY, TRACE = "matrix", "list", "latency", "trace"


@dataclass(frozen=True)
class Question:
    """The parameters, checked: also those that the view asked for does not use.

    :param band: a latency band, -1 for the running ones, -2 for errors, None for all.
    :param slower: whether the slower bands are meant too.
    :param least: only traces that took so many seconds or more.
    """

    family: str
    band: int | None
    slower: bool
    latency: bool
    trace: str
    ref: str
    text: str
    state: str
    least: float | None
    page: int
    limit: int
    sort: str
    window: str
    given: dict[str, str]

    @property
    def view(self) -> str:
        """What is to be shown."""
        if self.trace:
            return TRACE
        if self.family and self.latency:
            return LATENCY
        filters = self.family or self.text or self.state or self.least is not None
        return LIST if filters else MATRIX

    def link(self, **changes: object) -> str:
        """Return the query string of another view, of the same worker; empty values go."""
        return query_string({"worker": self.given.get("worker", ""), **changes})

    def same(self, **changes: object) -> str:
        """Return the query string of this view with some parameters changed."""
        kept = {name: value for name, value in self.given.items() if name in NAMES}
        return self.link(**{**kept, **changes})


#: The parameters that links keep.
NAMES = ("fam", "b", "all", "lat", "trace", "ref", "q", "status", "slower", "page", "limit",
         "sort", "window")  # fmt: skip


def question(query: Query) -> Question:
    """Return what *query* asks for.

    :raises ParameterError: if a parameter is not allowed.
    """
    return Question(
        family=query.text("fam"),
        band=query.whole("b", FAILED, len(BANDS) - 1),
        slower=query.flag("all", default=True),
        latency=bool(query.text("lat")),
        trace=query.text("trace"),
        ref=query.text("ref"),
        text=query.text("q", LONGEST_TEXT),
        state=query.choice("status", *STATES),
        least=query.duration("slower"),
        page=query.whole("page", 1, PAGES) or 1,
        limit=query.whole("limit", 1, MOST) or USUAL,
        sort=query.choice("sort", *SORTS) or SORTS[0],
        window=query.choice("window", *WINDOWS) or "hour",
        given=query.given,
    )


def bands(asked: Question) -> range:
    """Return the latency bands that are meant: none where running or failed ones are."""
    if asked.band in (RUNNING, FAILED):
        return range(0)
    if asked.band is None:
        return range(len(BANDS))
    return range(asked.band, len(BANDS) if asked.slower else asked.band + 1)


def from_net_trace(given: Mapping[str, str]) -> str:
    """Return our query string for one of ``/debug/requests`` of golang.org/x/net/trace.

    There the eight bands, whose bounds differ a little, are followed by the errors and by
    three latency histograms. What means nothing here is left out.
    """
    family, number = given.get("fam", ""), given.get("b", "")
    if not family or len(family) > LONGEST_PARAMETER:
        return ""
    known = {"-1": {"b": RUNNING}, "-2": {"b": FAILED}, str(len(BANDS)): {"b": FAILED}}
    bands = {str(band): {"b": band} for band in range(len(BANDS))}
    views = {key: {"lat": 1} for key in ("9", "10", "11")}
    kept = {**known, **bands, **views}.get(number, {})
    pairs = {"fam": family, **kept}
    return "?" + "&".join(f"{key}={quoted(value)}" for key, value in pairs.items())
