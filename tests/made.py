"""Profiles made by hand, with known shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask_expvar.stacks.profile import Frame, Profile, Sample, ThreadInfo

HOSTILE = "</script><script>alert(1)</script>"
HANDLE = Frame("Shop.handle", "/srv/shop/views.py", 12, 10)
MAIN = Frame("<module>", "/srv/shop/app.py", 40, 1)
PARSE = Frame("Shop.parse", "/srv/shop/views.py", 22, 20)
SUM = Frame("add.<locals>.<lambda>", "/srv/shop/__init__.py", 31, 31)
SLEEP = Frame("sleep", "/usr/lib/python3/selectors.py", 5, 3)
MS = 1_000_000

Row = tuple[int, tuple[Frame, ...], int]  # thread, stack (leaf first), milliseconds


def made(rows: Sequence[Row] = (), *, worker: int = 7, mode: str = "cpu", **more: Any) -> Profile:
    """Return a profile: of parse 70%, a lambda 20% and handle itself 10%, unless *rows* say."""
    given = rows or (
        (1, (PARSE, HANDLE, MAIN), 700),
        (1, (SUM, HANDLE, MAIN), 200),
        (2, (HANDLE, MAIN), 100),
    )
    names = {1: "MainThread", 2: HOSTILE}
    samples = [
        Sample(thread, stack, ms * MS, ms * MS, max(ms // 10, 1), "GET /orders" * (thread == 1))
        for thread, stack, ms in given
    ]
    known = {
        "engine": "threads", "started": 1.7e9, "seconds": 2.0, "interval": 0.01, "ticks": 180,
        "own_cpu_ns": 20 * MS, "process_cpu_ns": 1000 * MS, "cpu_exact": False,
        "note": "approximate: bursts under 3 ms show at the next wait",
    }  # fmt: skip
    threads = {
        ident: ThreadInfo(names.get(ident, f"thread-{ident}"), 70 + ident, False, MS)
        for ident in {sample.thread for sample in samples}
    }
    return Profile(**{**known, **more}, worker=worker, mode=mode, threads=threads, samples=samples)
