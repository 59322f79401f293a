"""A finished profile: who called what for how long, as plain data every engine fills in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple, TypeVar, get_type_hints

#: Which can be asked for, and what watches single requests.
ENGINES = ("signal", "threads", "py-spy")
HOOK = "pyinstrument"
MODES = ("wall", "cpu")


T = TypeVar("T")


class Frame(NamedTuple):
    """One call on a stack."""

    name: str  # as Python says it: "Shop.get", "<module>"; on 3.10 without the class
    file: str  # absolute, as in the code object
    line: int  # being run
    first: int  # where the function starts


Stack = tuple[Frame, ...]  # leaf first


@dataclass
class ThreadInfo:
    """One thread that was seen during a run."""

    name: str
    native: int
    daemon: bool
    cpu_ns: int  # exact, by the kernel's clock, during the run; -1 where there is none


@dataclass
class Sample:
    """What one thread spent on one stack: measured time, never count x interval."""

    thread: int
    stack: Stack
    wall_ns: int
    cpu_ns: int
    count: int
    route: str = ""  # family of the request served, when known


@dataclass
class Profile:
    """What one worker did between two moments, and how far to trust it."""

    worker: int
    engine: str
    mode: str
    started: float  # since the epoch
    seconds: float  # measured
    interval: float  # asked
    ticks: int
    own_cpu_ns: int
    process_cpu_ns: int
    cpu_exact: bool
    truncated: int = 0
    lost: int = 0
    note: str = ""
    threads: dict[int, ThreadInfo] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Return how many times a second it really looked."""
        return self.ticks / self.seconds if self.seconds > 0 else 0.0

    def plain(self) -> dict[str, Any]:
        """Return it as JSON-able data, each frame written once."""
        seen: dict[Frame, int] = {}
        return {
            **{each.name: getattr(self, each.name) for each in _FIGURES},
            "threads": {str(ident): asdict(info) for ident, info in self.threads.items()},
            "samples": [
                [
                    each.thread,
                    [seen.setdefault(frame, len(seen)) for frame in each.stack],
                    each.wall_ns,
                    each.cpu_ns,
                    each.count,
                    each.route,
                ]
                for each in self.samples
            ],
            "frames": [list(frame) for frame in seen],
        }


_FIGURES = [each for each in fields(Profile) if each.name not in ("threads", "samples")]
_TYPES = get_type_hints(Profile)
_INFO_TYPES = get_type_hints(ThreadInfo)


def from_plain(data: object) -> Profile:
    """Return the profile that said *data* by :meth:`Profile.plain`, perhaps in another process.

    :raises ValueError: if it is anything else; the message names the part that is wrong.
    """
    given = _exactly(data, dict, "profile")
    figures = {each.name: _field(given, each.name, _TYPES[each.name]) for each in _FIGURES}
    if figures["engine"] not in (*ENGINES, HOOK) or figures["mode"] not in MODES:
        raise ValueError(f"engine {figures['engine']!r} or mode {figures['mode']!r} is unknown")
    threads = _threads(_field(given, "threads", dict))
    frames = [_frame(each) for each in _field(given, "frames", list)]
    samples = [_sample(each, frames, threads) for each in _field(given, "samples", list)]
    return Profile(**figures, threads=threads, samples=samples)


def _threads(given: dict[object, object]) -> dict[int, ThreadInfo]:
    found = {}
    for key, value in given.items():
        try:
            ident = int(_exactly(key, str, "thread"))
        except ValueError:
            raise ValueError(f"thread {key!r} is no number") from None
        info = _exactly(value, dict, "thread")
        kinds = _INFO_TYPES.items()
        found[ident] = ThreadInfo(**{name: _field(info, name, kind) for name, kind in kinds})
    return found


def _frame(given: object) -> Frame:
    name, file, line, first = _row(given, 4, "frame")
    return Frame(
        _exactly(name, str, "frame name"),
        _exactly(file, str, "frame file"),
        _exactly(line, int, "frame line"),
        _exactly(first, int, "frame first line"),
    )


def _sample(given: object, frames: list[Frame], threads: dict[int, ThreadInfo]) -> Sample:
    thread, stack, wall, cpu, count, route = _row(given, 6, "sample")
    if _exactly(thread, int, "sample thread") not in threads:
        raise ValueError(f"sample of thread {thread!r}, which is not among the threads")
    numbers = [_exactly(each, int, "sample stack") for each in _exactly(stack, list, "stack")]
    if any(not 0 <= each < len(frames) for each in numbers):
        raise ValueError(f"sample stack {numbers!r} names a frame that is not there")
    return Sample(
        thread,
        tuple(frames[each] for each in numbers),
        _weight(wall, "sample wall_ns"),
        _weight(cpu, "sample cpu_ns"),
        _weight(count, "sample count"),
        _exactly(route, str, "sample route"),
    )


def _row(given: object, length: int, what: str) -> list[Any]:
    row = _exactly(given, list, what)
    if len(row) != length:
        raise ValueError(f"{what} has {len(row)} parts, not {length}")
    return row


def _field(given: dict[Any, Any], name: str, kind: type[T]) -> T:
    if name not in given:
        raise ValueError(f"{name} is missing")
    return _exactly(given[name], kind, name)


def _exactly(value: Any, kind: type[T], what: str) -> T:
    # JSON has one kind of number: 5.0 may come back as 5. A bool is no number, though.
    if kind is float and type(value) is int and abs(value) < 2**63:
        return float(value)  # type: ignore[return-value]  # T is float here
    if type(value) is not kind:
        raise ValueError(f"{what} is {value!r:.80}, not {kind.__name__}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{what} is {value!r}, no finite number")
    return value


def _weight(value: Any, what: str) -> int:
    if _exactly(value, int, what) < 0:
        raise ValueError(f"{what} is {value}, less than nothing")
    return int(value)


@dataclass(frozen=True)
class Seen:
    """One sample beside the thread and the worker it belongs to."""

    worker: int
    info: ThreadInfo
    sample: Sample


@dataclass(frozen=True)
class Merge:
    """Several workers' profiles of one run, side by side: each sample keeps its worker."""

    profiles: tuple[Profile, ...]

    def __iter__(self) -> Iterator[Seen]:
        for profile in self.profiles:
            for sample in profile.samples:
                yield Seen(profile.worker, profile.threads[sample.thread], sample)

    @property
    def mode(self) -> str:
        """Return what the samples weigh: `wall` or `cpu` time."""
        return self.profiles[0].mode if self.profiles else MODES[0]

    @property
    def workers(self) -> list[int]:
        """Return the process ids, in the order of the profiles."""
        return [each.worker for each in self.profiles]

    @property
    def started(self) -> float:
        """Return when the first of them began, since the epoch."""
        return min((each.started for each in self.profiles), default=0.0)

    @property
    def seconds(self) -> float:
        """Return how long the longest of them took."""
        return max((each.seconds for each in self.profiles), default=0.0)

    def weight(self, sample: Sample) -> int:
        """Return the nanoseconds of *sample* in the mode of the run."""
        return sample.cpu_ns if self.mode == "cpu" else sample.wall_ns

    def total(self) -> int:
        """Return the nanoseconds of all samples together."""
        return sum(self.weight(seen.sample) for seen in self)


def merged(profiles: Iterable[Profile]) -> Merge:
    """Return *profiles*, of one mode, as one."""
    kept = tuple(profiles)
    if len({each.mode for each in kept}) > 1:
        raise ValueError("profiles of wall and of CPU time cannot be one")
    return Merge(kept)
