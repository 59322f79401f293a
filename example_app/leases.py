"""Leases: which worker has an item, and whether that worker still lives."""

from __future__ import annotations

import fcntl
import os
import uuid
from contextlib import suppress
from pathlib import Path


class Lock:
    """A lock on a file, which the kernel lets go when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def take(self) -> bool:
        """Take the lock, or return false if another one has it."""
        if self._file is not None:
            return True
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        self._file = file
        return True

    def release(self) -> None:
        """Let go."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class Owners:
    """The workers that may have items, each known by a lock that it holds for life.

    A lease that only ran out after a time would be too short for a slow server, whose message
    another worker would then send again, or too long after a crash.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self.me = uuid.uuid4().hex
        self._mine = Lock(folder / self.me)
        self._mine.take()

    def alive(self, owner: str) -> bool:
        """Say whether *owner* still lives."""
        if owner == self.me:
            return True
        lock = Lock(self._folder / owner)
        if not lock.take():
            return True
        self._forget(owner)
        lock.release()
        return False

    def close(self) -> None:
        """Be dead: the items of this owner are anybody's."""
        self._forget(self.me)
        self._mine.release()

    def _forget(self, owner: str) -> None:
        with suppress(FileNotFoundError):
            (self._folder / owner).unlink()
