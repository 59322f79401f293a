"""The overview: the figures of all workers, what went wrong lately, and what runs now."""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

import flask_expvar as expvar
from flask_expvar.pages import overview_now
from flask_expvar.pages.overview_queues import queue_tile
from flask_expvar.pages.trends import lately, merged, percentile, percentiles
from flask_expvar.variables.history import history_of

TOKEN = "a-token-of-the-tests-0123456789"
OPEN = {"Authorization": f"Bearer {TOKEN}"}
HTML = {**OPEN, "Accept": "text/html"}


def told(end: int, *points: float | None, mode: str | None = None, **more: Any) -> dict[str, Any]:
    """Return what one worker tells of a step of five seconds."""
    series = {"x": {"kind": "int", "mode": mode, "points": list(points), **more}}
    return {"step": 5, "end": end, "own": {"rss": list(points)}, "series": series, "full": False}


def test_rates_of_workers_add_up_and_a_gap_of_one_is_no_gap() -> None:
    found = merged([told(100, 1, 2, None), told(100, 10, None, None)])

    assert found["series"]["x"]["points"] == [11, 2, None]
    assert found["own"]["rss"] == [11, 2, None]


def test_a_worker_that_is_a_point_ahead_is_laid_where_it_belongs() -> None:
    found = merged([told(105, 2, 3, 4), told(100, 10, 20, 30)])

    assert (found["end"], found["series"]["x"]["points"]) == (105, [22, 33, 4])


@pytest.mark.parametrize(("mode", "value"), [("livesum", 7), ("max", 5), ("min", 2)])
def test_a_gauge_follows_its_rule(mode: str, value: int) -> None:
    found = merged([told(100, 5, mode=mode), told(100, 2, mode=mode)])

    assert found["series"]["x"]["points"] == [value]


def test_keys_and_buckets_are_those_of_any_worker() -> None:
    one = told(100, 1, keys={"200": [1]}, bounds=[0.1], buckets=[[1], [0]])
    two = told(100, 3, keys={"500": [3]}, bounds=[0.1], buckets=[[2], [1]])

    found = merged([one, two])["series"]["x"]

    assert found["keys"] == {"200": [1], "500": [3]}
    assert found["buckets"] == [[3], [1]]


def test_a_percentile_is_estimated_inside_its_bucket() -> None:
    assert percentile((0.1, 0.2, 0.5), (0, 10, 0, 0), 0.95) == 0.195
    assert percentile((0.1, 0.2), (0, 0, 4), 0.5) == 0.2
    assert percentile((0.1,), (0, 0), 0.5) is None
    assert percentiles({"bounds": (1.0,), "buckets": [[2, None], [0, None]]}, 0.5) == [0.5, None]


def test_a_mean_takes_the_newest_points_that_are_known() -> None:
    assert lately([100, 1, None, 3], 3) == 2
    assert lately([None], 3) is None


@pytest.fixture
def client(registry: expvar.Registry) -> FlaskClient:
    app = Flask("shop")
    app.config["EXPVAR_TOKEN"] = TOKEN
    expvar.Expvar(app, registry=registry)

    @app.get("/hello")
    def hello() -> str:
        return "hello"

    @app.get("/fail")
    def fail() -> str:
        raise ValueError("the reason")

    return app.test_client()


def past(client: FlaskClient, registry: expvar.Registry, now: float) -> None:
    """Let two seconds pass with two requests, one of which fails."""
    history = history_of(registry)
    for second in range(2):
        for path in ("/hello", "/fail"):
            client.get(path, buffered=True)
        history.tick(now - 2 + second)


def figure(page: dict[str, Any], label: str) -> dict[str, str]:
    return next(tile for tile in page["tiles"] if tile["label"] == label)


