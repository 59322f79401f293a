"""Weights: what each thread spent on each stack, gathered while a profile is taken.

Stacks are kept as numbers until the end: a tuple of code's ids and instructions is made and
found in less time than one frame's name and line.
"""

from __future__ import annotations

from collections import Counter
from types import CodeType, FrameType

from .limits import DEEPEST, MOST_STACKS
from .profile import Frame, Sample
from .walking import Lines, name_of

#: id(code), instruction, id(code), instruction …: the innermost call first.
RawStack = tuple[int, ...]
#: Places where one in so many was seen to wait may be such for another reason: memory, a lock.
_RARE = 20
#: Less than this part of the time for which it had no processor is hardly anything.
_HARDLY = 0.2


class Weights:
    """Wall time, CPU time and count by thread, stack and what was served."""

    def __init__(self, deepest: int = DEEPEST, most: int = MOST_STACKS) -> None:
        self._deepest, self._most = deepest, most
        self._weights: dict[tuple[int, RawStack, str], list[int]] = {}
        # By id: to hash code takes as long as all the rest. Held here, so that ids stay valid.
        self._codes: dict[int, CodeType] = {}
        self._frames: dict[tuple[int, int], Frame] = {}
        self._lines = Lines()
        # By thread, stack and what was served: CPU time if the place is not one of waiting.
        self._doubtful: dict[tuple[int, RawStack, str], int] = {}
        self._starved: dict[tuple[int, RawStack, str], int] = {}
        # By the innermost place: how often somebody waited there, and was in doubt.
        self._waits: Counter[RawStack] = Counter()
        self._doubts: Counter[RawStack] = Counter()
        self.truncated = self.lost = 0

    def raw(self, frame: FrameType | None) -> RawStack:
        """Return the stack of *frame*, which is not kept; nothing else of it is read.

        Not the line, which takes as long as all else, and never its variables: on 3.11 and 3.12
        objects of another thread would live on after their ``del``.
        """
        found: list[int] = []
        codes, room = self._codes, self._deepest
        while frame is not None:
            if not room:
                self.truncated += 1
                break
            room -= 1
            code = frame.f_code
            key = id(code)
            if key not in codes:
                codes[key] = code
            found.append(key)
            found.append(frame.f_lasti)
            frame = frame.f_back
        return tuple(found)

    def add(self, thread: int, stack: RawStack, wall: int, cpu: int, served: str = "") -> None:
        """Add to what *thread* spent on *stack*."""
        key = (thread, stack, served)
        known = self._weights.get(key)
        if known is None:
            if len(self._weights) >= self._most:
                self.lost += 1
                return
            self._weights[key] = [wall, cpu, 1]
            return
        known[0] += wall
        known[1] += cpu
        known[2] += 1

    def waits(self, stack: RawStack) -> None:
        """Note that somebody waits at the innermost place of *stack*, for the system."""
        self._waits[stack[:2]] += 1

    def doubt(
        self, thread: int, stack: RawStack, cpu: int, served: str = "", *, starved: bool = False
    ) -> None:
        """Add CPU time that counts only if *stack* turns out to be no place of waiting.

        Who has waited and could go on, but has no turn yet, is still where it waited.

        :param starved: it had no processor either, so that it may have been there for long:
            counted only if the thread was hardly seen otherwise, as on a machine with one.
        """
        key = (thread, stack, served)
        if key in self._weights:
            kept = self._starved if starved else self._doubtful
            kept[key] = kept.get(key, 0) + cpu
            self._doubts[stack[:2]] += 1

    def decide(self) -> None:
        """Count what was in doubt, once all is seen."""
        for doubtful, most in ((self._doubtful, 0.0), (self._starved, _HARDLY)):
            sure, more = self.cpu_by_thread(), Counter[int]()
            for (thread, _, _), cpu in doubtful.items():
                more[thread] += cpu
            for key, cpu in doubtful.items():
                waits, doubts = self._waits[key[1][:2]], self._doubts[key[1][:2]]
                hardly = not most or sure.get(key[0], 0) < most * more[key[0]]
                if waits * _RARE < doubts and hardly:
                    self._weights[key][1] += cpu
            doubtful.clear()

    def cpu_by_thread(self) -> dict[int, int]:
        """Return the CPU weights of each thread together."""
        found: dict[int, int] = {}
        for (thread, _, _), weight in self._weights.items():
            found[thread] = found.get(thread, 0) + weight[1]
        return found

    def cpu_by_stack(self) -> dict[RawStack, int]:
        """Return the CPU weights of each stack together."""
        found: dict[RawStack, int] = {}
        for (_, stack, _), weight in self._weights.items():
            found[stack] = found.get(stack, 0) + weight[1]
        return found

    def samples(self, scales: dict[int, float] | None = None) -> list[Sample]:
        """Return everything as plain samples.

        :param scales: what the CPU weights of a thread are multiplied with.
        """
        scales = scales or {}
        # Instructions of one line are one place.
        found: dict[tuple[int, tuple[Frame, ...], str], Sample] = {}
        for (thread, raw, served), (wall, cpu, count) in self._weights.items():
            stack = self._named(raw)
            cpu = round(cpu * scales.get(thread, 1.0))
            known = found.get((thread, stack, served))
            if known is None:
                found[thread, stack, served] = Sample(thread, stack, wall, cpu, count, served)
            else:
                known.wall_ns += wall
                known.cpu_ns += cpu
                known.count += count
        return list(found.values())

    def _named(self, raw: RawStack) -> tuple[Frame, ...]:
        return tuple(self._frame(raw[at], raw[at + 1]) for at in range(0, len(raw), 2))

    def _frame(self, key: int, instruction: int) -> Frame:
        code = self._codes[key]
        line = self._lines.of(key, code, instruction)
        found = self._frames.get((key, line))
        if found is None:
            name, first = str(name_of(code)), code.co_firstlineno
            found = self._frames[key, line] = Frame(name, code.co_filename, line, first)
        return found
