"""``/debug/pprof/``: what ``go tool pprof`` asks for, and how it is told what is wrong."""

from __future__ import annotations

import gzip
import threading
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from servers import wait_until

import flask_expvar as expvar
from flask_expvar.pages.pprof import KNOWN, MISSING
from flask_expvar.stacks import allocations
from flask_expvar.stacks.profiler import profiler
from flask_expvar.variables.runtime import cmdline

TOKEN = "a-token-of-the-tests-0123456789"
OPEN = {"Authorization": f"Bearer {TOKEN}"}
BINARY = "application/octet-stream"


@pytest.fixture
def client() -> Iterator[FlaskClient]:
    app = Flask("shop")
    app.config["EXPVAR_TOKEN"] = TOKEN
    expvar.Expvar(app, registry=expvar.Registry())
    with app.test_client() as client:
        yield client
    if profiler.running is not None:
        profiler.running.stop()
        wait_until(lambda: profiler.running is None)
    profiler._kept.clear()
    tracemalloc.stop()


@pytest.fixture
def parked() -> Iterator[None]:
    event = threading.Event()

    def parked_here() -> None:
        event.wait()

    thread = threading.Thread(target=parked_here, name="parked")
    thread.start()
    yield
    event.set()
    thread.join(10)


def get(client: FlaskClient, path: str, status: int = 200, **headers: str) -> Any:
    answer = client.get(f"/debug/pprof/{path}", headers={**OPEN, **headers})
    assert answer.status_code == status, answer.text
    if status >= 400:
        assert answer.headers["X-Go-Pprof"] == "1"
        assert answer.content_type == "text/plain; charset=utf-8"
        assert "Content-Disposition" not in answer.headers
    return answer


def test_index_lists_what_there_is(client: FlaskClient) -> None:
    assert [line.split("\t")[0] for line in get(client, "").text.splitlines()] == list(KNOWN)
    text = get(client, "", Accept="text/html").text
    assert 'href="goroutine?debug=1"' in text
    assert 'href="../assets/expvar.css' in text
    assert "<script>" not in text
    moved = client.get("/debug/pprof?x=1", headers=OPEN)
    assert (moved.status_code, moved.headers["Location"]) == (308, "pprof/?x=1")


@pytest.mark.usefixtures("parked")
@pytest.mark.parametrize(
    ("path", "name"),
    [("wall?seconds=0.1", "wall"), ("goroutine", "goroutine"), ("threads", "threads")],
)
def test_profile_comes_as_go_sends_it(client: FlaskClient, path: str, name: str) -> None:
    answer = get(client, path)

    assert answer.content_type == BINARY
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert b"parked_here" in gzip.decompress(answer.data)


def test_profile_of_cpu_time_is_one_of_cpu_time(client: FlaskClient) -> None:
    content = gzip.decompress(get(client, "profile?seconds=0.1").data)

    assert b"\x03cpu" in content
    assert b"nanoseconds" in content


@pytest.mark.parametrize("name", ["profile", "wall", "heap", "goroutine"])
def test_head_takes_nothing(client: FlaskClient, name: str) -> None:
    answer = client.head(f"/debug/pprof/{name}?seconds=60", headers=OPEN)

    assert (answer.status_code, answer.content_type) == (200, BINARY)
    assert profiler.kept == []
    assert profiler.running is None


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("profile?seconds=0", "seconds"),
        ("profile?seconds=junk", "seconds"),
        ("profile?seconds=-5", "seconds"),
        ("profile?seconds=1000", "at most 120"),
        ("wall?engine=magic", "signal, threads, py-spy"),
        ("heap?debug=9", "0 to 2"),
        ("heap?gc=x", "0 or 1"),
        ("heap?seconds=1&debug=1", "seconds and debug params are incompatible"),
        ("goroutine?seconds=0", "more than 0"),
        ("goroutine?worker=x", "worker"),
    ],
)
def test_bad_parameter_is_said_so_that_the_tool_shows_it(
    client: FlaskClient, path: str, said: str
) -> None:
    allocations.start(1)

    assert said in get(client, path, 400).text


@pytest.mark.parametrize("name", [*MISSING, "nope", "goroutine/x"])
def test_unknown_profile_is_not_found(client: FlaskClient, name: str) -> None:
    answer = client.get(f"/debug/pprof/{name}", headers=OPEN)

    assert answer.status_code == 404
    if "/" not in name:
        assert "Unknown profile" in get(client, name, 404).text


def test_second_profile_at_a_time_is_refused_in_gos_words(client: FlaskClient) -> None:
    running = profiler.start(60)

    answer = get(client, "profile?seconds=1", 409)

    assert answer.text.startswith(
        "Could not enable CPU profiling: cpu profiling already in use: worker "
    )
    assert running.done is False


def test_heap_says_how_to_switch_it_on(client: FlaskClient) -> None:
    for name in ("heap", "allocs"):
        text = get(client, name, 501).text
        assert "PYTHONTRACEMALLOC" in text
        assert "EXPVAR_ACTIONS" in text
        assert "times the CPU" in text


def test_heap_is_what_is_held(client: FlaskClient) -> None:
    allocations.start(2)
    kept = [bytes(100_000 + n) for n in range(10)]

    content = gzip.decompress(get(client, "heap").data)
    text = get(client, "heap?debug=1").text

    assert b"inuse_space" in content
    assert __file__.encode() in content
    assert len(kept) == 10
    assert text.startswith("# worker ")
    assert "test_pprof_pages.py" in text


def test_growth_of_the_heap_has_a_name_of_its_own(client: FlaskClient) -> None:
    allocations.start(1)

    answer = get(client, "heap?seconds=50ms")

    assert answer.headers["Content-Disposition"] == 'attachment; filename="heap-delta"'
    assert b"inuse_objects" in gzip.decompress(answer.data)


@pytest.mark.usefixtures("parked")
def test_threads_come_as_text_too(client: FlaskClient) -> None:
    assert "parked_here" in get(client, "goroutine?debug=1").text
    assert "parked_here" in get(client, "threads?debug=2").text


@pytest.mark.usefixtures("parked")
def test_threads_that_stay_are_not_in_a_delta(client: FlaskClient) -> None:
    content = gzip.decompress(get(client, "goroutine?seconds=50ms").data)

    assert b"parked_here" not in content


def test_command_line_and_symbols(client: FlaskClient) -> None:
    assert get(client, "cmdline").text == "\0".join(cmdline())
    assert get(client, "symbol?0x1").text == "num_symbols: 1\n"
    posted = client.post("/debug/pprof/symbol", data="0x1+0x2", headers=OPEN)
    assert posted.text == "num_symbols: 1\n"


def test_only_reading_is_allowed(client: FlaskClient) -> None:
    for method in ("POST", "PUT", "DELETE"):
        answer = client.open("/debug/pprof/profile", method=method, headers=OPEN)
        assert answer.status_code == 405
        assert answer.headers["X-Go-Pprof"] == "1"


def test_who_may_not_look_is_told_so_by_the_tool(client: FlaskClient) -> None:
    answer = client.get("/debug/pprof/profile?seconds=1")

    assert answer.status_code in (401, 403)
    assert answer.headers["X-Go-Pprof"] == "1"
    assert answer.content_type == "text/plain; charset=utf-8"


@pytest.mark.parametrize("path", ["profile?seconds=1", "heap?seconds=1", "goroutine?seconds=1"])
def test_link_of_another_site_starts_nothing(client: FlaskClient, path: str) -> None:
    allocations.start(1)
    link = {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "document",
    }

    get(client, path, 403, **link)

    assert profiler.kept == []
