"""A slot: the words of one process, in a file that the others read, or in its own memory.

A slot only grows, and words never move: a variable keeps the place that it was given, and a
reader may hold a view of it while the owner counts on.
"""

from __future__ import annotations

import mmap
import os
from typing import TypeAlias

from .._native import allocate_rlock
from ..exceptions import StoreError
from . import layout
from .layout import GRAIN, Spec

Ints: TypeAlias = "memoryview[int]"
Floats: TypeAlias = "memoryview[float]"


class Node:
    """One variable of a slot: what it is, whose child it is, and where its words are.

    *offset* is its record's place in the file, None if it is in private memory only.
    """

    __slots__ = ("at", "floats", "ints", "offset", "parent", "path", "spec")

    def __init__(
        self,
        parent: Node | None,
        spec: Spec,
        ints: Ints,
        floats: Floats,
        at: int,
        offset: int | None = None,
    ) -> None:
        self.parent = parent
        self.spec = spec
        self.ints = ints
        self.floats = floats
        self.at = at
        self.offset = offset
        self.path: tuple[str, ...] = (*parent.path, spec.name) if parent else (spec.name,)

    @property
    def stamp_at(self) -> int:
        """Where the stamp stands: when the value was set, in ns; negative when deleted."""
        return self.at + self.spec.width

    @property
    def base_at(self) -> int:
        """Where the base begins: what earlier processes of this slot left in the value."""
        return self.at + self.spec.width + 1

    @property
    def gone_at(self) -> int:
        """Where it stands when a value that is back was deleted, in ns; 0 if it never was."""
        return self.base_at + self.spec.width + 1


class Nodes(list[Node]):
    """The variables of one slot in the order in which they were made; only ever appended to.

    The few that are looked at one by one, at every read, are in :attr:`rare` as well.
    """

    __slots__ = ("rare",)

    def __init__(self) -> None:
        super().__init__()
        self.rare: list[Node] = []

    def append(self, node: Node) -> None:
        """Add one more."""
        if node.spec.kind in ("string", "func", "ring"):
            self.rare.append(node)
        super().append(node)


def views(memory: mmap.mmap | bytearray) -> tuple[Ints, Floats]:
    """Return *memory* as words, once as int64 and once as float64.

    Reading and writing an item of such a view is one store of the machine, which a reader in
    another process never saw torn; ``struct.pack_into`` was, in 8 to 27% of the reads.
    """
    return memoryview(memory).cast("B").cast("q"), memoryview(memory).cast("B").cast("d")


