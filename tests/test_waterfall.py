"""The waterfall: bars on one axis, and what of a time span is a trace's own."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_expvar.pages.waterfall import DEEPEST, Axis, axis, indent, lanes, own_seconds

moments = st.floats(-1e6, 1e6, allow_nan=False)
spans = st.lists(st.tuples(moments, moments), max_size=20)


def trace(offset: float, seconds: float, depth: int = 0, linked: bool = False) -> dict[str, Any]:
    return {"offset": offset, "seconds": seconds, "depth": depth, "linked": linked}


@pytest.mark.parametrize(
    ("children", "own"),
    [
        ([], 10.0),
        ([(0, 10)], 0.0),
        ([(1, 4), (3, 5)], 6.0),
        ([(3, 5), (1, 9)], 2.0),
        ([(-5, 2), (9, 12)], 7.0),
        ([(20, 30)], 10.0),
    ],
)
def test_own_time_is_what_no_child_covers(children: list[tuple[float, float]], own: float) -> None:
    assert own_seconds(0, 10, children) == own


@given(began=moments, length=st.floats(0, 1e6), children=spans)
def test_own_time_is_never_negative_nor_more_than_all(
    began: float, length: float, children: list[tuple[float, float]]
) -> None:
    own = own_seconds(began, began + length, children)

    assert 0 <= own <= length + 1e-6 * max(abs(began), length, 1)


def test_the_axis_has_all_that_is_below_the_trace() -> None:
    found = axis([trace(0, 1), trace(0.5, 3, 1)])

    assert found == Axis(0, 3.5)


def test_a_link_nearby_widens_the_axis() -> None:
    assert axis([trace(0, 1), trace(-1.5, 1, 1, linked=True)]) == Axis(-1.5, 1)


def test_a_link_far_away_is_drawn_at_the_edge() -> None:
    traces = [trace(0, 1), trace(-7200, 1, 1, linked=True), trace(9000, 1, 1, linked=True)]
    drawn = lanes(traces, [])["lanes"]

    assert axis(traces) == Axis(0, 1)
    assert [lane["before"] for lane in drawn] == [False, True, False]
    assert [lane["after"] for lane in drawn] == [False, False, True]
    assert drawn[1]["x"] == 0
    assert drawn[2]["x"] + drawn[2]["width"] == 100


@given(st.lists(st.builds(trace, moments, st.floats(-1, 1e6), st.integers(0, 20), st.booleans())))
def test_every_bar_is_on_the_drawing_and_can_be_seen(traces: list[dict[str, Any]]) -> None:
    drawn = lanes([trace(0, 0), *traces], [])

    for lane in drawn["lanes"]:
        assert lane["x"] >= 0
        assert lane["width"] > 0
        assert lane["x"] + lane["width"] <= 100.01
        assert lane["y"] < drawn["height"]


@given(moments, st.floats(1e-6, 1e6))
def test_marks_are_few_and_on_the_axis(low: float, length: float) -> None:
    line = Axis(low, low + length)

    assert len(line.marks()) <= 12
    assert all(line.low <= mark <= line.high for mark in line.marks())


def test_marks_are_round() -> None:
    assert Axis(-0.1, 0.2).marks() == [-0.1, 0.0, 0.1, 0.2]
    assert Axis(0, 0.000007).marks() == [0.0, 2e-6, 4e-6, 6e-6]
    assert Axis(0, 0).marks() == [0]


def test_events_are_ticks_on_the_bar_of_their_trace_and_bounded() -> None:
    events = [{"of": 0, "offset": 0.5}, *({"of": 1, "offset": n / 1000} for n in range(1000))]
    drawn = lanes([trace(0, 1), trace(0, 1, 1)], events)["lanes"]

    assert drawn[0]["ticks"] == [50.0]
    assert 1 < len(drawn[1]["ticks"]) <= 40


def test_deep_traces_are_indented_no_further() -> None:
    assert indent(1) < indent(2) < indent(DEEPEST) == indent(DEEPEST + 14)


def test_a_guide_runs_along_what_is_below_a_trace() -> None:
    depths = [0, 1, 2, 1, 0]
    guides = lanes([trace(0, 1, depth) for depth in depths], [])["guides"]

    lengths = [(guide["y2"] - guide["y1"]) // 22 for guide in guides]
    assert lengths == [3, 1]