def test_charts_are_there_at_the_first_look(
    client: FlaskClient, registry: expvar.Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr("flask_expvar.variables.history.time.time", lambda: now)
    past(client, registry, now)

    page = client.get("/debug/.json?span=1m", headers=OPEN).get_json()
    text = client.get("/debug/?span=1m", headers=HTML).text

    assert figure(page, "Requests")["value"] == "2/s"
    assert figure(page, "Server errors") | {"spark": ""} == {
        "label": "Server errors", "value": "50%", "state": "err", "spark": "",
        "note": "over 1%, in the last minute",
    }  # fmt: skip
    assert figure(page, "p95")["state"] == "ok"
    assert page["history"]["series"]["http/responseCodeCount"]["keys"]["500"][-1] == 1
    assert text.count('role="img"') >= 5
    assert "✖ problem" in text


def test_recent_errors_lead_to_their_traces_without_what_they_say(client: FlaskClient) -> None:
    client.get("/fail", buffered=True)

    text = client.get("/debug/", headers=HTML).text

    row = text.partition("Recent errors")[2].partition("</tbody>")[0]
    assert "✖ <bdi>ValueError</bdi>" in row
    assert 'href="traces?trace=GET%20/fail!' in row


def test_what_runs_now_is_listed(client: FlaskClient, registry: expvar.Registry) -> None:
    with expvar.trace("bank", "charge", registry=registry):
        page = client.get("/debug/.json", headers=OPEN).get_json()

    assert [(each["family"], each["title"]) for each in page["running"]] == [("bank", "charge")]


def test_a_section_that_fails_costs_itself_alone(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    client.get("/fail", buffered=True)
    monkeypatch.setattr(overview_now, "tell_dead", fail)
    monkeypatch.setattr(overview_now, "merge_lists", fail)

    answer = client.get("/debug/", headers=HTML)

    assert answer.status_code == 200
    assert answer.text.count("✖ RuntimeError") == 3
    assert "Responses by status" in answer.text
    assert json.loads(client.get("/debug/.json", headers=OPEN).text)["failed"] == {
        "error": "RuntimeError: a bug"
    }


def test_a_tile_tells_how_much_waits_and_for_how_long(
    client: FlaskClient, registry: expvar.Registry
) -> None:
    assert "Queue" not in [
        tile["label"] for tile in client.get("/debug/.json", headers=OPEN).json["tiles"]
    ]

    asked: list[int] = []

    def mails(limit: int, offset: int) -> tuple[list[expvar.QueueItem], int]:
        asked.append(limit)
        return [expvar.QueueItem("1", time.time() - 130)], 1234

    expvar.register_queue("mails", mails, registry=registry)
    tile = figure(client.get("/debug/.json", headers=OPEN).get_json(), "Queue")
    assert (tile["value"], tile["note"][:17], tile["state"]) == (
        "1,234",
        "the oldest: 2 min",
        "none",
    )
    assert asked == [1]
    text = client.get("/debug/?refresh=60", headers=HTML).text
    assert '<a href="queue?refresh=60">Queue</a>' in text


def test_no_function_is_called_but_those_of_the_build(
    client: FlaskClient, registry: expvar.Registry
) -> None:
    asked: list[str] = []
    for name in ("slow", "shop/version", "shop/sourceDateStr"):
        registry.publish(name, lambda name=name: asked.append(name) or name)

    text = client.get("/debug/", headers=HTML).text

    assert sorted(set(asked)) == ["shop/sourceDateStr", "shop/version"]
    assert "<dt>Version</dt><dd><bdi>shop/version</bdi>" in text


def test_the_tile_says_once_what_all_workers_say_of_their_queues() -> None:
    bad = {"name": "bad", "error": "OSError: down", "depth": 0, "oldest": None}
    other = {**bad, "name": "other"}

    tile = queue_tile({1: [bad, other], 2: [bad, other]})

    assert tile is not None
    assert tile["note"] == "bad: OSError: down, other: OSError: down, in 4 queues"


def test_the_command_line_is_shown_without_its_secrets(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "shop", "--password", "hunter2hunter2"])
    text = client.get("/debug/", headers=HTML).text

    assert "python -m shop --password" in text
    assert "hunter2" not in text


def test_queues_that_hang_or_raise_cost_the_overview_a_quarter_of_a_second(
    client: FlaskClient, registry: expvar.Registry
) -> None:
    go_on = threading.Event()
    expvar.register_queue("slow", lambda: go_on.wait(60) and [], registry=registry)
    expvar.register_queue("fine", lambda: [{"id": "1"}], registry=registry)
    expvar.register_queue("broken", lambda: 1 / 0, registry=registry)  # type: ignore[arg-type, return-value]
    try:
        tile = figure(client.get("/debug/.json", headers=OPEN).get_json(), "Queue")
    finally:
        go_on.set()

    assert (tile["value"], tile["state"]) == ("1", "err")
    assert tile["note"] == (
        "broken: ZeroDivisionError: division by zero,"
        " slow: no answer within 0.25 s; it is still running, in 3 queues"
    )


def test_another_span_is_refused_by_name(client: FlaskClient) -> None:
    answer = client.get("/debug/?span=1h", headers=HTML)

    assert answer.status_code == 400
    assert "allowed: 1m, 5m, 15m" in answer.text
