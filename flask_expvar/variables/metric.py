"""Metrics: which families of Prometheus the variables make, under which names and labels."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from . import names
from .layout import Spec
from .plan import Path

Labels = tuple[tuple[str, str], ...]
COUNTER, GAUGE, HISTOGRAM, INFO, UNKNOWN = "counter", "gauge", "histogram", "info", "unknown"
_UNITS = ("seconds", "bytes", "ratio")


class Item(NamedTuple):
    """One variable to be shown: where it is, what it is, and labels that it has beside its keys.

    :param value: what it is worth, where that is not filled in later.
    """

    path: Path
    spec: Spec
    value: Any = None
    extra: Labels = ()


class Rename(NamedTuple):
    """What one variable is called, in place of the name made of its own.

    :param typed: whether the family keeps its type and suffix.
    """

    expvar: str
    name: str
    help: str = ""
    label: str = ""
    typed: bool = False


#: Under the middleware's prefix: durations by method, code and route, where they are counted.
SPLIT = "durationSeconds"
#: What OpenTelemetry calls methods that are not known.
OTHER_METHOD = "_OTHER"
#: OpenTelemetry's semantic conventions for HTTP, as its exporters write them for Prometheus.
OTEL = (
    Rename(f"http/{SPLIT}", "http_server_request_duration_seconds", typed=True),
    Rename("http/requestsInFlight", "http_server_active_requests", "", "", True),
    Rename("http/requestCount", "http_requests", "", "http_request_method", True),
    Rename("http/responseCodeCount", "http_responses", "", "http_response_status_code", True),
    Rename("http/exceptionCount", "http_exceptions", "", "error_type", True),
)


@dataclass(frozen=True)
class Naming:
    """How variables are called; the first rename of a variable counts."""

    renames: tuple[Rename, ...] = ()

    def of(self, name: str) -> Rename | None:
        """Return what the variable *name* is called otherwise, if it is."""
        return next((each for each in self.renames if each.expvar == name), None)


class Series(NamedTuple):
    """One line of a family, several of a histogram: the number of its item, and its labels."""

    item: int
    labels: Labels


@dataclass
class Family:
    """One metric with all its series.

    :param source: the variable that it is made of, empty for figures of the process.
    """

    name: str
    type: str
    help: str
    source: str = ""
    series: list[Series] = field(default_factory=list)

    @property
    def unit(self) -> str:
        """The unit that the name ends with, if it does."""
        if self.type in (INFO, UNKNOWN):
            return ""
        return next((unit for unit in _UNITS if self.name.endswith(f"_{unit}")), "")

    @property
    def samples(self) -> frozenset[str]:
        """The names that filters find it by."""
        return names.claims(self.name, self.type) | {self.name}


@dataclass
class Found:
    """The families of some variables, and what makes none, with the reason."""

    families: list[Family] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    taken: dict[str, str] = field(default_factory=dict)

    def add(self, family: Family) -> bool:
        """Add *family* unless another has one of its names."""
        clash = next((self.taken[n] for n in family.samples if n in self.taken), None)
        if clash is not None or (family.source and names.is_builtin(family.name)):
            self.left[family.source] = f"the name is taken by {clash or 'a figure of the process'}"
            return False
        self.taken.update(dict.fromkeys(family.samples, family.source or family.name))
        self.families.append(family)
        return True


def families(items: Sequence[Item], naming: Naming, odd: Collection[str] = ()) -> Found:
    """Return the families of *items*, which are in the order of their paths.

    :param odd: counters, and maps of them, that have fallen below zero: no type fits them.
    """
    found, groups = Found(), dict[str, list[int]]()
    for at, item in enumerate(items):
        groups.setdefault(item.path[0], []).append(at)
    # Names that somebody chose come before those that are made.
    for name in sorted(groups, key=lambda name: (naming.of(name) is None, name)):
        for family in _grouped(name, groups[name], items, naming.of(name), name in odd, found):
            found.add(family)
    return found


def _grouped(
    name: str,
    group: Iterable[int],
    items: Sequence[Item],
    rename: Rename | None,
    odd: bool,
    found: Found,
) -> Iterable[Family]:
    """Yield the family of one variable, or of a map and all below it."""
    above: dict[Path, list[str]] = {(): []}
    typed: dict[str, list[Series]] = {}
    top: Spec | None = None
    for at in group:
        path, spec, _, extra = items[at]
        if len(path) == 1:
            top = spec
        if spec.kind == "map":
            label = (rename and len(path) == 1 and rename.label) or spec.label or "key"
            above[path] = [*above.get(path[:-1], []), label]
        elif spec.kind in ("int", "float", "histogram"):
            own = dict(extra)
            for label, key in zip(above.get(path[:-1], []), path[1:]):
                own[free(label, own)] = key
            typed.setdefault(_type(spec), []).append(Series(at, tuple(own.items())))
    if top is None or not typed:
        return
    if HISTOGRAM in typed and len(typed) > 1:
        found.left[name] = "its keys are histograms and numbers; only the histograms are shown"
        typed = {HISTOGRAM: typed[HISTOGRAM]}
    type = next(iter(typed)) if len(typed) == 1 else UNKNOWN
    if (odd and type == COUNTER) or (rename and not rename.typed and type != HISTOGRAM):
        type = UNKNOWN
    help = (rename and rename.help) or top.help or f'expvar "{name}"'
    family = Family(_name(name, top, type, odd, rename), type, help, name)
    # A family is in one piece, in which the lines of a histogram stand together.
    family.series = [each for some in typed.values() for each in some]
    yield family


def _type(spec: Spec) -> str:
    if spec.kind == "histogram":
        return HISTOGRAM
    return COUNTER if spec.mode is None else GAUGE


def _name(name: str, top: Spec, type: str, odd: bool, rename: Rename | None) -> str:
    made = rename.name if rename else names.mangle(name)
    if rename and not rename.typed:
        return made
    if type == COUNTER:
        return rename.name if rename else names.family_of(name, top.kind)
    return f"{made.removesuffix('_total')}_total" if odd and type == UNKNOWN else made


def free(label: str, taken: Mapping[str, str]) -> str:
    """Return *label*, with a number if it is there already: labels of nested maps may be equal."""
    found, number = label, 2
    while found in taken:
        found = f"{label}_{number}"
        number += 1
    return found
