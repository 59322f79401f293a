"""Last words: the stacks of a process at the moment when a fatal signal ends it."""

from __future__ import annotations

import faulthandler
import os
from pathlib import Path

from . import lease

TAKEN = (
    "The stacks of workers that die are not kept here: faulthandler is enabled already"
    " (PYTHONFAULTHANDLER, python -X faulthandler or faulthandler.enable()), and writes elsewhere."
)


class LastWords:
    """Lets faulthandler write to a new file at *path* what this process does when it dies.

    Each of SIGABRT, SIGSEGV, SIGBUS, SIGFPE and SIGILL then goes on to the handler that was
    there before, so this is to be made after the server has set its own. Of all threads: a walk
    without the GIL may crash, but this process is about to die.

    :raises OSError: if there is no room, or no leave, for the file.
    """

    def __init__(self, path: Path) -> None:
        self._fd = -1
        #: Why nothing will be written, if so.
        self.note = TAKEN if faulthandler.is_enabled() else ""
        if self.note:
            return
        path.unlink(missing_ok=True)
        self._fd = lease.create(path)
        faulthandler.enable(file=self._fd, all_threads=True)

    def close(self) -> None:
        """Put back the handlers that were there before; in a forked child as well."""
        if self._fd >= 0:
            faulthandler.disable()
            os.close(self._fd)
            self._fd = -1
