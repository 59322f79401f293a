"""Work of known shares, for profiles of it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from flask_expvar.stacks.profile import Profile

TRUTH = {"seventy": 70.0, "twenty": 20.0, "ten": 10.0}
#: How far off a share may be, in points, and for how long more is looked at, in seconds.
WITHIN, PATIENCE = 12.0, 60.0


def burn(seconds: float) -> None:
    """Use so much CPU time of this thread."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(50))


def seventy(unit: float) -> None:
    burn(7 * unit)


def twenty(unit: float) -> None:
    burn(2 * unit)


def ten(unit: float, pause: float = 0.0) -> None:
    burn(unit)
    if pause:
        time.sleep(pause)


def once(unit: float = 0.001) -> None:
    """Spend ten units: 70 %, 20 % and 10 % in three functions."""
    seventy(unit)
    twenty(unit)
    ten(unit)


def once_and_wait(unit: float = 0.004) -> None:
    """Spend ten units, then wait in ``ten`` for half as long: 47 %, 13 % and 40 % of wall time."""
    began = time.monotonic()
    once(unit)
    ten(0, (time.monotonic() - began) / 2)


@contextmanager
def at_work(count: int = 1, asleep: int = 0, once: Callable[[], None] = once) -> Iterator[None]:
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


def spent(profile: Profile, weight: str = "cpu_ns") -> dict[str, float]:
    """Return what each of the three functions took, in seconds."""
    found = dict.fromkeys(TRUTH, 0.0)
    for sample in profile.samples:
        for frame in sample.stack:
            if frame.name in found:
                found[frame.name] += getattr(sample, weight) / 1e9
    return found


def shares(spent: Mapping[str, float]) -> dict[str, float]:
    """Return the share in percent of each of the three functions in what all three took."""
    total = sum(spent.values()) or 1
    return {name: 100 * spent.get(name, 0.0) / total for name in TRUTH}


def are_true(shares: Mapping[str, float]) -> bool:
    """Return whether *shares* are those of the work that was done, but for chance."""
    return all(abs(shares[name] - share) <= WITHIN for name, share in TRUTH.items())


def shares_in_all(take: Callable[[], Mapping[str, float]]) -> dict[str, float]:
    """Return the shares in all that *take* finds, which is called until they are true.

    Beside four busy processes a profile of 2 s has 30 samples, and one share in ten is off by 20
    points. With more of them that gets less, unless something is wrong: then it stays, and that
    is returned after :data:`PATIENCE`.
    """
    end, found = time.monotonic() + PATIENCE, Counter[str]()
    while True:
        for name, seconds in take().items():
            found[name] += seconds  # type: ignore[assignment]  # counters count anything
        # By chance alone a few samples of anything may look true.
        if time.monotonic() > end or (sum(found.values()) > 0.4 and are_true(shares(found))):
            return shares(found)
