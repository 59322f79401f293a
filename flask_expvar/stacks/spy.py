"""The engine *py-spy*: another program that reads this process's memory, if there and allowed.

It needs no turn of the interpreter, so that it sees all threads where they are. Many systems
forbid it to containers, or to processes that are not root: a probe tells.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil
import signal
import sys
import sysconfig
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from .._native import allocate_lock, original
from . import clocks, kernel
from .limits import DEEPEST, MOST_STACKS
from .order import Order, Stop
from .profile import Frame, Profile, Sample, ThreadInfo
from .threads import natives

#: How long the probe may take, and py-spy to write what it has seen, in seconds.
PROBE, PATIENCE = 1.5, 10.0
_PAUSE = 0.02
_LONGEST = 64 * 2**20
NOTE_CPU = (
    "CPU time of each thread is exact, divided by where it had the interpreter: C code that gives"
    " it away is charged to the rest."
)
NOTE_WALL = "Wall time of all threads, seen from outside."

_LINE = re.compile(r"thread \((\d+|0x[0-9A-Fa-f]+)\)(?:: ([^;]*))?((?:;.*)?) (\d+)")
_FRAME = re.compile(r"(.*) \((.*?)(?::(\d+))?\)")
#: What it prints when it begins to look.
_BEGUN = "Sampling process"
_SAMPLES = re.compile(r"Samples: (\d+)")


class Spy:
    """Starts py-spy and reads what it has seen."""

    name = "py-spy"

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._probed: tuple[int, str] | None = None

    def obstacle(self, mode: str) -> str:
        """Return why it cannot take a profile, empty if it can; the first time it tries."""
        if mode == "cpu" and not clocks.are_there():
            return "threads have no clocks of their CPU time here"
        program = find() if hasattr(os, "posix_spawn") else ""
        if not program:
            return "py-spy is not installed (pip install py-spy)"
        with self._lock:
            if self._probed is None or self._probed[0] != os.getpid():
                problem = _probe(program)
                if "in time" in problem:  # it may be another time
                    return problem
                self._probed = os.getpid(), problem
            return self._probed[1]

    def run(self, order: Order) -> Profile:
        """Take the profile."""
        own, process = time.thread_time_ns(), time.process_time_ns()
        with tempfile.TemporaryDirectory(prefix="flask_expvar-") as folder:
            output = Path(folder) / "raw"
            with _Program(_command(order, output), Path(folder) / "log") as program:
                # What is used before it looks would be charged to what it sees later.
                program.wait(PATIENCE, order.stop, lambda pause: _looks(program, order, pause))
                base = {tid: clocks.thread_cpu_ns(tid) for tid in kernel.task_ids()}
                started, began = time.time(), time.monotonic()
                program.wait(order.seconds, order.stop, order.over)
                used = {tid: clocks.thread_cpu_ns(tid) for tid in kernel.task_ids()}
                seconds = time.monotonic() - began
                program.end()
                log = program.log
            if not output.exists():
                raise OSError(f"py-spy has written nothing: {log[-200:].strip()}")
            text = output.read_text(errors="replace")[:_LONGEST]
        cpu = {tid: max(each - base.get(tid, 0), 0) for tid, each in used.items() if each >= 0}
        seen = _Seen(cpu, seconds, natives=natives())
        told = _SAMPLES.search(log)
        seen.read(text, int(told[1]) if told else 0)
        return Profile(
            os.getpid(), self.name, order.mode, started, seconds, order.interval, seen.ticks,
            time.thread_time_ns() - own, time.process_time_ns() - process,
            order.mode == "cpu" and not seen.guessed, seen.truncated, seen.lost,
            NOTE_CPU if order.mode == "cpu" else NOTE_WALL, seen.threads, seen.samples,
        )  # fmt: skip


def find() -> str:
    """Return the path of py-spy, empty if it is not installed."""
    places = [sysconfig.get_path("scripts"), os.path.dirname(sys.executable)]
    found = [shutil.which("py-spy", path=place) for place in places] + [shutil.which("py-spy")]
    return next(filter(None, found), "")


def _command(order: Order, output: Path) -> list[str]:
    what = "--gil" if order.mode == "cpu" else "--idle"
    rate = str(max(round(1 / order.interval), 1))
    # Longer than asked: it is told to end, to the moment.
    longest = str(math.ceil(order.seconds) + math.ceil(PATIENCE))
    return [
        find(), "record", "--pid", str(os.getpid()), "--duration", longest, "--rate", rate,
        "--format", "raw", "--full-filenames", "--threads", what, "--output", str(output),
    ]  # fmt: skip


def _looks(program: _Program, order: Order, pause: float) -> bool:
    return _BEGUN in program.log or order.over(pause)


def _probe(program: str) -> str:
    with tempfile.TemporaryDirectory(prefix="flask_expvar-") as folder:
        try:
            with _Program([program, "dump", "--pid", str(os.getpid())], Path(folder) / "log") as it:
                if not it.wait(PROBE, Stop()):
                    return "py-spy did not answer in time"
                if it.code == 0:
                    return ""
                lines = [line for line in it.log.splitlines() if line.strip()]
        except OSError as error:
            return f"py-spy cannot be started: {error.strerror}"
    why = lines[-1].strip()[:200] if lines else "it says nothing"
    return f"py-spy may not read this process (it needs ptrace): {why}"


class _Program:
    """A child process, without Python's subprocess: gevent's waits for its hub."""

    def __init__(self, command: list[str], log: Path) -> None:
        self._log = log
        self.code: int | None = None
        self._ended = False
        write = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), write, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        spawn = original("os", "posix_spawn")
        self._pid: int = spawn(command[0], command, os.environ, file_actions=actions)

    def __enter__(self) -> _Program:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._poll():
            self._send(signal.SIGKILL)
            # A killed one is gone in a moment, unless the system itself hangs.
            self._until(PATIENCE)

    @property
    def log(self) -> str:
        """What it has printed."""
        return self._log.read_text(errors="replace")[-10_000:] if self._log.exists() else ""

    def wait(self, seconds: float, stop: Stop, over: object = None) -> bool:
        """Return whether it has ended by itself within *seconds*, or until it is to stop."""
        asked = over if callable(over) else stop.wait
        end = time.monotonic() + seconds
        while not self._poll():
            left = end - time.monotonic()
            if left <= 0 or asked(min(_PAUSE, left)):
                return False
        return True

    def end(self) -> None:
        """Let it write what it has seen, and end."""
        self._send(signal.SIGINT)
        self._until(PATIENCE)

    def _until(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._poll() and time.monotonic() < end:
            original("time", "sleep")(_PAUSE)

    def _send(self, number: int) -> None:
        # Not once it is reaped: its number may be another's.
        if not self._poll():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, number)

    def _poll(self) -> bool:
        if not self._ended:
            try:
                pid, status = original("os", "waitpid")(self._pid, os.WNOHANG)
            except ChildProcessError:  # the program has reaped all children
                self._ended = True
                return True
            if pid:
                self._ended = True
                self.code = os.waitstatus_to_exitcode(status)
        return self._ended


@dataclass
class _Seen:
    """What py-spy has written.

    :param cpu: the CPU time that each thread has used, by native identifier.
    :param natives: the native identifier of each thread by Python's, which is all that py-spy
        knows of some threads of Python 3.10.
    """

    cpu: dict[int, int]
    seconds: float
    ticks: int = 0
    truncated: int = 0
    lost: int = 0
    #: How many threads have ended meanwhile, and with them their clocks.
    guessed: int = 0
    threads: dict[int, ThreadInfo] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    natives: dict[int, int] = field(default_factory=dict)

    def read(self, text: str, ticks: int) -> None:
        """Take over what is in *text*, of so many *ticks*; lines that are none are skipped."""
        total: dict[int, int] = defaultdict(int)
        for line in text.splitlines():
            match = _LINE.fullmatch(line)
            if match is None:
                continue
            tid, count = int(match[1], 0), int(match[4])
            tid = self.natives.get(tid, tid)
            total[tid] += count
            if tid not in self.threads:
                self.threads[tid] = ThreadInfo(match[2] or "", tid, False, self.cpu.get(tid, -1))
            if len(self.samples) >= MOST_STACKS:
                self.lost += count
                continue
            self.samples.append(Sample(tid, self._stack(match[3]), 0, 0, count))
        self.ticks = max(ticks, *total.values()) if total else ticks
        for each in self.samples:
            each.wall_ns = round(self.seconds * 1e9 * each.count / max(self.ticks, 1))
            spent = self.cpu.get(each.thread)
            # Of a thread that has ended: as long as it had the interpreter when it was seen.
            each.cpu_ns = (
                each.wall_ns if spent is None else round(spent * each.count / total[each.thread])
            )
        self.guessed = sum(tid not in self.cpu for tid in total)

    def _stack(self, text: str) -> tuple[Frame, ...]:
        frames = [_frame(each) for each in text.split(";") if each][::-1]
        if len(frames) > DEEPEST:
            self.truncated += 1
        return tuple(frames[:DEEPEST])


def _frame(text: str) -> Frame:
    match = _FRAME.fullmatch(text)
    if match is None:
        return Frame(text, "", 0, 0)
    # It does not tell where a function starts.
    return Frame(match[1], match[2], int(match[3] or 0), 0)
