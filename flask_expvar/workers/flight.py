"""Requests in flight, noted in a file that outlives the process which serves them.

A dead process cleans nothing up, so what is still noted in the file of its slot is what it was
doing. The kernel keeps a mapping's last state however its process dies. All numbers are words
in the machine's own byte order.

::

    header   magic, version, pid, started, missed, 0 …
    entry    began | number | registry | ended | 216 bytes of text, padded with zeros | state

The header has the size of an entry and takes the place of the first.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import lease

VERSION = 1
MAGIC = int.from_bytes(b"FLIGHT\r\n", "little")
#: How many bytes an entry and the whole file have.
ENTRY, SIZE = 256, 65536
#: How many bytes of text an entry holds.
LONGEST_TEXT = 216
_ENTRIES = SIZE // ENTRY
_WORDS = ENTRY // 8
_AT_MAGIC, _AT_VERSION, _AT_PID, _AT_STARTED, _AT_MISSED = range(5)
_FREE, _FLYING, _KEPT = range(3)

_HEAD = struct.Struct("@5Q")
#: The state is written last: an entry counts when it is whole.
_NOTE = struct.Struct(f"@4Q{LONGEST_TEXT}sQ")
_TEXT = struct.Struct(f"{LONGEST_TEXT}s")
_write_note, _write_text = _NOTE.pack_into, _TEXT.pack_into
_ENDED_AT, _TEXT_AT, _STATE_AT = 3, 32, _WORDS - 1
_MASK = 2**64 - 1
#: A process that goes on this long after a kept request has not died of its end, in ns.
LIVED_ON = 10**9


def key_of(registry: str) -> int:
    """Return what stands for the registry of this name in an entry."""
    return zlib.crc32(registry.encode(errors="backslashreplace"))


@dataclass(frozen=True)
class Flight:
    """One request that had not ended well.

    :param registry: the :func:`key_of` the registry that it was counted in.
    :param number: that of its trace, 0 if it has none.
    :param text: method and route, as far as they were known.
    :param ended_ns: when an exception that ends processes went through it; 0 if none did.
    """

    registry: int
    began_ns: int
    ended_ns: int
    number: int
    text: str


@dataclass(frozen=True)
class Remains:
    """What is in the file: whose it is, its flights, oldest first, and how many had no room."""

    pid: int
    started_ns: int
    missed: int
    flights: tuple[Flight, ...]


class Flights:
    """The notes of this process, in a new file at *path*.

    No method raises, locks or waits; all are safe in threads and signal handlers. Notes are kept
    in this object however the process forks meanwhile, so end a request where it began.

    :param path: replaced; only the holder of the slot's lease may do that.
    :raises OSError: if there is no room, or no leave, for the file.
    """

    __slots__ = ("_clock", "_free", "_memory", "_words")

    def __init__(
        self, path: Path, pid: int, started_ns: int, *, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._clock = clock
        self._use(memoryview(_new_file(path)))
        for at, value in ((_AT_VERSION, VERSION), (_AT_PID, pid), (_AT_STARTED, started_ns)):
            self._words[at] = value
        self._words[_AT_MAGIC] = MAGIC

    def _use(self, memory: memoryview) -> None:
        self._memory = memory
        self._words = memory.cast("Q")
        self._free = deque(range(_ENTRIES - 1, 0, -1))

    def begin(self, began_ns: int, number: int, registry: int, text: bytes = b"") -> int:
        """Note a request; return its index for the other methods, -1 if there is no room.

        :param began_ns: of the wall clock, which is the same in the process that will read it.
        """
        try:
            index = self._free.pop()
        except IndexError:
            self._words[_AT_MISSED] += 1
            return -1
        try:
            _write_note(self._memory, index * ENTRY, began_ns, number, registry, 0, text, _FLYING)
        except struct.error:  # no 64-bit numbers
            began_ns, number = began_ns & _MASK, number & _MASK
            _write_note(self._memory, index * ENTRY, began_ns, number, registry, 0, text, _FLYING)
        return index

    def name(self, index: int, text: bytes) -> None:
        """Replace what is known of the request; what does not fit is cut."""
        if index > 0:
            _write_text(self._memory, index * ENTRY + _TEXT_AT, text)

    def end(self, index: int) -> None:
        """Forget the request; ending it twice is fine as long as no other has its place."""
        if index > 0:
            words, at = self._words, index * _WORDS + _STATE_AT
            if words[at] == _FLYING:
                words[at] = _FREE
                self._free.append(index)

    def keep(self, index: int) -> None:
        """End the request, but leave the note in case that the process dies now.

        For what goes through a request and ends processes (``SystemExit`` of gunicorn's
        handler of SIGABRT). The place is given away again as the last of all.
        """
        if index > 0:
            at = index * _WORDS
            if self._words[at + _STATE_AT] == _FLYING:
                self._words[at + _ENDED_AT] = self._clock() & _MASK
                self._words[at + _STATE_AT] = _KEPT
                self._free.appendleft(index)

    def forget(self) -> None:
        """Go on in private memory: in a forked child, where the file is the parent's."""
        self._use(memoryview(bytearray(SIZE)))


def _new_file(path: Path) -> mmap.mmap:
    path.unlink(missing_ok=True)
    fd = lease.create(path)
    try:
        # As for a slot: a full disk has to be an OSError here, not a SIGBUS later.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(fd, 0, SIZE)
        else:
            os.pwrite(fd, bytes(SIZE), 0)
        return mmap.mmap(fd, SIZE)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)


def read(data: bytes) -> Remains | None:
    """Return what the file with these bytes says; None if it is none of this version's.

    Nothing in *data* is trusted: it may be garbage from the first byte to the last.
    """
    if len(data) != SIZE:
        return None
    magic, version, pid, started_ns, missed = _HEAD.unpack_from(data)
    if magic != MAGIC or version != VERSION or not 0 < pid < 2**31 or started_ns >= 2**63:
        return None
    entries = [_NOTE.unpack_from(data, at) for at in range(ENTRY, SIZE, ENTRY)]
    # Places that are free again still tell when they were taken.
    last = max(entry[0] for entry in entries)
    flights = [
        Flight(registry, began, ended, number, text.rstrip(b"\0").decode(errors="replace"))
        for began, number, registry, ended, text, state in entries
        if max(began, ended) < 2**63
        and (state == _FLYING or (state == _KEPT and last - LIVED_ON <= ended))
    ]
    flights.sort(key=lambda flight: flight.began_ns)
    return Remains(pid, started_ns, missed, tuple(flights))
