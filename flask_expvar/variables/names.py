"""What variables, labels and rules may be called, checked when they are declared."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from math import isfinite

from ..exceptions import BadKindError, BadNameError

#: Names that the runtime publishes itself, whatever their case: Go programs decode
#: ``memstats`` and ``cmdline`` without looking at it.
RESERVED = frozenset({"cmdline", "memstats", "process", "python", "workers"})

#: How the values of several workers become one, in prometheus_client's words.
MODES = ("sum", "livesum", "max", "min", "mostrecent")

LONGEST_NAME = 200
_NAME = re.compile(r"[!-/:-~](?:[ -~]*[!-~])?")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def check_name(name: object) -> str:
    """Return *name* if a variable may have it.

    :raises BadNameError: unless it is printable ASCII, neither empty nor starting with a
        digit or a blank nor ending in a blank, and at most 200 characters long.
    """
    if not isinstance(name, str):
        raise BadNameError(name, f"it is {type(name).__name__}, not str")
    if not name:
        raise BadNameError(name, "it is empty")
    if name[0].isdigit():
        raise BadNameError(name, "it starts with a digit")
    if not _NAME.fullmatch(name):
        problem = "it has a character that is not printable ASCII, or a blank at an end"
        raise BadNameError(name, problem)
    if len(name) > LONGEST_NAME:
        raise BadNameError(name, f"it is longer than {LONGEST_NAME} characters")
    return name


def check_label(label: object) -> str:
    """Return *label* if Prometheus allows it as the name of a label.

    :raises BadKindError: otherwise.
    """
    if (
        not isinstance(label, str)
        or not _LABEL.fullmatch(label)
        or label.startswith("__")
        or label in ("le", "quantile")
    ):
        allowed = "letters, digits and _, not starting with a digit or __, not 'le' or 'quantile'"
        raise BadKindError("label", label, allowed)
    return label


def check_mode(mode: object) -> str | None:
    """Return *mode* if it is None (a counter) or one of :data:`MODES`.

    :raises BadKindError: otherwise.
    """
    if mode is not None and mode not in MODES:
        raise BadKindError("multiprocess_mode", mode, f"None for a counter, or {', '.join(MODES)}")
    return mode


def check_buckets(buckets: Sequence[float]) -> tuple[float, ...]:
    """Return the upper bounds of a histogram's buckets, without the infinite one.

    :raises BadKindError: unless they are 1 to 100 finite numbers that only grow.
    """
    allowed = "1 to 100 finite numbers, each larger than the one before"
    try:
        bounds = tuple(float(bound) for bound in buckets)
    except (TypeError, ValueError, OverflowError):
        raise BadKindError("buckets", buckets, allowed) from None
    if bounds and bounds[-1] == float("inf"):
        bounds = bounds[:-1]  # as prometheus_client's users write it
    if not 1 <= len(bounds) <= 100 or not all(map(isfinite, bounds)):
        raise BadKindError("buckets", buckets, allowed)
    if any(low >= high for low, high in pairwise(bounds)):
        raise BadKindError("buckets", buckets, allowed)
    return bounds


#: What ``/debug/metrics`` adds by itself, and what prometheus-expvar-exporter does: a variable
#: that Prometheus would see under such a name costs that exporter everything.
_BUILTIN = re.compile(
    "process_(cpu_seconds|(open|max)_fds|resident_memory_bytes|start_time_seconds"
    "|virtual_memory(_max)?_bytes|network_(receive|transmit)_bytes)(_total)?"
    "|python(_info|_gc_(objects_(collected|uncollectable)|collections)(_total)?)?"
    "|go_(info|goroutines|threads|sched_gomaxprocs_threads|gc_.*|memstats_.*)"
    "|promhttp_metric_handler_.*|expvar_(workers(_missing)?|worker(_info)?)"
)
_WORD = re.compile("([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])")


# A page of metrics asks for each of a thousand names twice.
@lru_cache(maxsize=8192)
def mangle(name: str) -> str:
    """Return *name* as Prometheus' users write it: ``http/requestCount``, ``http_request_count``.

    Equal for all that prometheus-expvar-exporter sees as equal, and for more.
    """
    plain = re.sub("[^a-zA-Z0-9_]", "_", name)
    return _WORD.sub(r"\1\3_\2\4", plain).lower()


def family_of(name: str, kind: str) -> str:
    """Return the name of the family of *name*, without the suffix that its samples get.

    >>> family_of("shop/orders_total", "int"), family_of("shop/version", "string")
    ('shop_orders', 'shop_version')
    """
    suffix = {"int": "_total", "float": "_total", "map": "_total", "string": "_info"}.get(kind, "")
    base = mangle(name)
    return base.removesuffix(suffix) or base


def is_builtin(family: str) -> bool:
    """Return whether *family* is a name that others give to figures of the process."""
    return _BUILTIN.fullmatch(family) is not None


#: Suffixes of samples, by the type of their family: those of OpenMetrics 1.0.
SUFFIXES = {
    "counter": ("", "_total", "_created"),
    "histogram": ("", "_bucket", "_count", "_sum", "_created"),
    "info": ("", "_info"),
}
_TYPES = {
    "int": "counter", "float": "counter", "map": "counter", "histogram": "histogram",
    "string": "info",
}  # fmt: skip


def claims(family: str, type: str) -> frozenset[str]:
    """Return the names that no other family may have beside one of this type."""
    return frozenset(family + suffix for suffix in SUFFIXES.get(type, ("",)))


def families(name: str, kind: str) -> frozenset[str]:
    """Return the names under which Prometheus will see *name*, which no other may share."""
    return claims(family_of(name, kind), _TYPES.get(kind, "gauge")) | {mangle(name)}
