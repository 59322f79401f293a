"""``/debug/memory``: collections, types, and where memory is allocated."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

import flask_expvar as expvar
from flask_expvar.stacks import allocations, types
from flask_expvar.stacks.allocations import Held, grown

TOKEN = "a-token-of-the-tests-0123456789"
OPEN = {"Authorization": f"Bearer {TOKEN}"}
HTML = {**OPEN, "Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(autouse=True)
def off() -> Iterator[None]:
    yield
    tracemalloc.stop()
    allocations.mark.clear()


@pytest.fixture
def app() -> Flask:
    app = Flask("shop")
    app.config["EXPVAR_TOKEN"] = TOKEN
    app.config["EXPVAR_ACTIONS"] = ("tracemalloc",)
    expvar.Expvar(app, registry=expvar.Registry())
    return app


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    with app.test_client() as client:
        yield client


def post(client: FlaskClient, status: int = 200, **fields: Any) -> Any:
    answer = client.post("/debug/memory", data=fields, headers=OPEN)
    assert answer.status_code == status, answer.text
    return answer


def own(client: FlaskClient, query: str = "") -> Any:
    data = client.get(f"/debug/memory.json{query}", headers=OPEN).json
    (told,) = data["workers"].values()
    return told


def allocate() -> list[bytes]:
    return [bytes(1000 + n) for n in range(200)]


def test_held_memory_is_added_up_by_its_whole_stack() -> None:
    allocations.start(3)
    kept = allocate()

    found = allocations.holding()

    place = next(each for each in found.held if each.place[0][0] == __file__)
    assert place.size >= sum(map(len, kept))
    assert 200 <= place.number <= 205
    assert len(place.place) == 3
    assert found.size >= place.size
    assert found.frames == 3


def test_nothing_is_held_while_nothing_is_traced() -> None:
    assert allocations.holding().held == []


def test_what_grew_and_what_shrank_comes_first() -> None:
    a, b, c = (((f"/{name}.py", 1),) for name in "abc")
    before = [Held(a, 1, 100), Held(b, 2, 500), Held(c, 1, 7)]
    after = [Held(a, 3, 400), Held(c, 1, 7)]

    assert grown(before, after) == [Held(b, -2, -500), Held(a, 2, 300)]


def test_types_are_counted_with_their_own_bytes() -> None:
    class Order:
        def __sizeof__(self) -> int:
            raise AssertionError("code of the program is not run")

        @property
        def __class__(self) -> Any:
            raise AssertionError("code of the program is not run")

    kept = [Order() for _ in range(3000)]
    found = types.scan(seconds=60)

    order = next(each for each in found.types if each.name.endswith(".Order"))
    assert order.number == len(kept)
    assert order.size > 0
    assert found.scanned == found.of


def test_scan_ends_in_time_and_by_number() -> None:
    assert types.scan(seconds=0).scanned <= 2000
    found = types.scan(most=500, seconds=60)
    assert found.scanned == 500
    assert found.of > 500


def test_page_tells_of_generations_and_pauses(client: FlaskClient) -> None:
    gc.collect()

    told = own(client)

    assert told["gc"]["thresholds"] == list(gc.get_threshold())
    assert told["gc"]["generations"][2]["collections"] > 0
    assert told["tracing"] == 0
    assert "types" not in told
    data = client.get("/debug/memory.json", headers=OPEN).json
    assert data["pauses"]["count"] > 0
    assert data["pauses"]["max_ns"] >= data["pauses"]["median_ns"]
    text = client.get("/debug/memory", headers=HTML).text
    assert "It is off." in text
    assert "9 to 13 times the CPU" in text


def test_growth_between_two_moments(client: FlaskClient) -> None:
    post(client, action="tracemalloc", frames=1)
    assert own(client)["tracing"] == 1
    post(client, action="mark")
    kept = [bytes(50_000 + n) for n in range(20)]

    told = own(client, "?top=1")["top"]
    text = client.get("/debug/memory?top=1", headers=HTML).text

    place, number, size = told["grown"][0]
    assert place[0][0] == __file__
    assert number >= len(kept)
    assert size >= 1_000_000
    assert "▲ grew" in text
    assert "test_memory.py" in text

    post(client, action="tracemalloc", on=0)
    assert not tracemalloc.is_tracing()
    assert own(client)["mark"] == 0


def test_tracing_needs_its_word(app: Flask, client: FlaskClient) -> None:
    app.config["EXPVAR_ACTIONS"] = ()

    refused = post(client, 403, action="tracemalloc")

    assert "['tracemalloc']" in refused.text
    assert not tracemalloc.is_tracing()
    text = client.get("/debug/memory", headers=HTML).text
    assert "EXPVAR_ACTIONS does not allow tracemalloc" in text


@pytest.mark.parametrize("fields", [{"frames": 0}, {"frames": 26}, {"on": 2}])
def test_bad_field_starts_nothing(client: FlaskClient, fields: dict[str, int]) -> None:
    post(client, 400, action="tracemalloc", **fields)

    assert not tracemalloc.is_tracing()


def test_nothing_can_be_marked_while_nothing_is_traced(client: FlaskClient) -> None:
    assert "off" in post(client, 404, action="mark").text


@pytest.mark.parametrize("query", ["types=2", "top=x", "worker=x"])
def test_bad_parameter_is_named(client: FlaskClient, query: str) -> None:
    answer = client.get(f"/debug/memory?{query}", headers=OPEN)

    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.text


def test_types_are_shown_when_asked_for(client: FlaskClient) -> None:
    text = client.get("/debug/memory?types=1", headers=HTML).text

    assert "Largest types" in text
    assert "<bdi>dict</bdi>" in text
