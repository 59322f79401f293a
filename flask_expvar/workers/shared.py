"""SharedStore: this process's slot in a folder, and those of the others."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .._native import allocate_rlock
from ..exceptions import StoreError
from ..variables import layout
from ..variables.reading import Part
from ..variables.slot import Node, Nodes, Slot, SlotFile
from . import lease
from .sibling import Sibling


class SharedStore:
    """A slot leased in *folder*, counted on from where its last process stopped.

    :param pid: this process's id.
    :param worker: False for a process that only forks the workers.
    :raises OSError: if there is no room, or no leave, for a file.
    """

    def __init__(self, folder: Path, pid: int, *, worker: bool = True) -> None:
        self.folder = folder
        self.pid = pid
        self.number, self._fd, self._mapped_fd, file = _lease(folder)
        self._file = file
        self.slot = Slot(file)
        #: When this process took the slot, in ns of the wall clock.
        self.started_ns = time.time_ns()
        self.worker = worker
        self._lock = allocate_rlock()
        self._siblings: dict[int, Sibling] = {}
        for node in self.slot.nodes:
            fold(node)
        head = file.head
        head[layout.AT_PID] = pid
        head[layout.AT_STARTED] = self.started_ns
        head[layout.AT_ROLE] = layout.WORKER if worker else layout.PARENT
        head[layout.AT_LEASES] += 1

    def parts(self) -> list[Part]:
        """Return all slots as they are now, one's own first; what cannot be read says why."""
        with self._lock:
            return list(self._read())

    def _read(self) -> Iterator[Part]:
        try:
            entries = lease.slot_entries(self.folder)
        except OSError as error:
            yield self._own(None)
            yield _unread(-1, f"the shared folder cannot be read: {error.strerror}")
            return
        yield self._own(entries.pop(self.number, None))
        for number, entry in entries.items():
            try:
                yield self._sibling(number, entry).part()
            except OSError as error:
                yield _unread(number, str(error))

    def _own(self, entry: os.DirEntry[str] | None) -> Part:
        # Read like the others', through one mapping of the whole file: words that lie alike in
        # all slots are summed side by side.
        if entry is not None and not self.slot.has_private:
            with suppress(OSError):
                part = self._sibling(self.number, entry).part()
                part.live = True
                return part
        return Part(
            slot=self.number,
            pid=self.pid,
            started_ns=self.started_ns,
            live=True,
            worker=self.worker,
            deletions=self._file.head[layout.AT_DELETIONS],
            nodes=self.slot.nodes,
            problem=self.slot.problem,
        )

    def _sibling(self, number: int, entry: os.DirEntry[str]) -> Sibling:
        known = self._siblings.get(number)
        if known is None or known.inode != entry.inode():
            known = self._siblings[number] = Sibling(number, entry)
        return known

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep every other process and thread from setting or deleting meanwhile."""
        with self._lock:
            path = self.folder / "lock"
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                lease.give_to_folder(fd, path)
                fcntl.flock(fd, fcntl.LOCK_EX)
                yield
            finally:
                os.close(fd)

    def deleting(self) -> None:
        """Note that something is about to be deleted, so that readers look for it."""
        self._file.head[layout.AT_DELETIONS] += 1

    def close(self) -> None:
        """Give the lease back; what was counted stays."""
        with self._lock:
            for sibling in self._siblings.values():
                sibling.close()
            self._siblings.clear()
            for fd in {self._fd, self._mapped_fd} - {-1}:
                os.close(fd)
            self._fd = self._mapped_fd = -1


# Always the same: a list that is another one at each read would be planned anew.
_NO_NODES = Nodes()


def _unread(number: int, problem: str) -> Part:
    return Part(number, 0, 0, False, False, 0, _NO_NODES, problem)


def _lease(folder: Path) -> tuple[int, int, int, SlotFile]:
    """Lease a slot whose file can be used; garbage is moved aside, a newer version left alone.

    The file is opened twice: a mapping keeps its own copy of what it maps, which a forked
    child inherits and would keep leased.
    """
    for number in range(lease.MOST):
        path = folder / f"slot-{number}"
        for _ in range(2):
            fd = lease.claim(path)
            if fd is None:
                break
            mapped = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                return number, fd, mapped, SlotFile(mapped)
            except StoreError as error:
                os.close(mapped)
                os.close(fd)
                if "format" in str(error):
                    break
                with suppress(FileNotFoundError):
                    path.replace(folder / f"damaged-{number}")
            except BaseException:
                os.close(mapped)
                os.close(fd)
                raise
    raise StoreError(f"all of the {lease.MOST} slots in {folder} are taken")


def fold(node: Node) -> None:
    """Let a new process go on with a word of the one that had the slot before.

    A counter goes on; its base remembers from where, so that each process's own share can be
    told. A gauge begins anew, and its base keeps what the rule wants of the dead.
    """
    spec, ints, base = node.spec, node.ints, node.base_at
    if spec.mode is None:
        for word in range(spec.width if spec.kind != "ring" else 0):
            ints[base + word] = ints[node.at + word]  # the bits of a float as well
        return
    if spec.kind not in ("int", "float"):
        return
    words: Any = node.floats if spec.kind == "float" else ints
    stamp = ints[node.stamp_at]
    if stamp < 0:
        return
    if spec.mode == "sum":
        words[base] += words[node.at]
        ints[base + 1] = max(ints[base + 1], stamp, 1)
    elif spec.mode != "livesum" and stamp > 0:
        words[base] = _kept(spec.mode, words[node.at], words[base], ints[base + 1])
        ints[base + 1] = stamp
    ints[node.at] = 0
    ints[node.stamp_at] = 0


def _kept(mode: str, value: float, base: float, base_stamp: int) -> float:
    if base_stamp == 0 or mode == "mostrecent":
        return value
    return max(value, base) if mode == "max" else min(value, base)
