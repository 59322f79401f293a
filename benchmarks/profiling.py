"""Profiles against the truth: what each engine finds of a known load, and what it costs.

``python -m benchmarks.profiling [--quick]`` prints a table. Each measurement is a process of its
own, ``python -m benchmarks.profiling LOAD ENGINE SECONDS``; truth is the CPU time of the thread
that works, read before and after each function (for pyinstrument, which tells wall time, that).
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from flask_expvar.stacks.profile import Profile
from flask_expvar.stacks.profiler import Profiler

#: Name, burst of CPU in ms between two waits (0: none), threads besides the main one.
LOADS = {
    "CPU-bound, main": (0.0, 0),
    "CPU-bound, 8 threads": (0.0, 8),
    "bursts of 0.3 ms, main": (0.3, 0),
    "bursts of 1 ms, main": (1.0, 0),
    "bursts of 3 ms, main": (3.0, 0),
    "bursts of 10 ms, main": (10.0, 0),
    "bursts of 0.3-3 ms, main": (-1.0, 0),
    "bursts of 0.3-3 ms, 4 threads": (-1.0, 4),
    "bursts of 3 ms, 1 thread": (3.0, 1),
    "bursts of 10 ms, 1 thread": (10.0, 1),
    "bursts of 0.3-3 ms, 8 greenlets": (-1.0, -8),
}
ENGINES = ("signal", "threads", "py-spy", "pyinstrument")
NAMES = ("parse", "loop", "calls", "wait")
TEXT = json.dumps([{"id": n, "name": "x" * 20, "prices": [1.5] * 5} for n in range(20)])


class Load:
    """Work with known shares, timed as it is done."""

    def __init__(self, burst: float) -> None:
        self.cpu: Counter[str] = Counter()
        self.wall: Counter[str] = Counter()
        self.rounds = 0
        self._bursts = itertools.cycle([0.3, 1.0, 3.0] if burst < 0 else [burst or 2.0])
        self._waits = burst != 0
        self.sleep: Callable[[float], Any] = time.sleep

    def once(self) -> None:
        """Do one burst, half in C, then wait."""
        unit = next(self._bursts) / 1000
        for name, work, share in (
            ("parse", parse, 0.5),
            ("loop", loop, 0.3),
            ("calls", calls, 0.2),
        ):
            self._timed(name, work, unit * share)
        if self._waits:
            self._timed("wait", lambda _: wait(self.sleep), 0.0)

    def _timed(self, name: str, work: Callable[[float], int], seconds: float) -> None:
        cpu, wall = time.thread_time_ns(), time.monotonic_ns()
        self.rounds += work(seconds)
        self.cpu[name] += time.thread_time_ns() - cpu
        self.wall[name] += time.monotonic_ns() - wall


def parse(seconds: float) -> int:
    """Do so many seconds' worth of work in C: 50 µs at a time."""
    for _ in range(count := max(round(seconds / 50e-6), 1)):
        json.loads(TEXT)
    return count


def loop(seconds: float) -> int:
    """Do some in one frame."""
    total = 0
    for number in range(max(round(seconds / 30e-9), 1)):
        total += number
    return 1


def _small(number: int) -> int:
    return number + 1


def calls(seconds: float) -> int:
    """Do some in many frames."""
    for number in range(max(round(seconds / 50e-9), 1)):
        _small(number)
    return 1


def wait(sleep: Callable[[float], Any]) -> int:
    """Do nothing for 5 ms."""
    sleep(0.005)
    return 0


def measure(burst: float, threads: int, engine: str, seconds: float) -> dict[str, Any]:
    """Return what was true and what *engine* found in this process."""
    loads = [Load(burst) for _ in range(max(abs(threads), 1))]
    end = time.monotonic() + seconds + 0.3

    def work(load: Load) -> None:
        while time.monotonic() < end:
            load.once()

    def in_threads() -> None:
        if threads == 0:
            return work(loads[0])
        if threads < 0:
            import gevent

            return gevent.joinall([gevent.spawn(work, load) for load in loads])
        every = [threading.Thread(target=work, args=(load,)) for load in loads]
        for thread in every:
            thread.start()
        for thread in every:
            thread.join()
        return None

    return _under(engine, in_threads, loads, seconds, greenlets=threads < 0)


