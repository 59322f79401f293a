"""What is seen of one thread, greenlet or task."""

from __future__ import annotations

from dataclasses import dataclass

from .kernel import Call
from .walking import Stack

THREAD, GREENLET, TASK = "thread", "greenlet", "task"


@dataclass
class Seen:
    """One thread, greenlet or task at one moment.

    :param ident: what Python knows it by; 0 for a task.
    :param native_id: what the kernel knows it by, None if that is not to be had.
    :param cpu: its CPU time in seconds, None if that is not to be had.
    :param state: ``running`` or ``waiting``, empty if unknown; *on* says for what.
    :param letter: the kernel's state letter.
    :param current: whether it is the one that looks.
    :param holder: who has the lock that it waits for; 0 if that is not known.
    """

    kind: str
    ident: int
    name: str
    stack: Stack
    native_id: int | None = None
    daemon: bool | None = None
    cpu: float | None = None
    state: str = ""
    on: str = ""
    letter: str = ""
    call: Call | None = None
    current: bool = False
    holder: int = 0


@dataclass
class Native:
    """Threads of the system that run no Python code and have one name."""

    name: str
    count: int = 0
    cpu: float = 0.0
