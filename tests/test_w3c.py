"""The header traceparent: https://www.w3.org/TR/trace-context/#traceparent-header."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_expvar.traces.w3c import format_parent, new_id, parse_parent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    "header",
    [
        f"00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-00",
        f" 00-{TRACE}-{SPAN}-01 ",
        f"cc-{TRACE}-{SPAN}-01-what-will-be",
        f"01-{TRACE}-{SPAN}-ff",
    ],
)
def test_valid_header_names_trace_and_parent(header: str) -> None:
    assert parse_parent(header) == (TRACE, SPAN)


@pytest.mark.parametrize(
    "header",
    [
        "",
        TRACE,
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01.",
        f"cc-{TRACE}-{SPAN}-01.",
        f"00-{TRACE}-{SPAN}-0\uff11",
        f"00-{TRACE}-{SPAN}-01\nX: y",
        f"cc-{TRACE}-{SPAN}-01-" + "x" * 1000,
    ],
)
def test_invalid_header_is_none(header: str) -> None:
    assert parse_parent(header) is None


@given(st.text())
def test_no_header_raises(header: str) -> None:
    parse_parent(header)
    parse_parent(f"00-{TRACE}-{SPAN}-01{header}")


@given(st.integers(1, 2**64 - 1))
def test_header_that_is_sent_can_be_read(number: int) -> None:
    trace_id = new_id()

    assert parse_parent(format_parent(trace_id, number)) == (trace_id, f"{number:016x}")


def test_ids_are_new_each_time() -> None:
    assert len({new_id() for _ in range(100)}) == 100
