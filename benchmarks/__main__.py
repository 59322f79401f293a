"""Print the table: ``python -m benchmarks [--quick]``."""

from __future__ import annotations

import os
import platform
import sys
import time
import traceback
from importlib.metadata import PackageNotFoundError, version

from . import comparisons, profiling
from .contest import pin
from .table import Row, summary, table

NAMES = (
    "flask_expvar", "Flask", "Werkzeug", "prometheus_client", "prometheus-flask-exporter",
    "opentelemetry-sdk", "opentelemetry-instrumentation-flask",
)  # fmt: skip


def versions() -> str:
    """Return what is compared, on what."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"
    return "\n".join([f"{python} on {machine}", *(f"{name} {_version(name)}" for name in NAMES)])


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(from the checkout)"


def main() -> None:
    """Compare all, print the table. A missed target is told, and is no failure."""
    began = time.monotonic()
    quick = "--quick" in sys.argv[1:]
    restarts = 50 if quick else 1000
    pin()
    print(versions(), end="\n\n", flush=True)
    rows: list[Row] = []
    for comparison in (
        lambda: comparisons.counting(10 if quick else 40),
        lambda: comparisons.tracing(10 if quick else 100, 100_000 if quick else 1_000_000),
        lambda: comparisons.requesting(10 if quick else 40),
        lambda: comparisons.looking(10 if quick else 25),
        lambda: comparisons.hiding(5 if quick else 10),
        lambda: comparisons.answering(20 if quick else 200),
        lambda: comparisons.reading(5 if quick else 15, restarts),
    ):
        try:
            rows += comparison()
        except Exception:
            traceback.print_exc()
    print(table(rows), end="\n\n")
    print(f"Medians of shuffled rounds on one CPU; {time.monotonic() - began:.0f} s")
    print(summary(rows))
    profiling.show(quick)


if __name__ == "__main__":
    main()
