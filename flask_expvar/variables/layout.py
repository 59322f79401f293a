"""The format of a slot's file: how variables and their values lie in memory that processes share.

A file is a header and then records, each a variable (a *node* of a tree) with the words that
hold its value. Records are only ever appended, and words never move, so a reader may look at
any moment without a lock. All numbers are in the machine's own byte order and eight bytes wide
and aligned: such a store is one instruction, which no reader sees half done.

::

    header   64 words: magic, version, used, pid, started, role, leases, deletions, 0 …
    record   size u32 | crc u32 | parent u32 | width u16 | text length u16 | text | pad | words
    words    width values | stamp | width base values | base stamp | when deleted
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass

VERSION = 2
MAGIC = int.from_bytes(b"EXPVAR\r\n", "little")
HEADER = 512
#: Where each figure of the header stands, in words.
AT_MAGIC, AT_VERSION, AT_USED, AT_PID, AT_STARTED, AT_ROLE, AT_LEASES, AT_DELETIONS = range(8)
WORKER, PARENT = 0, 1

#: Growth is in pieces that every machine can map on their own (pages have up to 64 KiB).
GRAIN = 65536

_RECORD = struct.Struct("=IIIHH")
SMALLEST = _RECORD.size
#: The parent of a record that only fills the end of a piece.
FILLER = 0xFFFFFFFF
LONGEST_TEXT = 0xFFFF


@dataclass(frozen=True)
class Spec:
    """What a variable is: all that another process needs to read its words.

    :param mode: how several workers' values become one; None for a counter.
    :param bounds: a histogram's upper bounds.
    """

    kind: str
    name: str
    help: str = ""
    label: str | None = None
    mode: str | None = None
    bounds: tuple[float, ...] = ()

    @property
    def identity(self) -> tuple[object, ...]:
        """What must be equal for two declarations to share their words."""
        return (self.kind, self.name, self.mode, self.bounds)

    @property
    def width(self) -> int:
        """How many words the value takes."""
        if self.kind == "histogram":
            return len(self.bounds) + 2  # a count for each bucket, the infinite one too; the sum
        return {"int": 1, "float": 1, "ring": 512}.get(self.kind, 0)

    def encode(self) -> bytes:
        """Return the text of the record, ASCII."""
        fields: dict[str, object] = {"k": self.kind, "n": self.name}
        for key, value in (("h", self.help), ("l", self.label), ("m", self.mode)):
            if value:
                fields[key] = value
        if self.bounds:
            fields["b"] = self.bounds
        return json.dumps(fields, separators=(",", ":")).encode("ascii")


def decode_spec(text: bytes) -> Spec | None:
    """Return what :meth:`Spec.encode` wrote, or None if *text* is anything else."""
    try:
        fields = json.loads(text)
        spec = Spec(
            kind=fields["k"],
            name=fields["n"],
            help=fields.get("h", ""),
            label=fields.get("l"),
            mode=fields.get("m"),
            bounds=tuple(map(float, fields.get("b", ()))),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return None
    texts = (spec.kind, spec.name, spec.help, spec.label or "", spec.mode or "")
    return spec if all(isinstance(text, str) for text in texts) else None


def record(parent: int, spec: Spec) -> tuple[bytes, int]:
    """Return the bytes of a record up to its words, and how many words follow.

    :raises ValueError: if the text is longer than a record can hold.
    """
    text = spec.encode()
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"the description of {spec.name[:40]!r} has {len(text)} bytes")
    words = words_of(spec.width)
    body = text + bytes(-len(text) % 8)
    size = _RECORD.size + len(body) + 8 * words
    crc = zlib.crc32(text, parent)
    return _RECORD.pack(size, crc, parent, spec.width, len(text)) + body, words


def filler(size: int) -> bytes:
    """Return a record that says: nothing in the next *size* bytes."""
    return _RECORD.pack(size, zlib.crc32(b"", FILLER), FILLER, 0, 0)


def words_of(width: int) -> int:
    """Return how many words a value of *width* takes with its stamps and its base."""
    return 2 * width + 3


@dataclass(frozen=True)
class Record:
    """One record as found: where it stands, whose child it is, and where its words begin."""

    offset: int
    parent: int
    spec: Spec
    at: int


def scan(memory: memoryview, start: int, used: int) -> tuple[list[Record], int]:
    """Return the records between the bytes *start* and *used*, and the byte where the last ends.

    Reading stops at the first bad record. Nothing in *memory* is trusted: it may be garbage
    from the first byte to the last.

    :param memory: the bytes of the whole file.
    """
    found: list[Record] = []
    offset, end = start, min(used, len(memory))
    while offset + _RECORD.size <= end:
        size, crc, parent, width, length = _RECORD.unpack_from(memory, offset)
        text_at = offset + _RECORD.size
        if size % 8 or size < _RECORD.size or offset + size > end or text_at + length > end:
            break
        text = bytes(memory[text_at : text_at + length])
        if zlib.crc32(text, parent) != crc:
            break
        if parent != FILLER:
            spec = decode_spec(text)
            words_at = text_at + length + (-length % 8)
            if spec is None or spec.width != width or parent >= offset:
                break
            if words_at + 8 * words_of(width) != offset + size:
                break
            found.append(Record(offset, parent, spec, words_at // 8))
        offset += size
    return found, offset
