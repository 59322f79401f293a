"""What the process tells of itself: the same whichever way it is read, and as Go has it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from together import Together

from flask_expvar.variables import figures
from flask_expvar.variables.reading import Part
from flask_expvar.variables.runtime import Runtime


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has these files")
def test_the_figures_of_proc_are_those_of_psutil() -> None:
    # Another process, which stands still: one's own memory changes while it is looked at.
    still = [sys.executable, "-S", "-c", "print(flush=True); input()"]
    with subprocess.Popen(still, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        fast, slow = figures.from_proc(process.pid), figures.from_psutil(process.pid)
        process.communicate(b"\n", timeout=30)

    assert slow is not None
    assert fast.keys() == slow.keys()
    assert fast == pytest.approx(slow, rel=0.01, abs=0.05)
    assert (fast["openFiles"], fast["threads"]) == (3, 1)


def test_a_process_that_is_gone_has_no_figures() -> None:
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait(30)

    assert figures.figures(process.pid) is None


def test_without_proc_the_figures_are_psutils(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "_LINUX", False)

    found = figures.figures(os.getpid())

    assert found is not None
    assert found["residentMemoryBytes"] > 0
    assert found["threads"] >= 1


def collected(runtime: Runtime, pauses: list[tuple[int, int]]) -> None:
    """Let *runtime* have seen collections: for each its end and its length."""
    number, ring = runtime._collections, runtime._ring
    for end, length in pauses:
        at = ring._at + number._ints[number._at] % 256
        ring._ints[at], ring._ints[at + 256] = length, end
        number.add(1)


@pytest.mark.parametrize("each", [0, 1, 100, 128, 200, 300])
def test_the_newest_pause_of_all_workers_is_where_go_has_it(each: int) -> None:
    parts: list[Part] = []
    runtimes = [Runtime(), Runtime()]
    for at, runtime in enumerate(runtimes):
        runtime.registry.attach(Together(at, parts))
        runtime.collector(parts, None)
        collected(runtime, [(1000 + 2 * n + at, 10 * n + at) for n in range(each)])

    told = runtimes[0].collector(parts, None)

    count = told["NumGC"]
    assert count == 2 * each
    for number in range(max(count - 256, 0), count):
        at, n = number % 2, number // 2
        assert told["PauseEnd"][number % 256] == 1000 + 2 * n + at
        assert told["PauseNs"][number % 256] == 10 * n + at
    assert told["PauseEnd"].count(0) == max(256 - count, 0)
    assert told["LastGC"] == (1000 + count - 1 if count else 0)
