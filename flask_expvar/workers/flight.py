"""Requests in flight, noted in a file that outlives the process which serves them.

A dead process cleans nothing up, so what is still noted in the file of its slot is what it was
doing. The kernel keeps a mapping's last state however its process dies. All numbers are words
in the machine's own byte order.

::

    header   magic, version, pid, started, missed, 0 …
    entry    began | number | where its text is | ended
    text     registry | length | UTF-8, padded with zeros

The header has the size of two entries and takes their place. Texts are written once, as there
are few: to begin, name and end a request is then to set a word, which is done 5 times as fast as
packing bytes.
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

VERSION = 2
MAGIC = int.from_bytes(b"FLIGHT\r\n", "little")
#: How many bytes an entry and the whole file have.
ENTRY, SIZE = 32, 131072
#: How many bytes of text are kept.
LONGEST_TEXT = 208
_ENTRIES = 256
#: How many requests can be noted at once.
ROOM = _ENTRIES - 2
#: Where texts of two sizes are, and how much one takes with what stands before it.
_SHORT, _LONG = 64, 224
_SHORT_AT, _LONG_AT = _ENTRIES * ENTRY, SIZE - 136 * _LONG
_WORDS = ENTRY // 8
_AT_MAGIC, _AT_VERSION, _AT_PID, _AT_STARTED, _AT_MISSED = range(5)
#: In an entry: nothing is in flight where the text is nowhere.
_TEXT_AT = 2
#: Beside the place of the text: the request has ended, in a way that ends processes.
_KEPT = 2**63
#: In place of the place of a text that is not there.
_NOWHERE = 1

_HEAD = struct.Struct("@5Q")
_NOTE = struct.Struct("@4Q")
_BEFORE = struct.Struct("@2Q")
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

    __slots__ = ("_clock", "_longs", "_memory", "_shorts", "_texts", "free", "words")

    def __init__(
        self, path: Path, pid: int, started_ns: int, *, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._clock = clock
        self._use(memoryview(_new_file(path)))
        for at, value in ((_AT_VERSION, VERSION), (_AT_PID, pid), (_AT_STARTED, started_ns)):
            self.words[at] = value
        self.words[_AT_MAGIC] = MAGIC

    def _use(self, memory: memoryview) -> None:
        self._memory = memory
        #: All of the file, and which notes are free: of each the word that tells its text.
        self.words = memory.cast("Q")
        last, first = (_ENTRIES - 1) * _WORDS + _TEXT_AT, 2 * _WORDS + _TEXT_AT
        self.free = deque(range(last, first - 1, -_WORDS))
        # Taken from in one step, by whatever thread or signal handler comes.
        self._shorts = iter(range(_SHORT_AT, _LONG_AT - _SHORT + 1, _SHORT))
        self._longs = iter(range(_LONG_AT, SIZE, _LONG))
        self._texts: dict[tuple[int, bytes], int] = {}

    def text(self, registry: int, text: bytes) -> int:
        """Write down what can be said of requests, once; return where, 1 if there is no room.

        :param registry: the :func:`key_of` the registry in which they are counted.
        """
        text = text[:LONGEST_TEXT]
        at = self._texts.get((registry, text), 0)
        if at:
            return at
        size = _BEFORE.size + len(text)
        at = next(self._shorts, 0) if size <= _SHORT else 0
        at = at or next(self._longs, 0)
        if at:
            self._memory[at + _BEFORE.size : at + size] = text
            _BEFORE.pack_into(self._memory, at, registry, len(text))
            self._texts[registry, text] = at  # the last: whoever finds it may use it
        return at or _NOWHERE

    def begin(self, began_ns: int, number: int, text: int) -> int:
        """Note a request; return what the other methods know it by, 0 if there is no room.

        That is the place of the word which tells its text: whoever knows more of the request sets
        it to the place of another.

        :param began_ns: of the wall clock, which is the same in the process that will read it.
        :param text: where its text is.
        """
        words = self.words
        try:
            note = self.free.pop()
        except IndexError:
            words[_AT_MISSED] += 1
            return 0
        try:
            words[note - 2] = began_ns
            words[note - 1] = number
        except ValueError:  # no 64-bit numbers
            words[note - 2] = began_ns & _MASK
            words[note - 1] = number & _MASK
        words[note] = text  # the last: an entry counts when it is whole
        return note

    def end(self, note: int) -> None:
        """Forget the request; ending it twice is fine as long as no other has its place."""
        if note and 0 < self.words[note] < _KEPT:
            self.words[note] = 0
            self.free.append(note)

    def keep(self, note: int) -> None:
        """End the request, but leave the note in case that the process dies now.

        For what goes through a request and ends processes (``SystemExit`` of gunicorn's
        handler of SIGABRT). The place is given away again as the last of all.
        """
        text = self.words[note] if note else 0
        if 0 < text < _KEPT:
            self.words[note + 1] = self._clock() & _MASK
            self.words[note] = text | _KEPT
            self.free.appendleft(note)

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
    entries = [_NOTE.unpack_from(data, at) for at in range(2 * ENTRY, _SHORT_AT, ENTRY)]
    # Places that are free again still tell when they were taken.
    last = max(entry[0] for entry in entries)
    flights = []
    for began, number, where, ended in entries:
        kept, (registry, text) = where >= _KEPT, _text(data, where % _KEPT)
        ended = ended if kept else 0
        if where and max(began, ended) < 2**63 and (not kept or last - LIVED_ON <= ended):
            flights.append(Flight(registry, began, ended, number, text))
    flights.sort(key=lambda flight: flight.began_ns)
    return Remains(pid, started_ns, missed, tuple(flights))


def _text(data: bytes, at: int) -> tuple[int, str]:
    if not _SHORT_AT <= at <= SIZE - _LONG:
        return 0, ""
    registry, length = _BEFORE.unpack_from(data, at)
    text = data[at + _BEFORE.size :][: min(length, LONGEST_TEXT)]
    return registry, text.decode(errors="replace")
