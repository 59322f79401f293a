"""Work of known shares, for profiles of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from flask_expvar.stacks.profile import Profile


def burn(seconds: float) -> None:
    """Use so much CPU time of this thread."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(50))


def seventy(unit: float) -> None:
    burn(7 * unit)


def twenty(unit: float) -> None:
    burn(2 * unit)


def ten(unit: float) -> None:
    burn(unit)


def once(unit: float = 0.001) -> None:
    """Spend ten units: 70 %, 20 % and 10 % in three functions."""
    seventy(unit)
    twenty(unit)
    ten(unit)


@contextmanager
def at_work(count: int = 1, asleep: int = 0) -> Iterator[None]:
    """Let *count* threads named ``busy`` work, and others sleep."""
    end = threading.Event()

    def work() -> None:
        while not end.is_set():
            once()

    threads = [threading.Thread(target=work, name="busy") for _ in range(count)]
    threads += [threading.Thread(target=end.wait, name="asleep") for _ in range(asleep)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        end.set()
        for thread in threads:
            thread.join()


def shares(profile: Profile, weight: str = "cpu_ns") -> dict[str, float]:
    """Return the share in percent of each of the three functions in what all three took."""
    found = dict.fromkeys(("seventy", "twenty", "ten"), 0)
    for sample in profile.samples:
        for frame in sample.stack:
            if frame.name in found:
                found[frame.name] += getattr(sample, weight)
    total = sum(found.values()) or 1
    return {name: 100 * each / total for name, each in found.items()}
