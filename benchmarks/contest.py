"""Contests: several processes on one CPU, each asked for one sample in turn."""

from __future__ import annotations

import gc
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import repeat
from statistics import median
from typing import Any

Samples = dict[str, float]


class Contender:
    """A process that runs the module *module* of this package and answers line by line.

    Peers patch what they measure and read the environment when they are imported: two of
    them cannot share a process.
    """

    def __init__(self, module: str, *arguments: object, **environ: str) -> None:
        command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environ},
        )

    def ask(self, question: str = "sample") -> Any:
        """Return what the process answers."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with suppress(BrokenPipeError):
            stdin.write(question + "\n")
            stdin.flush()
        line = stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args} has ended with {self._process.wait()}")
        return json.loads(line)

    def close(self) -> None:
        """Let the process end, and wait for it."""
        self._process.communicate(timeout=60)


def contest(contenders: dict[str, list[Contender]], rounds: int) -> dict[str, Samples]:
    """Return the medians of each contender's samples over *rounds* in shuffled order.

    :param contenders: the processes of each: where one's memory happens to lie makes up to a
        tenth of a difference, so what is short takes several.
    """
    found: dict[str, dict[str, list[float]]] = {name: {} for name in contenders}
    every = [(name, process) for name, processes in contenders.items() for process in processes]
    for turn in range(rounds + 1):
        for name, process in random.sample(every, len(every)):
            for key, value in process.ask().items():
                if turn:  # the first round only warms up
                    found[name].setdefault(key, []).append(value)
    return {
        name: {key: median(values) for key, values in samples.items()}
        for name, samples in found.items()
    }


def serve(questions: dict[str, Callable[..., Any]]) -> None:
    """Answer the parent's questions until it has no more: a name, then its arguments."""
    for line in sys.stdin:
        name, *arguments = line.split()
        print(json.dumps(questions[name](*arguments)), flush=True)


def pin() -> None:
    """Keep this process, and what it starts, on one CPU."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def timed(
    work: Callable[[int], object], times: int, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Return how many seconds one of *times* rounds of *work* takes, without the collector."""
    gc.collect()
    gc.disable()
    try:
        began = clock()
        work(times)
        return (clock() - began) / times
    finally:
        gc.enable()


def repeated(call: Callable[[], object]) -> Callable[[int], None]:
    """Return a function that calls *call* a number of times."""

    def work(times: int) -> None:
        for _ in repeat(None, times):
            call()

    return work
