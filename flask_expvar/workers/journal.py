"""Journal: what happened to a process that answers nobody, in a small file that others read."""

from __future__ import annotations

import json
import os
import re
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import lease

FORMAT = 1
#: Entries of a journal, journals of a folder, and bytes of a file that is looked at.
MOST, MOST_FILES, MOST_BYTES = 100, 4, 2**18
LONGEST = 500
_FILE = re.compile(r"journal-([0-9]{1,10})\.json")


@dataclass(frozen=True)
class Told:
    """A journal as it is read.

    :param began: in seconds since the epoch.
    :param count: how many entries there were in all, and *errors* how many of those.
    :param entries: the newest, oldest first: when, whether it is an error, text.
    """

    pid: int
    began: float
    count: int
    errors: int
    entries: tuple[tuple[float, bool, str], ...]


class Journal:
    """The journal of this process in *folder*, beside those of the ones before it.

    The file is small and replaced as a whole, so that a reader needs no lock. What cannot be
    written, because a disk is full, is there with the next entry.

    :param clock: the time of day, in seconds since the epoch.
    """

    def __init__(self, folder: Path, pid: int, *, clock: Callable[[], float] = time.time) -> None:
        self._path = folder / f"journal-{pid}.json"
        self._pid = pid
        self._clock = clock
        self._began = clock()
        self._entries: deque[tuple[float, bool, str]] = deque(maxlen=MOST)
        self._count = self._errors = 0
        for path in _files(folder)[MOST_FILES - 1 :]:
            with suppress(OSError):
                path.unlink()

    def log(self, text: str) -> None:
        """Add an entry."""
        self._add(False, text)

    def error(self, text: str) -> None:
        """Add an entry that counts as an error."""
        self._add(True, text)

    def _add(self, failed: bool, text: str) -> None:
        self._entries.append((round(self._clock(), 6), failed, text[:LONGEST]))
        self._count += 1
        self._errors += failed
        with suppress(OSError):
            self._write()

    def _write(self) -> None:
        data = {
            "format": FORMAT, "pid": self._pid, "began": self._began, "count": self._count,
            "errors": self._errors, "entries": list(self._entries),
        }  # fmt: skip
        new = self._path.with_suffix(".new")
        new.unlink(missing_ok=True)
        with open(lease.create(new), "wb") as file:
            file.write(json.dumps(data, separators=(",", ":")).encode())
        new.replace(self._path)


def journals(folder: Path) -> list[Told]:
    """Return the journals in *folder*, the newest first. Never raises, whatever the files hold."""
    found = (_read(path) for path in _files(folder)[:MOST_FILES])
    return [told for told in found if told is not None]


def _files(folder: Path) -> list[Path]:
    """Return the journals' files, the one that was written last first."""
    found = []
    with suppress(OSError):
        for path in folder.iterdir():
            if _FILE.fullmatch(path.name):
                with suppress(OSError):
                    found.append((path.lstat().st_mtime_ns, path))
    return [path for _, path in sorted(found, reverse=True)]


def _read(path: Path) -> Told | None:
    try:
        # Not to wait for the writer of what may be a pipe.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            data = json.loads(file.read(MOST_BYTES))
        return _told(data) if data["format"] == FORMAT else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return None


def _told(data: Any) -> Told:
    entries = [
        (_seconds(when), failed is True, str(text)[:LONGEST])
        for when, failed, text in data["entries"][-MOST:]
    ]
    for _, _, text in entries:
        text.encode()  # half a surrogate pair could not be shown
    numbers = [int(data[name]) for name in ("pid", "count", "errors")]
    if not all(0 <= number < 2**31 for number in numbers):
        raise ValueError("no such numbers")
    pid, count, errors = numbers
    return Told(pid, _seconds(data["began"]), max(count, len(entries)), errors, tuple(entries))


def _seconds(value: Any) -> float:
    if not 0 <= float(value) < 2**33:
        raise ValueError("no moment")
    return float(value)
