"""Leases: which process has which slot, kept by the kernel, so that no death is missed.

Locks of open file descriptions (Linux, ``fcntl(2)``) can be asked for without being taken,
and one process is told from itself; elsewhere ``flock`` has to do.
"""

from __future__ import annotations

import fcntl
import os
import re
import struct
from pathlib import Path

_FLOCK = "hhqqi4x"
_SLOT = re.compile(r"slot-(\d+)")
#: How many slots a folder may have.
MOST = 10_000


def claim(path: Path) -> int | None:
    """Lease the slot whose file is *path*, or return None if another process has it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if _lock(fd) and _is_still(fd, path):
            give_to_folder(fd, path)
            return fd
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def create(path: Path) -> int:
    """Open the new file *path* beside the slots, for reading and writing.

    :raises OSError: if it is there already, or cannot be made.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, 0o600)
    give_to_folder(fd, path)
    return fd


def give_to_folder(fd: int, path: Path) -> None:
    """Let the file *path* belong to whose the folder is."""
    # A server that starts as root and then changes its user: the folder says to whom.
    if os.geteuid() == 0:
        owner = os.stat(path.parent)
        os.fchown(fd, owner.st_uid, owner.st_gid)


def _lock(fd: int) -> bool:
    try:
        if hasattr(fcntl, "F_OFD_SETLK"):
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, 0, 0, 0, 0))
        else:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _is_still(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def is_leased(fd: int) -> bool:
    """Return whether another open file has the lease of the one behind *fd*."""
    if hasattr(fcntl, "F_OFD_GETLK"):
        asked = struct.pack(_FLOCK, fcntl.F_RDLCK, 0, 0, 0, 0)
        answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked)
        return bool(struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False


def is_free(path: Path) -> bool:
    """Return whether no process has the slot whose file is *path*."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not is_leased(fd)
    finally:
        os.close(fd)


def slot_files(folder: Path) -> dict[int, Path]:
    """Return the slots' files in *folder* by number, lowest first.

    :raises OSError: if the folder cannot be read.
    """
    return {number: folder / entry.name for number, entry in slot_entries(folder).items()}


def slot_entries(folder: Path) -> dict[int, os.DirEntry[str]]:
    """Return what the folder itself says of the slots' files, by number, lowest first.

    :raises OSError: if the folder cannot be read.
    """
    found = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            match = _SLOT.fullmatch(entry.name)
            if match:
                found[int(match[1])] = entry
    return dict(sorted(found.items()))