class SlotFile:
    """The file behind a shared slot, written by the one process that holds its lease.

    :param fd: an open, writable file, which stays the caller's.
    :raises StoreError: if the file is not one of this version.
    :raises OSError: if there is no room for it.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._size = os.fstat(fd).st_size
        if self._size == 0:
            self._extend(GRAIN)
        self._pieces: list[tuple[int, Ints, Floats]] = []
        self.head = self._open()
        self.records, end = layout.scan(self._bytes(), layout.HEADER, self.head[layout.AT_USED])
        # What follows a damaged record is lost; the next record takes its place.
        self._next = end
        self.head[layout.AT_USED] = end

    def _extend(self, more: int) -> None:
        # A hole that cannot be filled kills the process (SIGBUS) at the first count in it;
        # asking for the blocks turns a full disk into an OSError here.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._fd, self._size, more)
        else:
            os.pwrite(self._fd, bytes(more), self._size)
        self._size += more

    def _open(self) -> Ints:
        if self._size % GRAIN:
            raise StoreError(f"the file is cut short: {self._size} bytes")
        self._map(0, self._size)
        head = self._pieces[0][1]
        if head[layout.AT_MAGIC] == 0:
            head[layout.AT_VERSION] = layout.VERSION
            head[layout.AT_USED] = layout.HEADER
            # Last: a reader that sees no magic skips the file.
            head[layout.AT_MAGIC] = layout.MAGIC
        check_head(head)
        if not layout.HEADER <= head[layout.AT_USED] <= self._size:
            raise StoreError(f"the file claims {head[layout.AT_USED]} of its {self._size} bytes")
        return head

    def _map(self, start: int, size: int) -> None:
        ints, floats = views(mmap.mmap(self._fd, size, offset=start))
        self._pieces.append((start, ints, floats))

    def _bytes(self) -> memoryview:
        return self._pieces[0][1].cast("B")

    def words(self, byte: int) -> tuple[Ints, Floats, int]:
        """Return the views that show the byte *byte* of the file, and its place in them."""
        for start, ints, floats in reversed(self._pieces):
            if start <= byte:
                return ints, floats, (byte - start) // 8
        raise IndexError(byte)

    def append(self, parent: int, spec: Spec) -> tuple[int, int]:
        """Add a record; return where it stands and where its words begin, both in bytes.

        :raises OSError: if there is no room.
        :raises ValueError: if the description is too long.
        """
        head, words = layout.record(parent, spec)
        size = len(head) + 8 * words
        offset = self._reserve(size)
        memory, _, at = self.words(offset)
        # Zeros too: a process that was killed half way may have left some bytes there.
        memory.cast("B")[8 * at : 8 * at + size] = head + bytes(8 * words)
        # Committed last, so that a reader only ever sees whole records.
        self.head[layout.AT_USED] = max(self.head[layout.AT_USED], offset + size)
        return offset, offset + len(head)

    def _reserve(self, size: int) -> int:
        room = self._size - self._next
        if size != room and size + layout.SMALLEST > room:
            start, more = self._size, -(-(size + layout.SMALLEST) // GRAIN) * GRAIN
            self._extend(more)
            self._map(start, more)
            if room:
                ints, _, at = self.words(self._next)
                ints.cast("B")[8 * at : 8 * at + layout.SMALLEST] = layout.filler(room)
            self._next = start
        offset = self._next
        self._next = offset + size
        return offset


def check_head(head: Ints) -> None:
    """Raise :class:`StoreError` unless the file can be read by this version."""
    if head[layout.AT_MAGIC] != layout.MAGIC:
        raise StoreError("the file is not one of flask_expvar's")
    if head[layout.AT_VERSION] != layout.VERSION:
        raise StoreError(
            f"the file has format {head[layout.AT_VERSION]}, this version reads {layout.VERSION}"
        )


def wrapped(number: int) -> int:
    """Return *number* as it fits into a word: what is too large starts again from below."""
    return (number + 2**63) % 2**64 - 2**63


class Slot:
    """The variables of one process and their words.

    What does not fit into the file any more (a full disk) is counted in private memory, and
    :attr:`problem` says so: the process's own pages still show it.

    Safe to use from several threads and signal handlers. After a fork the child must take
    another slot, for a word has one writer.
    """

    def __init__(self, file: SlotFile | None = None) -> None:
        self.file = file
        self.problem = ""
        #: Whether something is counted in private memory that should be in the file.
        self.has_private = False
        self.nodes = Nodes()
        self._lock = allocate_rlock()
        self._index: dict[tuple[int, tuple[object, ...]], Node] = {}
        self._growing = False
        self._spare: tuple[Ints, Floats] = views(bytearray(0))
        self._spare_at = 0
        if file is not None:
            self._load(file)

    def _load(self, file: SlotFile) -> None:
        by_offset: dict[int, Node] = {}
        for found in file.records:
            ints, floats, at = file.words(8 * found.at)
            parent = by_offset.get(found.parent)
            if found.parent and parent is None:
                continue  # garbage that happens to look like a record
            node = Node(parent, found.spec, ints, floats, at, found.offset)
            by_offset[found.offset] = node
            self._add(node)

    def _add(self, node: Node) -> Node:
        self._index.setdefault((id(node.parent), node.spec.identity), node)
        self.nodes.append(node)
        return node

    def node(self, parent: Node | None, spec: Spec) -> Node:
        """Return the words of *spec* below *parent*: those it has already, or new ones."""
        with self._lock:
            known = self._index.get((id(parent), spec.identity))
            return known or self._add(self._new(parent, spec))

    def children(self, parent: Node) -> list[Node]:
        """Return the variables below *parent*, in the order in which they were made."""
        with self._lock:
            return [node for node in self.nodes if node.parent is parent]

    def _new(self, parent: Node | None, spec: Spec) -> Node:
        above = parent.offset if parent else 0
        # A signal handler that declares a variable while the file grows gets private words.
        if self.file is not None and above is not None and not self._growing:
            self._growing = True
            try:
                offset, byte = self.file.append(above, spec)
                return Node(parent, spec, *self.file.words(byte), offset)
            except (OSError, ValueError) as error:
                self.problem = f"new variables are counted in this process only: {error}"
            finally:
                self._growing = False
        self.has_private = True
        return Node(parent, spec, *self._private(layout.words_of(spec.width)))

    def _private(self, words: int) -> tuple[Ints, Floats, int]:
        if self._spare_at + words > len(self._spare[0]):
            self._spare = views(bytearray(8 * max(words, 512)))
            self._spare_at = 0
        at = self._spare_at
        self._spare_at = at + words
        return (*self._spare, at)

    def after_fork(self) -> None:
        """Go on in a child: no thread of the parent's is there to give the lock back."""
        self._lock = allocate_rlock()
        self._growing = False
