"""The text of metrics: Prometheus' format 0.0.4, and OpenMetrics 1.0.

https://prometheus.io/docs/instrumenting/exposition_formats/
https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from math import isnan
from typing import Any, NamedTuple, Protocol

from ..redaction import redact_text
from .form import Holes, filler
from .metric import COUNTER, HISTOGRAM, INFO, SPLIT, UNKNOWN, Family, Item, Labels, Naming, families
from .plan import Entry, Path, Plan

_NONE: frozenset[Any] = frozenset()


class Exemplar(NamedTuple):
    """One observation that a bucket has counted, and the trace of it."""

    seconds: float
    trace: str
    when: float


#: By where a request is counted below the map: its route, or method, code and route. Oldest first.
Exemplars = Mapping[Path, Sequence[Exemplar]]
#: What the names of maps of latencies end with, whatever the middleware's prefix, and how long the
#: paths of their histograms are.
TIMES = {"requestSeconds": 2, SPLIT: 4}


class Values(Protocol):
    """What stands for the numbers of items: what they are worth, or holes."""

    def number(self, item: int) -> str:
        """Return the value of a number."""

    def histogram(self, item: int) -> tuple[list[str], str]:
        """Return the cumulative counts of a histogram's buckets, and the sum."""

    def exemplar(self, item: int, bucket: int) -> str:
        """Return what stands behind a bucket in OpenMetrics, if anything."""


def plain(value: Any) -> str:
    """Return a number as both formats have it.

    >>> plain(3), plain(0.1), plain(float("inf"))
    ('3', '0.1', '+Inf')
    """
    if not isinstance(value, float):
        return int.__repr__(value)
    if value - value == 0:
        return float.__repr__(value)
    return "NaN" if isnan(value) else "+Inf" if value > 0 else "-Inf"


@lru_cache(maxsize=1000)
def bound(value: float) -> str:
    """Return a bound as Go writes it: 1e+06 where Python has 1000000.0."""
    text = plain(value)
    dot = text.find(".")
    if value > 0 and dot > 6 and "e" not in text:
        return f"{text[0]}.{text[1:dot]}{text[dot + 1 :]}".rstrip("0.") + f"e+{dot - 1:02d}"
    return text


# The words of figures and help are the same at every read.
@lru_cache(maxsize=4096)
def escaped(text: str, quotes: bool = True) -> str:
    """Return *text* as it stands in a label, or, without *quotes*, in the help of 0.0.4."""
    text = text.replace("\\", r"\\").replace("\n", r"\n").replace("\0", "\ufffd")
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text.replace('"', r"\"") if quotes else text


def labelled(labels: Labels) -> str:
    """Return labels in braces, nothing for none."""
    if not labels:
        return ""
    return "{" + ",".join([f'{name}="{escaped(value)}"' for name, value in labels]) + "}"


def text_of(
    found: Iterable[Family], items: Sequence[Item], values: Values, openmetrics: bool
) -> str:
    """Return families as text, without the end mark."""
    lines: list[str] = []
    for family in found:
        lines += _head(family, openmetrics)
        if family.type == HISTOGRAM:
            for series in family.series:
                lines += _histogram(family.name, series.labels, items, series.item, values,
                                    openmetrics)  # fmt: skip
        else:
            name = family.name + {COUNTER: "_total", INFO: "_info"}.get(family.type, "")
            lines += [
                f"{name}{labelled(labels)} {values.number(item)}" for item, labels in family.series
            ]
    return "\n".join([*lines, ""]) if lines else ""


# It is the same at every read.
_without_secrets = lru_cache(maxsize=4096)(redact_text)


def _head(family: Family, openmetrics: bool) -> list[str]:
    name, type = family.name, family.type
    if not openmetrics:
        name += {COUNTER: "_total", INFO: "_info"}.get(type, "")
        type = {INFO: "gauge", UNKNOWN: "untyped"}.get(type, type)
    help = escaped(_without_secrets(family.help), openmetrics)
    head = [f"# HELP {name} {help}", f"# TYPE {name} {type}"]
    return [*head, f"# UNIT {name} {family.unit}"] if openmetrics and family.unit else head


def _histogram(
    name: str, labels: Labels, items: Sequence[Item], item: int, values: Values, om: bool
) -> list[str]:
    bounds = items[item].spec.bounds
    counts, total = values.histogram(item)
    lines = []
    for at, (le, count) in enumerate(zip([*map(bound, bounds), "+Inf"], counts)):
        example = values.exemplar(item, at) if om else ""
        lines.append(f"{name}_bucket{labelled((*labels, ('le', le)))} {count}{example}")
    # OpenMetrics has no sum where an observation may be negative, and then no count either.
    if om and (bounds[0] < 0 or total.startswith("-")):
        return lines
    own = labelled(labels)
    return [*lines, f"{name}_sum{own} {total}", f"{name}_count{own} {counts[-1]}"]


