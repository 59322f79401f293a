"""Waiting for something outside with a deadline, and asking whether a process lives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import psutil

T = TypeVar("T")

TIMEOUT = 30.0


def wait_until(
    probe: Callable[[], T], timeout: float = TIMEOUT, *, failure: Callable[[], str] = str
) -> T:
    """Return the first true answer of *probe*, or fail with the text of *failure*."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while not (answer := probe()):
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {failure() or probe}"
        pause.wait(0.02)
    return answer


def running(pid: int) -> bool:
    """Say whether *pid* is a process that has not ended; a zombie has."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
