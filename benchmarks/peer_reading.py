"""Milliseconds of one ``generate_latest`` of prometheus_client's multiprocess mode.

Run with ``PROMETHEUS_MULTIPROC_DIR`` set, which prometheus_client reads when it is imported.
"""

from __future__ import annotations

import os
import sys

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from .contest import Samples, repeated, serve, timed
from .workers import MAPS


def count(series: int, processes: int) -> None:
    """Let so many processes, one after the other, count in each of the *series*."""
    counters = [Counter(f"map{number}", "a map of counters", ["code"]) for number in range(MAPS)]
    for _ in range(processes):
        pid = os.fork()
        if pid == 0:
            for counter in counters:
                for key in range(series // MAPS):
                    counter.labels(f"key{key:05}").inc()
            os._exit(0)
        os.waitpid(pid, 0)


def main(series: int, processes: int) -> None:
    """Answer with one sample."""
    count(series, processes)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    text = generate_latest(registry).decode()
    told = [line for line in text.splitlines() if line.startswith("map")]
    assert len(told) == series, len(told)
    assert all(line.endswith(f" {float(processes)}") for line in told), told[:3]
    loop = repeated(lambda: generate_latest(registry))

    def sample() -> Samples:
        return {"page": 1e3 * timed(loop, 2)}

    serve({"sample": sample})


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
