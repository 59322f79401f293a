"""The folder through which the workers of one server share: found, made, checked, swept.

Under gunicorn it needs no telling: a worker's handler of SIGTERM is bound to gunicorn's worker
object, which knows its arbiter; with ``--preload`` the importing process is the arbiter itself.
"""

from __future__ import annotations

import os
import shutil
import signal
import stat
import sys
import tempfile
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from ..exceptions import StoreError
from .lease import is_free, slot_files

PREFIX = "flask_expvar-"
#: How long the folder of an arbiter that is gone is left alone, in seconds.
GRACE = 120.0
_MARK = "abandoned"
#: gunicorn hands this to the arbiter that replaces it (USR2).
OLD_ARBITER = "GUNICORN_PID"


@dataclass(frozen=True)
class Place:
    """A folder to share through.

    :param worker: False in a process that only forks the workers.
    :param owner: the user whose the files shall be; None for the process's own.
    """

    path: Path
    worker: bool = True
    owner: tuple[int, int] | None = None


def find(directory: str | None, environ: Mapping[str, str]) -> Place | None:
    """Return the folder of this process's server, or None if there is no telling.

    :param directory: the setting ``EXPVAR_DIR``.
    :raises StoreError: if the folder cannot be made, or is not ours.
    """
    if directory is not None:
        return Place(_made(Path(directory), None))
    worker = gunicorn_worker()
    if worker is not None:
        # Only a worker that has loaded the application itself gets here: with --preload
        # its arbiter found the folder, and the child goes on in it.
        return Place(_of_arbiter(worker.ppid, environ, None))
    arbiter = _gunicorn_arbiter()
    if arbiter is not None:
        owner = (arbiter.cfg.uid, arbiter.cfg.gid) if os.geteuid() == 0 else None
        return Place(_of_arbiter(os.getpid(), environ, owner), False, owner)
    return None


def existing(path: Path) -> Path:
    """Return *path*, a folder that workers share.

    :raises StoreError: if it is none, or is not ours.
    """
    if not path.is_dir():
        raise StoreError(f"{path} is no folder that workers share")
    return _made(path.resolve(), None)


def gunicorn_worker() -> Any:
    """Return gunicorn's worker object if this process is one that it runs, else None."""
    if "gunicorn.workers.base" not in sys.modules:
        return None
    worker = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    named = {kind.__module__ for kind in type(worker).__mro__}
    return worker if "gunicorn.workers.base" in named else None


def _gunicorn_arbiter() -> Any:
    """Return the Arbiter that is loading the application right now, further up this stack."""
    module = sys.modules.get("gunicorn.arbiter")
    frame = sys._getframe() if module else None
    while frame is not None:
        if frame.f_code.co_filename == getattr(module, "__file__", None):
            found = frame.f_locals.get("self")
            if type(found).__name__.endswith("Arbiter") and hasattr(found, "cfg"):
                return found
        frame = frame.f_back
    return None


def _of_arbiter(pid: int, environ: Mapping[str, str], owner: tuple[int, int] | None) -> Path:
    base = _base()
    path = base / (PREFIX + identity(pid))
    old = environ.get(OLD_ARBITER, "")
    if not path.exists() and old.isdigit():
        # The arbiter that USR2 started goes on counting where the old one is, or was.
        before = sorted(base.glob(f"{PREFIX}{old}-*"), key=lambda each: each.lstat().st_mtime)
        if before and before[-1].exists():
            (before[-1] / _MARK).unlink(missing_ok=True)
            _link(path, before[-1].resolve().name)
    sweep(base)
    return _made(path.resolve(), owner)


def _link(path: Path, name: str) -> None:
    try:
        path.symlink_to(name)
    except FileExistsError:
        return  # a sibling was quicker


def _base() -> Path:
    # Memory, where there is such a folder: counting should not make a disk spin.
    memory = Path("/dev/shm")
    return memory if os.access(memory, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())


def identity(pid: int) -> str:
    """Return what names a process for ever: its id and a digest of when and where it started.

    Process ids come back, and containers that share a folder have the same ones.
    """
    try:
        started = _start_ticks(pid)
        namespace = os.readlink("/proc/self/ns/pid")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    except (OSError, ValueError, IndexError):
        try:
            started, namespace, boot = str(psutil.Process(pid).create_time()), "", ""
        except psutil.Error:
            started = namespace = boot = ""
    digest = zlib.crc32(f"{started} {namespace} {boot}".encode())
    return f"{pid}-{digest:08x}"


def _start_ticks(pid: int) -> str:
    # Field 22 of proc(5); the second may hold blanks and brackets of its own.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def _made(path: Path, owner: tuple[int, int] | None) -> Path:
    try:
        path.mkdir(mode=0o700, parents=False, exist_ok=True)
        found = os.stat(path, follow_symlinks=False)
        if owner is not None and found.st_uid == os.geteuid():
            os.chown(path, *owner)
            found = os.stat(path, follow_symlinks=False)
    except OSError as error:
        raise StoreError(f"{path} cannot be shared through: {error.strerror or error}") from error
    ours = {os.geteuid(), *(owner or ())[:1]}
    if not stat.S_ISDIR(found.st_mode):
        raise StoreError(f"{path} cannot be shared through: it is no folder")
    if found.st_uid not in ours:
        raise StoreError(f"{path} cannot be shared through: it belongs to user {found.st_uid}")
    if found.st_mode & 0o022:
        raise StoreError(f"{path} cannot be shared through: others may write in it (chmod 700)")
    if not os.access(path, os.W_OK | os.X_OK):
        raise StoreError(f"{path} cannot be shared through: it is read-only")
    return path


def sweep(base: Path, grace: float = GRACE) -> None:
    """Remove the folders of arbiters that have been gone for *grace* seconds. Never raises.

    They are marked first: the workers of an arbiter that USR2 started look for the old one's
    folder when they have loaded the application, and that may take its time.
    """
    try:
        found = [path for path in base.iterdir() if path.name.startswith(PREFIX)]
        dead = [path for path in found if not _alive(path)]
        kept = {path.resolve() for path in found if path not in dead}
        for path in dead:
            if path.is_symlink():
                path.unlink()
            elif path not in kept and _is_abandoned(path, grace):
                shutil.rmtree(path, ignore_errors=True)
    except OSError:
        return  # somebody else sweeps, or may


def _is_abandoned(path: Path, grace: float) -> bool:
    # The arbiter is gone, its workers may still finish what they do.
    ours = path.stat().st_uid == os.geteuid()
    if not ours or not all(is_free(file) for file in slot_files(path).values()):
        return False
    mark = path / _MARK
    if not mark.exists():
        mark.touch(mode=0o600)
    return time.time() - mark.stat().st_mtime >= grace


def running() -> list[Path]:
    """Return the folders of the gunicorns of this user that are running."""
    found = [path for path in _base().glob(f"{PREFIX}*") if _alive(path) and path.is_dir()]
    ours = [path.resolve() for path in found if path.stat().st_uid == os.geteuid()]
    return sorted(set(ours))


def _alive(path: Path) -> bool:
    pid = path.name[len(PREFIX) :].partition("-")[0]
    return pid.isdigit() and path.name == PREFIX + identity(int(pid))
