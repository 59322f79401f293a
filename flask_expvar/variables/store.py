"""Where a registry's words are: in this process alone, or shared with others."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from .._native import allocate_rlock
from .reading import Part
from .slot import Slot


class Store(Protocol):
    """This process's slot, and what there is to read beside it."""

    slot: Slot

    def parts(self) -> Sequence[Part]:
        """Return all slots as they are now, one's own among them."""

    def exclusive(self) -> AbstractContextManager[object]:
        """Keep every other process from setting or deleting meanwhile."""

    def deleting(self) -> None:
        """Note that something is about to be deleted in one's own slot."""


class LocalStore:
    """Words in this process's own memory.

    After a fork parent and child count apart, each from what there was; what lives in the
    parent alone (``livesum``) begins at zero in the child.

    :param pid: the process's id.
    """

    def __init__(self, pid: int) -> None:
        self.slot = Slot()
        self._lock: Any = allocate_rlock()
        self._part = Part(0, pid, time.time_ns(), True, True, 0, self.slot.nodes)

    def parts(self) -> Sequence[Part]:
        """Return the one slot that there is."""
        return (self._part,)

    def exclusive(self) -> AbstractContextManager[object]:
        """Keep other threads from setting or deleting meanwhile."""
        return self._lock  # type: ignore[no-any-return]  # a lock of _thread is untyped

    def deleting(self) -> None:
        """Note that something is about to be deleted."""
        self._part.deletions += 1

    def after_fork(self, pid: int) -> None:
        """Go on in a child: no thread of the parent's is there to give a lock back."""
        self._lock = allocate_rlock()
        self.slot.after_fork()
        for node in self.slot.nodes:
            if node.spec.mode == "livesum" and node.spec.width:
                node.ints[node.at] = 0  # all bits zero: the float 0.0 as well
        self._part.pid = pid
