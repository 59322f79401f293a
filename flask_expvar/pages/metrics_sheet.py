"""Sheet: metrics whose values are known: figures of processes, what texts and functions say."""

from __future__ import annotations

import math
import platform
import resource
from collections.abc import Iterable, Mapping
from typing import Any

from ..redaction import redact_text
from ..variables import names
from ..variables.layout import Spec
from ..variables.metric import (
    COUNTER,
    GAUGE,
    INFO,
    UNKNOWN,
    Family,
    Found,
    Item,
    Labels,
    Rename,
    Series,
)  # fmt: skip
from ..variables.openmetrics import Known, text_of
from ..variables.reading import Row

_NUMBER = Spec("float", "", mode="sum")


class Sheet:
    """Families that are written one by one, beside those of *found*."""

    def __init__(self, found: Found) -> None:
        self.taken = Found(taken=dict(found.taken))
        self.items: list[Item] = []

    def add(
        self,
        name: str,
        type: str,
        help: str,
        values: Iterable[tuple[Labels, Any]],
        source: str = "",
    ) -> None:
        """Add a family with a line for each value that is there."""
        family = Family(name, type, help, source)
        for labels, value in values:
            if value is not None:
                family.series.append(Series(len(self.items), labels))
                self.items.append(Item((name,), _NUMBER, value))
        if family.series:
            self.taken.add(family)

    def text(self, openmetrics: bool) -> str:
        """Return the families as text."""
        return text_of(self.taken.families, self.items, Known(self.items), openmetrics)


def processes(sheet: Sheet, workers: Mapping[str, Any], missing: int, each: bool) -> None:
    """Add the figures of processes, under prometheus_client's names.

    :param workers: the figures of each process, by pid.
    :param each: whether each worker has lines of its own.
    """
    own: list[tuple[Labels, Any]] = [
        ((("slot", str(figure["slot"])),), figure) for figure in workers.values()
    ]

    def gauge(name: str, help: str, key: str, rule: Any = sum) -> None:
        if each:
            found = [(labels, figure[key]) for labels, figure in own]
        else:
            known = [figure[key] for _, figure in own if figure[key] is not None]
            found = [((), rule(known))] if known else []
        sheet.add(name, GAUGE, help, found)

    gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", "virtualMemoryBytes")
    gauge("process_resident_memory_bytes", "Resident memory size in bytes.", "residentMemoryBytes")
    gauge(
        "process_start_time_seconds",
        "Start time of the process since unix epoch in seconds.",
        "startTime",
        min,
    )
    # Never added up: the sum would fall when a worker goes, and Prometheus takes what falls for
    # a counter that began anew.
    cpu = [(labels, figure["cpuSeconds"]) for labels, figure in own]
    sheet.add(
        "process_cpu_seconds", COUNTER, "Total user and system CPU time spent in seconds.", cpu
    )
    gauge("process_open_fds", "Number of open file descriptors.", "openFiles")
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    # Files are added up, and so is how many there may be.
    limits = [(labels, most) for labels, _ in own] if each else [((), most * len(own))]
    sheet.add("process_max_fds", GAUGE, "Maximum number of open file descriptors.", limits)
    sheet.add("expvar_workers", GAUGE, "Workers that are alive.", [((), len(workers))])
    sheet.add(
        "expvar_workers_missing", GAUGE, "Workers that did not answer in time.", [((), missing)]
    )
    if each:
        pids = [((("slot", str(f["slot"])), ("pid", pid)), 1) for pid, f in workers.items()]
        sheet.add("expvar_worker", INFO, "The process that has a slot.", pids)


def python(sheet: Sheet, generations: Mapping[str, list[int]]) -> None:
    """Add what Python tells of itself, under prometheus_client's names."""
    version, implementation = platform.python_version(), platform.python_implementation()
    major, minor, patch = [*version.split("."), "", ""][:3]
    labels = (
        ("version", version), ("implementation", implementation), ("major", major),
        ("minor", minor), ("patchlevel", patch),
    )  # fmt: skip
    sheet.add("python", INFO, "Python platform information", [(labels, 1)])
    helps = {
        "objects_collected": "Objects collected during gc",
        "objects_uncollectable": "Uncollectable objects found during GC",
        "collections": "Number of times this generation was collected",
    }
    for name, help in helps.items():
        values = [((("generation", str(n)),), count) for n, count in enumerate(generations[name])]
        sheet.add(f"python_gc_{name}", COUNTER, help, values)


def said(sheet: Sheet, rows: Iterable[Row], renames: Mapping[str, Rename]) -> None:
    """Add what functions and texts say: numbers are gauges, a text is an info metric.

    ``PREFIX/version`` and ``PREFIX/sourceDateStr`` are one: ``PREFIX_build_info``.
    """
    found = [row for row in rows if row.spec.kind in ("string", "func") and len(row.path) == 1]
    texts = {row.path[0]: row.value for row in found if row.spec.kind == "string"}
    for row in found:
        name, value = row.path[0], row.value
        prefix, _, last = name.rpartition("/")
        rename = renames.get(name)
        help = (rename and rename.help) or row.spec.help or f'expvar "{name}"'
        if row.spec.kind == "string":
            date = texts.get(f"{prefix}/sourceDateStr")
            if last == "version" and date is not None and value is not None:
                labels = (("version", str(value)), ("source_date", str(date)))
                built = names.mangle(f"{prefix}/build")
                sheet.add(built, INFO, "version and source date", [(labels, 1)], name)
            elif value and not (last == "sourceDateStr" and f"{prefix}/version" in texts):
                label = names.mangle(last)
                if not label[:1].isalpha():
                    label = "value"
                family = names.family_of(name, "string")
                sheet.add(family, INFO, help, [(((label, redact_text(str(value))),), 1)], name)
            continue
        family = rename.name if rename else names.mangle(name)
        label = (rename and rename.label) or "key"
        numbers = _numbers(value, label)
        if numbers:
            sheet.add(
                family, UNKNOWN if rename and not rename.typed else GAUGE, help, numbers, name
            )
        else:
            sheet.taken.left[name] = "it says nothing that is a number"


def _numbers(value: Any, label: str) -> list[tuple[Labels, Any]]:
    if isinstance(value, dict):
        found = [(((label, key),), _number(inner)) for key, inner in value.items()]
        return [(labels, number) for labels, number in found if number is not None]
    number = _number(value)
    return [] if number is None else [((), number)]


def _number(value: Any) -> int | float | None:
    if isinstance(value, (bool, int)):
        return int(value)
    return value if isinstance(value, float) and math.isfinite(value) else None
