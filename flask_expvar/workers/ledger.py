"""Ledger: what the process that forks the workers counts, in a slot of its own, and writes down.

It holds no socket and no thread, for it forks; whoever reads the folder sees its numbers.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..variables.plan import SERVER
from ..variables.registry import Registry
from ..variables.store import LocalStore
from .journal import Journal
from .shared import SharedStore

_hooked: list[bool] = []
_ledgers: list[Ledger] = []


class Ledger:
    """The counters and the journal of an arbiter in *folder*.

    They are of every registry, and outlive workers.

    :param pid: this process's id.
    :raises OSError: if no slot is to be had.
    """

    def __init__(self, folder: Path, pid: int) -> None:
        self.folder = folder
        self.pid = pid
        self._store = SharedStore(folder, pid, worker=False)
        self._registry = Registry(SERVER)
        self._registry.attach(self._store)
        declare = self._registry
        self.starts = declare.new_int("gunicorn/starts", "workers that the arbiter has started")
        self.exits = declare.new_map("gunicorn/exits", "reason", "workers that ended, by reason")
        self.timeouts = declare.new_int(
            "gunicorn/timeouts", "workers ended because they were silent for too long"
        )
        self.reloads = declare.new_int("gunicorn/reloads", "times that the arbiter was reloaded")
        self.journal = Journal(folder, pid)
        _ledgers.append(self)
        if not _hooked:
            _hooked.append(True)
            os.register_at_fork(after_in_child=_after_fork)

    def close(self) -> None:
        """Give the slot back; what was counted stays there."""
        _ledgers.remove(self)
        self._registry.attach(LocalStore(self.pid))
        self._store.close()
        del self._store  # and with it the mapping of the file


def _after_fork() -> None:
    # A child that kept the file open would keep the lease.
    for ledger in _ledgers:
        ledger._store.close()
    _ledgers.clear()