def _under(
    engine: str, work: Callable[[], None], loads: list[Load], seconds: float, *, greenlets: bool
) -> dict[str, Any]:
    found: dict[str, float] = {}
    profile: Profile | None = None
    cpu = time.process_time()
    if engine == "pyinstrument":
        import pyinstrument

        with pyinstrument.Profiler(interval=0.001, async_mode="disabled") as theirs:
            work()
        found = _theirs(theirs)
    elif engine == "none":
        work()
    else:
        running = Profiler().start(seconds, "cpu", engine)
        work()
        profile = running.wait()
        found = _ours(profile)
    cpu = time.process_time() - cpu
    spent, passed = Counter[str](), Counter[str]()
    if greenlets:
        # While one waits the others use the time of their common thread.
        for load in loads:
            load.cpu["wait"] = 0
    for load in loads:
        spent += load.cpu
        passed += load.wall
    return {
        "truth": _shares(passed if engine == "pyinstrument" else spent),
        "passed": _shares(passed),
        "found": _shares(found),
        "rate": profile.rate if profile else 0.0,
        "done": sum(load.rounds for load in loads) / cpu,
    }


def _ours(profile: Profile) -> dict[str, float]:
    found: Counter[str] = Counter()
    for sample in profile.samples:
        name = next((frame.name for frame in sample.stack if frame.name in NAMES), "")
        if name:
            found[name] += sample.cpu_ns
    return dict(found)


def _theirs(profiler: Any) -> dict[str, float]:
    found: Counter[str] = Counter()
    session = profiler.last_session
    for stack, seconds in session.frame_records:
        names = [each.partition("\0")[0] for each in stack]
        name = next((each for each in reversed(names) if each in NAMES), "")
        if name:
            found[name] += seconds
    return dict(found)


def _shares(weights: Any) -> dict[str, float]:
    total = sum(weights.values()) or 1
    return {name: 100 * weights.get(name, 0) / total for name in NAMES}


# -- the table ---------------------------------------------------------------------------------


def suits(load: str, engine: str) -> bool:
    """Return whether *engine* is one for *load*: some see the main thread, or one, only."""
    threads = LOADS[load][1]
    if engine == "signal":
        return threads <= 0
    return engine != "pyinstrument" or threads == 0


def run(load: str, engine: str, seconds: float) -> dict[str, Any]:
    """Return what a new process measures."""
    command = [sys.executable, "-m", "benchmarks.profiling", load, engine, str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-300:])
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def rows(seconds: float, rounds: int) -> list[str]:
    """Return a line for each load and engine."""
    lines = []
    for load in LOADS:
        base: list[float] = []
        for engine in ("none", *ENGINES):
            if not suits(load, engine):
                continue
            try:
                every = [run(load, engine, seconds) for _ in range(rounds)]
            except Exception as error:
                lines.append(f"{load:33} {engine:13} {str(error).splitlines()[-1]:.60}")
                print(lines[-1], flush=True)
                continue
            done = statistics.median(each["done"] for each in every)
            if engine == "none":
                base = [done]
                continue
            lines.append(_line(load, engine, every, done / base[0] if base else 0.0))
            print(lines[-1], flush=True)
    return lines


def _line(load: str, engine: str, every: list[dict[str, Any]], ratio: float) -> str:
    def mean(what: str, name: str) -> float:
        return statistics.fmean(each[what][name] for each in every)

    truth = "/".join(f"{mean('truth', name):.0f}" for name in NAMES)
    found = "/".join(f"{mean('found', name):.0f}" for name in NAMES)
    off = max(abs(mean("truth", name) - mean("found", name)) for name in NAMES)
    rate = statistics.fmean(each["rate"] for each in every)
    return f"{load:33} {engine:13} {truth:>13} {found:>13} {off:6.1f} {rate:7.0f} {ratio:6.2f}"


def show(quick: bool, runs: int = 1) -> None:
    """Print the table of medians of so many *runs*."""
    print("\nProfiles, shares of CPU (pyinstrument: of wall time) in %:", "/".join(NAMES))
    head = "truth", "found", "points", "per s", "work"
    print("{:33} {:13} {:>13} {:>13} {:>6} {:>7} {:>6}".format("load", "engine", *head))
    # Longer and oftener for itself: all comparisons together shall take few minutes.
    rows(1.0 if quick else 5.0, 1 if quick else runs)


def main() -> None:
    """Measure in this process, or print the table of all."""
    args = sys.argv[1:]
    if len(args) == 3:
        if hasattr(os, "sched_setaffinity"):  # the rest of the benchmarks keeps to one
            os.sched_setaffinity(0, range(os.cpu_count() or 1))
        burst, threads = LOADS[args[0]]
        if threads < 0:
            from gevent import monkey

            monkey.patch_all()
        print(json.dumps(measure(burst, threads, args[1], float(args[2]))))
        return
    show("--quick" in args, runs=3)


if __name__ == "__main__":
    main()