@dataclass(frozen=True)
class Known:
    """The values of items that are known already."""

    items: Sequence[Item]

    def number(self, item: int) -> str:
        """Return the value of a number."""
        return plain(self.items[item].value)

    def histogram(self, item: int) -> tuple[list[str], str]:
        """Return counts and sum."""
        value = self.items[item].value
        return [*map(plain, value["buckets"].values())], plain(value["sum"])

    def exemplar(self, item: int, bucket: int) -> str:
        """Return nothing."""
        return ""


@dataclass(frozen=True)
class Make:
    """What makes a form: :meth:`Plan.once` keeps one for each."""

    naming: Naming
    openmetrics: bool
    odd: frozenset[str] = _NONE
    gone: frozenset[Path] = _NONE

    def __call__(self, plan: Plan) -> Form:
        """Return the form of *plan*."""
        return Form(plan, self)


class Form:
    """The metrics of one plan with holes where the numbers go."""

    def __init__(self, plan: Plan, make: Make) -> None:
        self.plan, self.make = plan, make
        self._holes = Holes(len(plan.read()[0]))
        self._entries = [entry for entry in plan.order if entry.path not in make.gone]
        items = [Item(entry.path, entry.spec) for entry in self._entries]
        #: What has a hole of its own, in their order; a path and a bucket for an exemplar.
        self._others: list[Entry | tuple[Path, int]] = []
        self._bounds: dict[Path, tuple[float, ...]] = {}
        #: What there is on the page.
        self.found = families(items, make.naming, make.odd)
        self._fill = filler(text_of(self.found.families, items, self, make.openmetrics))

    # Holes: see Values

    def number(self, item: int) -> str:
        """Return a hole."""
        entry = self._entries[item]
        if entry.plain:
            return self._holes.hole(entry.ints_at)
        self._others.append(entry)
        return self._holes.hole()

    def histogram(self, item: int) -> tuple[list[str], str]:
        """Return holes."""
        entry = self._entries[item]
        self._others.append(entry)
        holes = [self._holes.hole() for _ in range(len(entry.spec.bounds) + 2)]
        negative = entry.path[0] in self.make.odd
        return holes[:-1], "-" if negative and self.make.openmetrics else holes[-1]

    def exemplar(self, item: int, bucket: int) -> str:
        """Return a hole where there may be one: in the middleware's latencies."""
        path = self._entries[item].path
        if TIMES.get(path[0].rpartition("/")[2]) != len(path):
            return ""
        self._bounds[path] = self._entries[item].spec.bounds
        self._others.append((path, bucket))
        return self._holes.hole()

    # Reading

    def odd(self, ints: list[int], floats: list[float]) -> frozenset[str]:
        """Return the variables that are below zero, where they must not be."""
        if (not ints or min(ints) >= 0) and (not floats or (sum(floats) >= 0 <= min(floats))):
            return _NONE
        return frozenset(
            entry.path[0]
            for entry in self._entries
            if entry.spec.mode is None and _is_odd(entry, ints, floats)
        )

    def filled(self, live: Sequence[bool], exemplars: Exemplars) -> str:
        """Return the page as it is now.

        :param live: which slots' processes live.
        """
        ints, floats = self.plan.read()
        odd = self.odd(ints, floats)
        if odd - self.make.odd:
            make = Make(self.make.naming, self.make.openmetrics, odd, self.make.gone)
            return self.plan.once(make).filled(live, exemplars)
        found: list[Any] = ints
        examples = self._placed(exemplars)
        for entry in self._others:
            if isinstance(entry, tuple):
                found.append(examples.get(entry, ""))
            elif entry.spec.kind == "histogram":
                found += accumulate(ints[entry.counts])
                found.append(plain(floats[entry.floats_at]))
            else:
                found.append(plain(entry.value(ints, floats, live)))
        return self._fill(found)

    def _placed(self, exemplars: Exemplars) -> dict[tuple[Path, int], str]:
        """Return the exemplars as text by the bucket that has counted them, the newest of each."""
        texts: dict[tuple[Path, int], str] = {}
        for path, bounds in self._bounds.items():
            for seconds, trace, when in exemplars.get(path[1:], ()):
                at = path, bisect_left(bounds, seconds)
                texts[at] = f' # {{trace_id="{trace}"}} {plain(seconds)} {when:.3f}'
        return texts


def _is_odd(entry: Entry, ints: list[int], floats: list[float]) -> bool:
    if entry.spec.kind == "int":
        return ints[entry.ints_at] < 0
    if entry.spec.kind in ("float", "histogram"):
        return not floats[entry.floats_at] >= 0
    return False
