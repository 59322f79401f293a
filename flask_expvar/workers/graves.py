"""Graves: what workers that died were doing, found in their slots and kept in one file."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from . import flight, lease
from .flight import Flight

FORMAT = 1
#: How many deaths are kept, and in how many bytes: the folder may be in memory.
MOST, MOST_BYTES = 50, 2**20
LONGEST_STACK = 65536
#: How soon after a kept request the end of its process must be seen for one to have caused the
#: other, in ns: a server may also go on after a SystemExit, and end in good order much later.
SEEN_WITHIN = 60 * 10**9
_FILE = "graves.json"

_CAUSES = {
    "Aborted": "SIGABRT",
    "Segmentation fault": "SIGSEGV",
    "Bus error": "SIGBUS",
    "Floating": "SIGFPE",
    "Illegal instruction": "SIGILL",
}
T = TypeVar("T")
_FATAL = re.compile(rf"^Fatal Python error: ({'|'.join(_CAUSES)})", re.MULTILINE)


@dataclass(frozen=True)
class Grave:
    """One worker that died with requests in its hands, or of a fatal signal.

    :param died_ns: of the wall clock: if *exact* when its last words were written, otherwise
        when somebody first saw that it was gone.
    :param cause: the signal if faulthandler saw it, else empty: SIGKILL leaves no trace.
    :param requests: those that died with it, oldest first.
    :param missed: how many requests of its life were not noted for want of room.
    :param stack: what faulthandler wrote, perhaps cut.
    """

    slot: int
    pid: int
    started_ns: int
    died_ns: int
    exact: bool
    cause: str
    requests: tuple[Flight, ...]
    missed: int
    stack: str

    @property
    def identity(self) -> tuple[int, int, int]:
        """What tells one life from another."""
        return (self.slot, self.pid, self.started_ns)

    def of(self, registry: int) -> Grave:
        """Return this death with the requests of one registry only."""
        ours = (request for request in self.requests if request.registry == registry)
        return replace(self, requests=tuple(ours))

    def to_json(self) -> dict[str, Any]:
        """Return plain data, from which :meth:`from_json` makes the same."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Any) -> Grave | None:
        """Return the death that *data* tells of, or None if it is anything else."""
        try:
            requests = tuple(_checked(Flight(**each)) for each in data["requests"])
            return _checked(cls(**{**data, "requests": requests}))
        except (TypeError, ValueError, KeyError, AttributeError):
            return None


def _checked(found: T) -> T:
    for name, kind in type(found).__annotations__.items():
        value = getattr(found, name)
        if kind in ("int", "bool", "str") and type(value).__name__ != kind:
            raise TypeError(f"{name} is {type(value)}, not {kind}")
        if kind == "str":
            value.encode()  # half a surrogate pair could not be shown
        if kind == "int" and not 0 <= value < 2 ** (63 if name.endswith("_ns") else 64):
            raise ValueError(f"{name} cannot be {value}")
    return found


class Graveyard:
    """The deaths in *folder*. Reading never raises, whatever the files hold.

    :param exclusive: keeps the other processes from writing meanwhile.
    """

    def __init__(
        self,
        folder: Path,
        exclusive: Callable[[], AbstractContextManager[None]],
        *,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._folder = folder
        self._exclusive = exclusive
        self._clock = clock

    def graves(self) -> list[Grave]:
        """Return all deaths that are known, newest first; what is new to the file is added."""
        # The slots first: what a new worker buries meanwhile is in the file then.
        found = self._unburied()
        known = self._load() or []
        new = _without(known, found)
        if new:
            with suppress(OSError):
                self._add(new)
        return _newest([*known, *new])

    def bury(self, slot: int) -> None:
        """Put what the last process in *slot* left into the file, and clear the slot.

        Only for who has the slot's lease.
        """
        with suppress(OSError):
            grave = self._remains(slot)
            if grave is not None:
                self._add([grave])
        for path in (self.flight_file(slot), self.stack_file(slot)):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def flight_file(self, slot: int) -> Path:
        """Return where the process in *slot* notes its requests."""
        return self._folder / f"flight-{slot}"

    def stack_file(self, slot: int) -> Path:
        """Return where the stacks of the process in *slot* go when it dies."""
        return self._folder / f"stack-{slot}"

    def _unburied(self) -> list[Grave]:
        found = []
        with suppress(OSError):
            for slot, path in lease.slot_files(self._folder).items():
                if lease.is_free(path):
                    grave = self._remains(slot)
                    # Still free, so this was not the file of a successor.
                    if grave is not None and lease.is_free(path):
                        found.append(grave)
        return found

    def _remains(self, slot: int) -> Grave | None:
        data = _content(self.flight_file(slot), flight.SIZE)[0]
        remains = flight.read(data)
        if remains is None:
            return None
        words, written_ns = _content(self.stack_file(slot), LONGEST_STACK)
        died_ns = written_ns if words else self._clock()
        since = died_ns - (flight.LIVED_ON if words else SEEN_WITHIN)
        flights = [each for each in remains.flights if not 0 < each.ended_ns < since]
        if not (words or flights):
            return None
        stack = words.decode(errors="replace")
        return Grave(
            slot=slot,
            pid=remains.pid,
            started_ns=remains.started_ns,
            died_ns=died_ns,
            exact=bool(words),
            cause=_cause(stack),
            requests=tuple(flights),
            missed=remains.missed,
            stack=stack,
        )

    def _load(self) -> list[Grave] | None:
        """Return what is in the file, None if a newer version wrote it."""
        try:
            data = json.loads(_content(self._folder / _FILE, 2 * MOST_BYTES)[0])
            if data["format"] > FORMAT:
                return None
            read = [Grave.from_json(each) for each in data["graves"]]
        except (ValueError, TypeError, KeyError, RecursionError):
            return []
        return [grave for grave in read if grave is not None]

    def _add(self, new: list[Grave]) -> None:
        with self._exclusive():
            known = self._load()
            if known is None:
                return
            body = _encoded(_newest([*known, *_without(known, new)]))
            path = self._folder / f"{_FILE}.new"
            path.unlink(missing_ok=True)
            with open(lease.create(path), "wb") as file:
                file.write(body)
            path.replace(self._folder / _FILE)


def _content(path: Path, most: int) -> tuple[bytes, int]:
    """Return at most *most* bytes of a file, and when they were written; nothing if it is none."""
    try:
        # Not to wait for the writer of what may be a pipe.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return os.read(fd, most), os.fstat(fd).st_mtime_ns
        finally:
            os.close(fd)
    except OSError:
        return b"", 0


def _cause(stack: str) -> str:
    found = _FATAL.findall(stack)
    return _CAUSES[found[-1]] if found else ""


def _without(known: Iterable[Grave], found: Iterable[Grave]) -> list[Grave]:
    identities = {grave.identity for grave in known}
    return [grave for grave in found if grave.identity not in identities]


def _newest(graves: list[Grave]) -> list[Grave]:
    return sorted(graves, key=lambda grave: grave.died_ns, reverse=True)[:MOST]


def _encoded(graves: list[Grave]) -> bytes:
    texts: list[bytes] = []
    room = MOST_BYTES
    for grave in graves:
        text = json.dumps(grave.to_json(), separators=(",", ":"), ensure_ascii=False).encode()
        room -= len(text)
        if room < 0:
            break
        texts.append(text)
    return b'{"format":%d,"graves":[%s]}' % (FORMAT, b",".join(texts))
