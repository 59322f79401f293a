"""Walking stacks: from frames, which must not be kept, to plain places."""

from __future__ import annotations

import gc
import sys
from bisect import bisect_right
from operator import attrgetter
from types import CodeType, FrameType
from typing import Any, NamedTuple

#: So many places of a stack are kept, the innermost ones: endless recursions have more.
DEEPEST = 200
#: On 3.11 a collection inside _current_frames() can wait for its own lock (cpython#106883).
_COLLECTS_INSIDE = sys.version_info[:2] == (3, 11)
#: With the class, from 3.11 on.
name_of = attrgetter("co_qualname" if sys.version_info >= (3, 11) else "co_name")


class Place(NamedTuple):
    """One line of a stack."""

    file: str
    line: int
    function: str


#: The innermost place first.
Stack = tuple[Place, ...]
#: The code of each place and the instruction that it is at, in turn and not in pairs: to make
#: these, and to collect them, takes three times as long as all the rest. Lines can wait.
Raw = list[Any]


def walk(frame: FrameType | None) -> Raw:
    """Return where *frame* is, and those that called it, without keeping any of them."""
    found: Raw = []
    while frame is not None and len(found) < 2 * DEEPEST:
        # Nothing else is read: f_locals of a running thread keeps its objects alive.
        found.append(frame.f_code)
        found.append(frame.f_lasti)
        frame = frame.f_back
    return found


class Lines:
    """Tells which line of a code an instruction is of; the table of each code is read once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[list[int], list[int]]] = {}

    def of(self, key: int, code: CodeType, instruction: int) -> int:
        """Return the line.

        :param key: what *code* is known by.
        """
        known = self._known.get(key)
        if known is None:
            lines = [(start, line) for start, _, line in code.co_lines() if line is not None]
            known = self._known[key] = [at for at, _ in lines], [line for _, line in lines]
        place = bisect_right(known[0], instruction) - 1
        return known[1][place] if place >= 0 else code.co_firstlineno


class Names(dict[tuple[int, int], Place]):
    """The places of many stacks, each made once: most stacks have most places in common."""

    def __init__(self) -> None:
        super().__init__()
        self._lines = Lines()

    def of(self, raw: Raw) -> Stack:
        """Return *raw*, whose code lives as long as it is referred to there, as plain places."""
        found = []
        for code, instruction in zip(raw[::2], raw[1::2]):
            # By its id: the hash of code takes as long as making the place.
            key = (id(code), instruction)
            place = self.get(key)
            if place is None:
                line = self._lines.of(key[0], code, instruction)
                place = self[key] = Place(code.co_filename, line, name_of(code))
            found.append(place)
        return tuple(found)


def named(raw: Raw) -> Stack:
    """Return *raw* as plain places."""
    return Names().of(raw)


def current_stacks() -> dict[int, Raw]:
    """Return the stack of each thread by its identifier, all of one moment or nearly so.

    It takes 5 µs a thread with 20 places, and the interpreter is not given away meanwhile unless
    that adds up to 5 ms.
    """
    if is_free_threaded():
        return {}
    frames = current_frames()
    found = {}
    while frames:
        ident, frame = frames.popitem()
        found[ident] = walk(frame)
        del frame
    return found


def current_frames() -> dict[int, FrameType]:
    """Return the innermost frame of each thread; not to be kept, nor are their variables read."""
    collecting = _COLLECTS_INSIDE and gc.isenabled()
    if collecting:
        gc.disable()
    try:
        return sys._current_frames()
    finally:
        if collecting:
            gc.enable()


def is_free_threaded() -> bool:
    """Return whether this interpreter runs without its GIL."""
    # Without the GIL the frames of other threads may be gone while they are read.
    enabled = getattr(sys, "_is_gil_enabled", None)
    return enabled is not None and not enabled()
