"""Profiles, threads and memory as profile.proto."""

from __future__ import annotations

from collections.abc import Iterable

from ..stacks.profile import Merge, Stack
from .proto import Valued, encode
from .readable import comments, stack_of, thread_name


def profile_proto(merge: Merge) -> bytes:
    """Return the samples of all workers, with labels for thread, worker and route."""
    mode = merge.mode
    interval = max((each.interval for each in merge.profiles), default=0.0)
    return encode(
        (("samples", "count"), (mode, "nanoseconds")),
        _samples(merge),
        period=(mode, "nanoseconds", int(interval * 1e9)),
        started=merge.started,
        seconds=merge.seconds,
        comments=comments(merge),
        default=mode,
    )


def _samples(merge: Merge) -> Iterable[Valued]:
    for seen in merge:
        labels = {"thread": thread_name(seen), "worker": str(seen.worker)}
        if seen.sample.route:
            labels["route"] = seen.sample.route
        values = (seen.sample.count, merge.weight(seen.sample))
        yield Valued(stack_of(seen.sample), values, labels)


def counted_proto(
    name: str, stacks: Iterable[Valued], *, started: float, comments: tuple[str, ...] = ()
) -> bytes:
    """Return how many there are of each stack: of threads, say."""
    return encode(
        ((name, "count"),),
        stacks,
        period=(name, "count", 1),
        started=started,
        seconds=0.0,
        comments=comments,
    )


Held = tuple[Stack, int, int]  # where it was allocated, how many, how many bytes


def heap_proto(
    held: Iterable[tuple[int, Held]],
    *,
    started: float,
    seconds: float = 0.0,
    comments: tuple[str, ...] = (),
) -> bytes:
    """Return what is in use by where it was allocated, of several workers.

    Go has four types here; of what was allocated and is gone, Python knows nothing.
    """
    return encode(
        (("inuse_objects", "count"), ("inuse_space", "bytes")),
        (
            Valued(stack, (count, size), {"worker": str(worker)})
            for worker, (stack, count, size) in held
        ),
        period=("space", "bytes", 1),
        started=started,
        seconds=seconds,
        comments=comments,
        default="inuse_space",
    )
