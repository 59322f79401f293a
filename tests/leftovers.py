"""What a test may leave behind in its process: threads, files of its folder, a profiler."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path


def found(before: dict[str, str], folder: Path | None) -> list[str]:
    """Return what is there now and was not *before*, in words.

    :param before: the :func:`threads` of an earlier moment.
    :param folder: no file inside it may be open or mapped.
    """
    left = [name for key, name in threads().items() if key not in before]
    left += _files_under(folder) if folder is not None else []
    if sys.getprofile() is not None:
        left.append(f"profiler {sys.getprofile()}")
    if any(signal.getitimer(signal.ITIMER_PROF)):
        left.append("a running ITIMER_PROF")
    return left


def threads() -> dict[str, str]:
    """Return the names of all threads: Python's, and those that only ``_thread`` knows."""
    known = {f"{t.native_id}": f"thread {t.name}" for t in threading.enumerate()}
    with suppress(OSError):  # no /proc
        for task in Path("/proc/self/task").iterdir():
            known.setdefault(task.name, f"native thread {task.name}")
    return known


def _files_under(folder: Path) -> list[str]:
    inside = f"{folder}{os.sep}"
    files = set()
    with suppress(OSError):
        for line in Path("/proc/self/maps").read_text().splitlines():
            if inside in line:
                files.add("mapped file " + line[line.index(inside) :])
        for entry in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                if inside in (target := str(entry.readlink())):
                    files.add(f"open file {target}")
    return sorted(files)
