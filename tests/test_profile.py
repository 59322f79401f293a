"""A profile says itself as plain data, and nothing else is taken for one."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from flask_expvar.stacks.profile import (
    ENGINES,
    MODES,
    Frame,
    Profile,
    Sample,
    ThreadInfo,
    from_plain,
    merged,
)

whole = some.integers(0, 2**62)
seconds = some.floats(0, 1e10)
frames = some.builds(Frame, some.text(), some.text(), whole, whole)
infos = some.builds(ThreadInfo, some.text(), whole, some.booleans(), some.integers(-1, 2**62))


@some.composite
def profiles(draw: some.DrawFn) -> Profile:
    threads = draw(some.dictionaries(whole, infos, min_size=1, max_size=3))
    stacks = some.lists(frames, max_size=4).map(tuple)
    sample = some.builds(
        Sample, some.sampled_from(sorted(threads)), stacks, whole, whole, whole, some.text()
    )
    return draw(
        some.builds(
            Profile,
            worker=whole,
            engine=some.sampled_from(ENGINES),
            mode=some.sampled_from(MODES),
            started=seconds,
            seconds=seconds,
            interval=seconds,
            ticks=whole,
            own_cpu_ns=whole,
            process_cpu_ns=whole,
            cpu_exact=some.booleans(),
            truncated=whole,
            lost=whole,
            note=some.text(),
            threads=some.just(threads),
            samples=some.lists(sample, max_size=4),
        )
    )


def one(worker: int = 1, mode: str = "wall") -> Profile:
    frame = Frame("f", "/a.py", 3, 1)
    return Profile(
        worker=worker,
        engine="threads",
        mode=mode,
        started=1e9 + worker,
        seconds=2.0,
        interval=0.01,
        ticks=150,
        own_cpu_ns=1,
        process_cpu_ns=2,
        cpu_exact=True,
        threads={7: ThreadInfo("main", 70, False, 5)},
        samples=[Sample(7, (frame, frame), 30, 10, 3, "GET /")],
    )


@given(profiles())
def test_profile_survives_the_way_through_json(profile: Profile) -> None:
    assert from_plain(json.loads(json.dumps(profile.plain()))) == profile


def test_each_frame_is_written_once() -> None:
    assert one().plain()["frames"] == [["f", "/a.py", 3, 1]]


def test_rate_is_what_was_measured() -> None:
    profile = one()

    assert profile.rate == 75
    profile.seconds = 0.0
    assert profile.rate == 0


anything = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(), inner, max_size=3),
)


@given(anything)
def test_garbage_is_no_profile(garbage: object) -> None:
    with pytest.raises(ValueError, match=" is "):
        from_plain(garbage)


@given(some.data())
def test_garbage_in_any_one_place_is_refused_or_read(data: some.DataObject) -> None:
    plain: Any = one().plain()
    name = data.draw(some.sampled_from(sorted(plain)))
    plain[name] = data.draw(anything)

    try:
        read = from_plain(plain)
    except ValueError:
        return
    assert from_plain(read.plain()) == read


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("engine", "magic", "magic"),
        ("mode", "both", "both"),
        ("worker", True, "worker"),
        ("ticks", 1.5, "ticks"),
        ("seconds", math.inf, "finite"),
        ("seconds", math.nan, "finite"),
        ("seconds", 10**400, "seconds is 1000"),
        ("threads", {"x": {}}, "'x' is no number"),
        ("threads", {"7": {"name": "main"}}, "native is missing"),
        ("samples", [[8, [0], 1, 1, 1, ""]], "not among the threads"),
        ("samples", [[7, [1], 1, 1, 1, ""]], "not there"),
        ("samples", [[7, [-1], 1, 1, 1, ""]], "not there"),
        ("samples", [[7, [0], -1, 1, 1, ""]], "less than nothing"),
        ("samples", [[7, [0], 1, 1, 1]], "5 parts"),
        ("frames", [["f", "/a.py", "3", 1]], "frame line"),
    ],
)
def test_what_is_wrong_is_named(name: str, value: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        from_plain({**one().plain(), name: value})


@pytest.mark.parametrize("name", sorted(one().plain()))
def test_every_part_must_be_there(name: str) -> None:
    plain = one().plain()
    del plain[name]

    with pytest.raises(ValueError, match=f"{name} is missing"):
        from_plain(plain)


def test_merged_samples_keep_their_worker() -> None:
    both = merged([one(1), one(2)])

    assert [(seen.worker, seen.info.name, seen.sample.count) for seen in both] == [
        (1, "main", 3),
        (2, "main", 3),
    ]
    assert (both.workers, both.seconds, both.started) == ([1, 2], 2.0, 1e9 + 1)
    assert both.total() == 60
    assert merged([one(mode="cpu")]).total() == 10


def test_wall_and_cpu_are_not_mixed() -> None:
    with pytest.raises(ValueError, match="cannot be one"):
        merged([one(1), one(2, mode="cpu")])


def test_no_profile_at_all_is_an_empty_one() -> None:
    nothing = merged([])

    assert (list(nothing), nothing.total(), nothing.seconds, nothing.workers) == ([], 0, 0.0, [])
