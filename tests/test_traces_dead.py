"""What dead workers were doing, as the page of traces tells it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from servers import Gunicorn

import flask_expvar as expvar
from flask_expvar.pages.traces_dead import dead_html, tell_dead
from flask_expvar.workers.flight import Flight
from flask_expvar.workers.graves import Grave
from flask_expvar.workers.membership import leave_all, membership

Start = Callable[..., Gunicorn]

TOKEN = {"Authorization": "Bearer a-token-of-the-tests-0123456789"}
HTML = {**TOKEN, "Accept": "text/html"}
DEADLY = """
import ctypes
import time

from flask import Flask
import flask_expvar as expvar

app = Flask("deadly")
app.config["EXPVAR_TOKEN"] = "a-token-of-the-tests-0123456789"
expvar.Expvar(app)


@app.get("/items/<int:n>")
def item(n):
    print("serving", flush=True)
    time.sleep(3600)


@app.get("/crash")
def crash():
    print("serving", flush=True)
    ctypes.string_at(0)


@app.get("/")
def index():
    return "ok"
"""
KINDS = {
    "sync": ("-w", "2"),
    "gthread": ("-w", "2", "-k", "gthread", "--threads", "2"),
    "gevent": ("-w", "2", "-k", "gevent"),
    "preload": ("-w", "2", "--preload"),
}


@contextmanager
def asked(server: Gunicorn, path: str) -> Iterator[None]:
    """Have *path* served without waiting for its end."""
    since = len(server.log)
    with server.connect() as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: tiny\r\n\r\n".encode())
        server.wait_for_log("serving", since=since)
        yield


def page(server: Gunicorn) -> Any:
    return server.get("/debug/traces", headers=TOKEN).json()


def running(server: Gunicorn, family: str) -> int | None:
    """Return the worker that serves a request of *family*."""
    found = server.get(f"/debug/traces?fam={family}&b=-1", headers=TOKEN)
    traces = found.json()["traces"] if found.status == 200 else []
    return traces[0]["worker"] if traces else None


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_worker_is_shown_with_the_route_it_was_serving(gunicorn: Start, kind: str) -> None:
    server = gunicorn(DEADLY, *KINDS[kind])
    before = time.time()
    with asked(server, "/items/17?token=s3cret"):
        for pid in server.worker_pids():
            server.kill_worker(pid)
        server.wait_until(lambda: page(server)["dead"], what="a death")
    found = page(server)
    (death,) = found["dead"]
    (request,) = death["requests"]

    assert (request["route"], death["cause"]) == ("GET /items/<int:n>", "")
    assert before - 1 <= request["start"] <= death["died"] <= time.time()
    assert found["deadOf"] == 1
    assert "s3cret" not in str(found)
    html = server.get("/debug/traces", headers=HTML).text
    assert "Workers that died" in html
    assert "GET /items/&lt;int:n&gt;" in html


def test_gunicorns_timeout_is_told_with_the_stack(gunicorn: Start) -> None:
    server = gunicorn(DEADLY, "-w", "2", "--timeout", "5")
    with asked(server, "/items/17"):
        server.wait_for_log("WORKER TIMEOUT")
        server.wait_until(lambda: page(server)["dead"], what="a death")
    (death,) = page(server)["dead"]

    assert (death["cause"], death["exact"]) == ("SIGABRT", True)
    assert [each["route"] for each in death["requests"]] == ["GET /items/<int:n>"]
    assert 1 < death["requests"][0]["seconds"] < 60
    assert " in item" in death["stack"]
    html = server.get("/debug/traces", headers=HTML).text
    assert "SIGABRT: aborted" in html
    assert "Stacks at its end" in html


def test_a_crash_is_told_with_the_stack(gunicorn: Start) -> None:
    server = gunicorn(DEADLY, "-w", "2")
    with asked(server, "/crash"):
        server.wait_until(lambda: page(server)["dead"], what="a death")
    (death,) = page(server)["dead"]

    assert (death["cause"], death["requests"][0]["route"]) == ("SIGSEGV", "GET /crash")
    assert " in crash" in death["stack"]


def test_one_worker_can_be_asked_for(gunicorn: Start) -> None:
    server = gunicorn(DEADLY, "-w", "1")
    with asked(server, "/items/17"):
        (dead,) = server.worker_pids()
        server.kill_worker(dead)
        server.wait_until(lambda: page(server)["dead"], what="a death")
    (alive,) = server.worker_pids()

    assert page(server)["dead"][0]["worker"] == dead
    assert server.get(f"/debug/traces?worker={alive}", headers=TOKEN).json()["dead"] == []


def test_notes_of_the_dead_are_text_whatever_they_hold(tmp_path: Path) -> None:
    registry = expvar.Registry("hostile")
    shares = membership(registry)
    shares.join(str(tmp_path), {}, dict)
    odd = "<b>\x1b[31m\x00 \u202e password=abcdefg12"
    flight = Flight(shares.key, time.time_ns(), 0, 1, odd)
    grave = Grave(5, 77, 1, time.time_ns(), True, "SIGABRT", (flight,), 3, odd * 10_000)
    (tmp_path / "graves.json").write_text(json.dumps({"format": 1, "graves": [grave.to_json()]}))
    try:
        told = tell_dead(registry)
    finally:
        leave_all()
    (death,) = dead_html(told)["deaths"]

    shown = str([*death["requests"], *death["stack"]])
    assert "<b>" in shown
    assert not {"\x1b", "\x00", "\u202e"} & set(shown)
    assert "abcdefg12" not in shown
    assert len(shown) < 200_000
