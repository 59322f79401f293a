"""A sibling's slot, read only: whatever its file holds, reading it harms nobody."""

from __future__ import annotations

import mmap
import os

from ..exceptions import StoreError
from ..variables import layout
from ..variables.reading import Part
from ..variables.slot import Node, Nodes, check_head, views
from .lease import is_leased


class Sibling:
    """The file of another slot, opened once and looked at again at each read.

    :param entry: what the folder says of the file.
    :raises OSError: if the file cannot be opened.
    """

    def __init__(self, number: int, entry: os.DirEntry[str]) -> None:
        self.number = number
        #: As the folder told it, which on some file systems is not what the file tells.
        self.inode = entry.inode()
        self._fd = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._size = 0
        self._end = layout.HEADER
        self._nodes = Nodes()
        self._by_offset: dict[int, Node] = {}
        self._memory = memoryview(b"")
        self._ints, self._floats = views(bytearray(0))

    def part(self) -> Part:
        """Return what the slot holds now.

        :raises StoreError: if the file is cut short, garbage or of another version.
        """
        size = os.fstat(self._fd).st_size
        if size < self._size or size < layout.GRAIN or size % layout.GRAIN:
            # Reading a mapping beyond the end of its file would kill this process.
            self.close_memory()
            raise StoreError(f"slot {self.number}: the file is cut short: {size} bytes")
        if size > self._size:
            self._map(size)
        head = self._ints
        check_head(head)
        used = head[layout.AT_USED]
        self._grow(used)
        return Part(
            slot=self.number,
            pid=head[layout.AT_PID],
            started_ns=head[layout.AT_STARTED],
            live=is_leased(self._fd),
            worker=head[layout.AT_ROLE] == layout.WORKER,
            deletions=head[layout.AT_DELETIONS],
            nodes=self._nodes,
            problem=f"slot {self.number}: damaged at byte {self._end}" if self._end < used else "",
        )

    def _map(self, size: int) -> None:
        memory = mmap.mmap(self._fd, size, prot=mmap.PROT_READ)
        self._memory = memoryview(memory)
        self._ints, self._floats = views(memory)
        self._size = size
        # All words of a slot in one mapping: they are read in one call.
        for node in self._nodes:
            node.ints, node.floats = self._ints, self._floats

    def _grow(self, used: int) -> None:
        if used <= self._end:
            return
        found, self._end = layout.scan(self._memory, self._end, used)
        for each in found:
            parent = self._by_offset.get(each.parent)
            if each.parent and parent is None:
                continue  # garbage that happens to look like a record
            node = Node(parent, each.spec, self._ints, self._floats, each.at, each.offset)
            self._by_offset[each.offset] = node
            self._nodes.append(node)

    def close_memory(self) -> None:
        """Forget what was mapped."""
        self._nodes, self._by_offset = Nodes(), {}
        self._size, self._end = 0, layout.HEADER
        self._memory = memoryview(b"")
        self._ints, self._floats = views(bytearray(0))

    def close(self) -> None:
        """Close the file."""
        self.close_memory()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        self.close()
