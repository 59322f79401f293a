"""Spent: what may be used once, by whichever worker it is shown to."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_PREFIX = "spent-"


def spend(
    folder: Path, number: str, lasting: float, clock: Callable[[], float] = time.time
) -> bool:
    """Tell whether *number* is used for the first time, in all processes that share *folder*.

    The kernel lets one of them create the file. Those of numbers that are no good any more are
    removed.

    :param number: letters and digits.
    :param lasting: for how many seconds such a number is good.
    :raises OSError: if nothing can be written there.
    """
    for path in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if clock() - path.stat().st_mtime > lasting:
                path.unlink()
    try:
        fd = os.open(folder / f"{_PREFIX}{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return False
    os.close(fd)
    return True
