"""The log of refusals: one line a minute for each rule, without a word of the client."""

from __future__ import annotations

import logging

import pytest
from gates import DIRECT, TOKEN, FakeClock, boom, decide, gate

from flask_expvar.web.decision import Decision, Level


def test_a_refusal_is_logged_with_the_rule_and_how_to_open(
    caplog: pytest.LogCaptureFixture,
) -> None:
    decide(gate(), DIRECT)

    [record] = caplog.records
    assert (record.name, record.levelno) == ("flask_expvar.access", logging.WARNING)
    assert "auto:not-debug" in record.getMessage()
    assert "set EXPVAR_TOKEN" in record.getMessage()


def test_an_admitted_request_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    decide(gate(), DIRECT, debug=True)

    assert caplog.records == []


def test_each_rule_is_logged_once_a_minute_with_the_number_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = FakeClock()
    closed = gate(clock=clock)
    for _ in range(5):
        decide(closed, DIRECT)
    decide(closed, {**DIRECT, "HTTP_HOST": "a.org"}, debug=True)
    clock.now += 59.5
    decide(closed, DIRECT)
    clock.now += 0.5
    decide(closed, DIRECT)

    first, other, last = (record.getMessage() for record in caplog.records)
    assert "rule auto:not-debug" in first
    assert "more since" not in first
    assert "rule loopback:host" in other
    assert "rule auto:not-debug" in last
    assert last.endswith("(5 more since the last such line)")


@pytest.mark.parametrize("now", [0.0, 59.9, 1e9])
def test_the_first_refusal_is_logged_even_just_after_boot(
    now: float, caplog: pytest.LogCaptureFixture
) -> None:
    decide(gate(clock=lambda: now), DIRECT)

    assert len(caplog.records) == 1


def test_a_refusal_in_the_midst_of_another_waits_for_nothing() -> None:
    decisions: list[Decision] = []

    def interrupted_clock() -> float:
        # As a signal handler would: in the same thread, with the lock held.
        if len(decisions) < 1:
            decisions.append(Decision(Level.NONE, 0, "running"))
            decisions.append(decide(closed, DIRECT))
        return 0.0

    closed = gate(clock=interrupted_clock)
    decisions.append(decide(closed, DIRECT))

    assert [decision.status for decision in decisions] == [0, 403, 403]


def test_no_text_of_the_client_reaches_the_log(caplog: pytest.LogCaptureFixture) -> None:
    mark = "hunter2"
    environ = {
        "REQUEST_METHOD": mark,
        "PATH_INFO": f"/{mark}",
        "QUERY_STRING": mark,
        "SERVER_SOFTWARE": f"Werkzeug/{mark}",
        "REMOTE_ADDR": mark,
        "HTTP_HOST": mark,
        "HTTP_AUTHORIZATION": f"Bearer {mark}",
        "HTTP_ORIGIN": mark,
        "HTTP_SEC_FETCH_SITE": mark,
        f"HTTP_X_FORWARDED_{mark.upper()}": mark,
    }
    for access in ("auto", "loopback", "listener", "open", boom):
        decide(gate(access), environ, debug=True)
        decide(gate(access, TOKEN), environ)
    decide(gate("loopback"), {**environ, "REMOTE_ADDR": "127.0.0.1"})

    assert len(caplog.records) == 11
    assert mark not in caplog.text.lower()
    assert TOKEN not in caplog.text
