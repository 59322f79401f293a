"""Event: one thing that happened in a trace."""

from __future__ import annotations

from typing import NamedTuple

#: Kinds of events. A record is a line of the program's log.
LOG, ERROR, EXCEPTION, RECORD, CHILD, LINK = "log", "error", "exception", "record", "child", "link"


class Event(NamedTuple):
    """One thing that happened.

    :param when: on the tracer's clock, in seconds.
    :param kind: ``log``, ``error``, ``exception``, ``record``, ``child`` or ``link``.
    :param detail: an exception's message, which may be sensitive.
    :param other: the id of the child, or of what the link leads to.
    """

    when: float
    kind: str
    text: str
    detail: str = ""
    other: str = ""
