"""The black box of a process: what tells others what it was doing if it does not live to."""

from __future__ import annotations

import logging
from pathlib import Path

from .._native import allocate_lock
from .flight import Flights
from .graves import Graveyard
from .lastwords import LastWords
from .shared import SharedStore
from .standstill import Standstill

_log = logging.getLogger("flask_expvar")


class BlackBox:
    """Notes beside the slot of *store*, where the last process's are buried first.

    Not for a forked child, which needs one for its own slot.
    """

    def __init__(self, store: SharedStore) -> None:
        self._store = store
        self._lock = allocate_lock()
        self._last_words: LastWords | None = None
        self._standstill: Standstill | None = None
        self.graveyard = Graveyard(store.folder, store.exclusive)
        self.graveyard.bury(store.number)
        #: Where this process notes its requests, once it is prepared.
        self.flights: Flights | None = None
        #: Whether :meth:`prepare` has nothing to do.
        self.prepared = False
        #: What stands in the way, empty if nothing does.
        self.note = ""

    def prepare(self) -> None:
        """Begin to note. Doing so again is fine.

        For a process that serves, when it does so for the first time: not before has its server
        set all handlers of signals. A process that only forks the workers notes nothing.
        """
        with self._lock:
            if not self.prepared and self._store.worker:
                try:
                    self._open()
                except OSError as error:
                    self.note = f"What this worker does will be forgotten if it dies: {error}"
                    _log.warning(self.note)
            self.prepared = True

    def _open(self) -> None:
        store, yard = self._store, self.graveyard
        self.flights = Flights(yard.flight_file(store.number), store.pid, store.started_ns)
        self._last_words = LastWords(yard.stack_file(store.number))
        # Whoever has faulthandler keeps it.
        if not self._last_words.note:
            self._standstill = Standstill(self.standstill_file(store.number), store.pid)

    def standstill_file(self, slot: int) -> Path:
        """Return where the process in *slot* tells its stack when it cannot answer."""
        return self._store.folder / f"standstill-{slot}"

    @property
    def stacks_note(self) -> str:
        """Why there will be no stacks if this process dies, empty if there will."""
        return self._last_words.note if self._last_words else ""

    def close(self) -> None:
        """Note no more, and leave the notes as they are: a forked child's are its parent's."""
        if self.flights is not None:
            self.flights.forget()
        if self._last_words is not None:
            self._last_words.close()
        if self._standstill is not None:
            self._standstill.close()
        self.flights = self._last_words = self._standstill = None
        self.prepared = False
