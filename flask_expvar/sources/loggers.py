"""Loggers of a program and their levels, which may be set while it runs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from ..exceptions import UnknownError
from ..redaction import redact_text
from ..traces.logs import known_loggers, own_level, set_level
from .item import Item, Make

#: What a logger may be set to: the names of the standard library.
LEVELS = ("NOTSET", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def levels() -> Sequence[Make]:
    """Return what makes an item of each logger: its level, or the one that it has from above."""
    return [partial(_item, logger) for logger in known_loggers()]


def _item(logger: logging.Logger, most: int) -> Item:
    above: logging.Logger | None = logger
    while above is not None and not own_level(above):
        above = above.parent
    level = logging.getLevelName(own_level(above) if above is not None else logging.NOTSET)
    origin = f" (from {redact_text(above.name, most)})" if above not in (None, logger) else ""
    return Item(redact_text(logger.name, most), f"{level}{origin}")


def change(name: str, level: str) -> str:
    """Set the logger *name*, the root if it is empty, to *level*; return what it was set to.

    As long as this process lives. Traces go on getting what their handlers want.

    :param level: one of :data:`LEVELS`; with ``NOTSET`` it has the level of the logger above.
    :raises UnknownError: if the program has no such logger: none is made.
    """
    wanted = name or logging.root.name
    for logger in known_loggers():
        if logger.name == wanted:
            before = logging.getLevelName(own_level(logger))
            set_level(logger, logging.getLevelName(level))
            return str(before)
    raise UnknownError(f"there is no logger {name[:80]!r} here; /debug/config lists them")
