"""Profiles of a real gunicorn, as people and the real ``go tool pprof`` get them."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import work
from servers import Gunicorn
from servers.go import pprof

APP = """
import threading, time
from flask import Flask
import flask_expvar as expvar

app = Flask("shop")
app.config.update(EXPVAR_ACCESS="loopback", EXPVAR_ACTIONS=("tracemalloc",))
app.register_blueprint(expvar.blueprint())
app.wsgi_app = expvar.ExpvarMiddleware(app.wsgi_app)


def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(50))


def seventy():
    burn(0.07)


def ten():
    burn(0.01)


def forever():
    while True:
        seventy()
        (lambda: burn(0.02))()
        ten()


def asleep():
    threading.Event().wait()


@app.get("/start")
def start():
    for name, work in (("busy", forever), ("</script><script>alert(1)</script>", asleep)):
        threading.Thread(target=work, name=name, daemon=True).start()
    return "started"
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    pytest.importorskip("gunicorn")
    folder = tmp_path_factory.mktemp("profiles")
    args = ("-w", "1", "-k", "gthread", "--threads", "4", "--bind", "127.0.0.1:0")
    with Gunicorn(APP, *args, folder=folder) as server:
        assert server.get("/start").status == 200
        yield server


def address(server: Gunicorn) -> str:
    host, port = server.address
    return f"http://{host}:{port}/debug/pprof"


def top(text: str) -> dict[str, float]:
    """Return the cumulative share of each function that ``-top`` shows."""
    rows = re.findall(r"^ *\S+ +\S+% +\S+% +\S+ +(\S+)%  (.+)$", text, re.M)
    return {name: float(share) for share, name in rows}


def test_tool_recovers_known_shares_of_a_live_server(shop: Gunicorn, tmp_path: Path) -> None:
    texts: list[str] = []

    def take() -> dict[str, float]:
        folder = tmp_path / str(len(texts))
        folder.mkdir()
        texts.append(pprof(folder, "-top", "-nodefraction=0", f"{address(shop)}/profile?seconds=3"))
        found = top(texts[-1])
        assert found["app.forever"] == pytest.approx(100, abs=15)
        # Python 3.10 does not say where a function was defined.
        twenty = found.get("app.forever.<locals>.<lambda>") or found.get("app.<lambda>", 0.0)
        return {
            "seventy": found["app.seventy"], "twenty": twenty, "ten": found.get("app.ten", 0.0)
        }  # fmt: skip

    found = work.shares_in_all(take)

    assert work.are_true(found), texts
    assert "app.asleep" not in top(texts[0])
    assert "CPU" in texts[0]


def test_tool_is_told_why_there_is_no_heap_and_how_to_get_one(
    shop: Gunicorn, tmp_path: Path
) -> None:
    refused = pprof(tmp_path, "-top", f"{address(shop)}/heap")

    assert "501" in refused
    assert "EXPVAR_ACTIONS" in refused


def test_tool_counts_the_threads(shop: Gunicorn, tmp_path: Path) -> None:
    text = pprof(tmp_path, "-top", "-nodefraction=0", f"{address(shop)}/goroutine")
    tags = pprof(tmp_path, "-tags", f"{address(shop)}/threads")

    assert "Type: goroutine" in text
    assert "</script><script>alert(1)</script>" in tags


def test_of_two_who_ask_at_once_one_is_refused(shop: Gunicorn) -> None:
    answers: list[Any] = []

    def ask() -> None:
        answers.append(shop.get("/debug/profile?seconds=1.5&mode=cpu&format=json"))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sorted(each.status for each in answers) == [200, 409]
    won = next(each for each in answers if each.status == 200)
    assert "seventy" in json.dumps(json.loads(won.body))
