"""Charts: what is where, and how it is written."""

from __future__ import annotations

import re
import time
from typing import Any
from xml.etree import ElementTree

import pytest

from flask_expvar.pages.charts import BAD, bar_chart, heat_map, line_chart, path, scale, spark
from flask_expvar.web.files import environment

END = 1_800_000_000
AROUND: dict[str, Any] = {"step": 5, "end": END}


def drawn(chart: dict[str, Any]) -> str:
    macros: Any = environment().get_template("expvar/charts.html").module
    return str(macros.figure(chart))


def test_a_missing_value_is_a_gap_and_a_lonely_one_a_dash() -> None:
    assert path([0, 5, None, 10, None], 10) == "M0 100L25 50M74.25 0h1.5"
    assert path([10, None, 10], 10) == "M0 0h1.5M98.5 0h1.5"


@pytest.mark.parametrize(
    ("most", "marks"),
    [
        (0.0123, [0.005, 0.01, 0.015]),
        (10, [5, 10]),
        (61, [50, 100]),
        (1e12, [5e11, 1e12]),
    ],
)
def test_an_axis_begins_at_zero_and_ends_at_a_round_mark(most: float, marks: list[float]) -> None:
    assert scale(most) == (marks[-1], marks)


def test_an_axis_of_bytes_has_round_binary_marks() -> None:
    assert scale(152 * 2**20, "B")[1] == [64 * 2**20, 128 * 2**20, 192 * 2**20]


def test_an_axis_of_zeros_has_no_mark() -> None:
    assert scale(0) == (1.0, [])


def test_a_line_chart_says_now_lowest_and_highest_in_words() -> None:
    chart = line_chart("r", "Requests", {"all": [1, None, 4, 2]}, unit="/s", **AROUND)

    assert chart["series"][0] | {"path": "", "tone": 1} == {
        "name": "all", "last": "2/s", "low": "1/s", "high": "4/s", "tone": 1, "path": "",
    }  # fmt: skip
    assert "all: now 2/s, from 1/s to 4/s." in drawn(chart)


def test_stacked_bars_stand_on_each_other_and_small_layers_are_one() -> None:
    series = {name: [float(number)] for number, name in enumerate("abcdef", 1)}

    chart = bar_chart("c", "Codes", series, unit="", **AROUND)

    assert [each["name"] for each in chart["series"]] == ["a", "b", "c", "others"]
    bars = [each["bars"][0] for each in chart["series"]]
    assert [round(bar["y"] + bar["height"], 1) for bar in bars[1:]] == [
        round(bar["y"], 1) for bar in bars[:-1]
    ]
    assert chart["rows"][0][1:] == ["1", "2", "3", "15"]


def test_the_layer_of_errors_has_their_colour_whichever_place_it_has() -> None:
    for series in ({"2xx": [1], "5xx": [1]}, {"2xx": [1], "3xx": [1], "4xx": [1], "5xx": [1]}):
        chart = bar_chart("c", "Responses", series, unit="/s", bad="5xx", **AROUND)  # type: ignore[arg-type]

        tones = {each["name"]: each["tone"] for each in chart["series"]}
        assert [name for name, tone in tones.items() if tone == BAD] == ["5xx"]
        assert drawn(chart).count(f"layer tone{BAD}") == 2


def test_a_heat_map_has_the_buckets_that_counted_slowest_on_top() -> None:
    buckets = [[0, 0], [1, 10], [0, 0], [2, 0], [0, 0]]

    chart = heat_map("h", "Latency", [0.1, 0.2, 0.5, 1.0], buckets, **AROUND)

    assert [mark["text"] for mark in chart["grid"]] == ["≤ 1 s", "≤ 500 ms", "≤ 200 ms"]
    assert [(cell["x"], cell["y"], cell["shade"]) for cell in chart["cells"]] == [
        (0, 0, 1), (0, 66.667, 1), (50, 66.667, 5)
    ]  # fmt: skip


def test_a_spark_needs_two_points() -> None:
    assert spark([None, 3, None]) == ""
    assert spark([0, 0]) == "M0 100L100 100"


@pytest.mark.parametrize(
    "chart",
    [
        line_chart("a", "<b>&", {"<i>": [1, 2]}, unit="s", **AROUND),
        bar_chart("b", "<b>&", {"<i>": [1, 2]}, unit="B", **AROUND),
        heat_map("c", "<b>&", [0.1], [[1, 2], [0, 1]], **AROUND),
        line_chart("d", "<b>&", {"<i>": [None, None]}, unit="%", **AROUND),
        line_chart("e", "<b>&", {}, unit="%", **AROUND),
    ],
    ids="abcde",
)
def test_a_chart_is_well_formed_and_has_nothing_inline(chart: dict[str, Any]) -> None:
    text = drawn(chart)

    root = ElementTree.fromstring(text)
    assert "i" not in {each.tag for each in root.iter()}
    assert not re.search(r"\s(style|on\w+)=", text)
    assert root.find("svg") is None or root.find("svg").get("role") == "img"  # type: ignore[union-attr]


def test_the_same_is_there_as_a_table_newest_first() -> None:
    chart = line_chart("a", "Memory", {"all": [1024, None, 2048]}, unit="B", **AROUND)

    clock = time.strftime("%H:%M:%S", time.localtime(END))
    assert chart["rows"][0] == [clock, "2.0 KiB"]
    assert len(chart["rows"]) == 2
    assert "Show as a table" in drawn(chart)


def test_a_heat_map_is_as_high_as_its_rows_need() -> None:
    bounds = [float(bound) for bound in range(1, 15)]

    chart = heat_map("h", "Latency", bounds, [[1.0]] * 15, **AROUND)

    assert chart["height"] == 14 * 15
    assert '<svg class="plot" width="100%" height="238"' in drawn(chart)
