"""Traces under real servers: whose they are, when they end, and what may not disturb them."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
from apps import SHOP, TOKEN
from servers import Gunicorn

Start = Callable[..., Gunicorn]

APP = (
    SHOP.replace(
        "expvar.ExpvarMiddleware(app.wsgi_app)",
        'expvar.ExpvarMiddleware(app.wsgi_app, trace_header="X-Trace")',
    )
    + '''
import logging
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from flask_expvar import current_trace

logging.basicConfig(level=logging.WARNING, format="logged %(message)s")
logging.getLogger().addHandler(expvar.TraceHandler())


def wait_for(path):
    """Wait for a file: what every kind of worker can do without stopping its siblings."""
    deadline = time.monotonic() + 30
    while not os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.01)


@app.get("/items/<int:n>")
def item(n):
    current_trace().log("item %d in %d", n, os.getpid())
    return str(os.getpid())


@app.get("/timed")
def timed():
    def body():
        yield "a"
        time.sleep(0.2)
        yield "b"

    return Response(body())


@app.get("/flood")
def flood():
    return Response(b"x" * 65536 for _ in iter(int, 1))


@app.get("/wait/<path:go>")
def wait(go):
    wait_for("/" + go)
    return str(os.getpid())


@app.get("/logging")
def log():
    logger = logging.getLogger("shop")
    logger.debug("quiet")
    logger.warning("loud")
    return ""


@app.get("/parent")
def parent():
    return current_trace().traceparent


@app.get("/meet/<me>/<path:folder>")
def meet(me, folder):
    trace = current_trace()
    current_trace().log("I am %s", me)
    open(f"/{folder}/{me}", "w").close()
    for each in ("one", "two"):
        wait_for(f"/{folder}/{each}")
    assert current_trace() is trace
    current_trace().log("still %s", me)
    return ""


@app.get("/pool")
def pool():
    with ThreadPoolExecutor() as threads:
        threads.submit(copy_context().run, lambda: current_trace().log("handed over")).result()
        bare = threads.submit(current_trace).result()
    return repr(bare)


@app.get("/forked/<path:go>")
def forked(go):
    child = os.fork()
    if not child:
        current_trace().log("in the child")
        expvar.trace("of the child").finish()
        app.test_client().get("/items/1", buffered=True)
        open(f"/{go}.child", "w").close()
        wait_for("/" + go)
        os._exit(0)
    current_trace().log("in the parent")
    os.waitpid(child, 0)
    return ""


@app.get("/nothing")
async def nothing():
    current_trace().log("in a task")
    with expvar.trace("of the task"):
        pass
    return current_trace().title
'''
)
KINDS = {
    "sync": ("-w", "3"),
    "preload": ("-w", "3", "--preload"),
    "gthread": ("-w", "3", "-k", "gthread", "--threads", "4"),
    "gevent": ("-w", "3", "-k", "gevent"),
}
ITEMS = "GET /items/<int:n>"


def seen(server: Gunicorn, **query: Any) -> Any:
    pairs = "&".join(f"{key}={quote(str(value))}" for key, value in query.items())
    answer = server.get(f"/debug/traces?{pairs}", headers=TOKEN)
    assert answer.status == 200, answer.text
    return answer.json()


def ended(server: Gunicorn, family: str) -> Any:
    """Return the traces of a family when none runs any more.

    A client has its answer a moment before the server closes the body.
    """
    found: list[Any] = []

    def is_over() -> bool:
        found[:] = seen(server, fam=family)["traces"]
        return not any(trace["running"] for trace in found)

    server.wait_until(is_over, what=f"the traces of {family} end")
    return found


def family(server: Gunicorn, name: str) -> Any:
    found = [each for each in seen(server)["families"] if each["family"] == name]
    return found[0] if found else None


def in_flight(server: Gunicorn) -> int:
    return int(server.get("/debug/vars", headers=TOKEN).json()["http/requestsInFlight"])


def texts(trace: Any) -> list[str]:
    return [event["text"] for event in trace["events"]]


@pytest.fixture
def serve(gunicorn: Start) -> Callable[..., Gunicorn]:
    """Return ``serve(app, *args)``: a server whose workers know each other."""

    def start(app: str, *args: str) -> Gunicorn:
        server = gunicorn(app, *args)

        def joined() -> bool:
            return sorted(seen(server)["workers"]) == server.worker_pids()

        server.wait_until(joined, what="all workers join")
        return server

    return start


def send(server: Gunicorn, path: str) -> socket.socket:
    """Send a request and return the connection that its answer will come from."""
    connection = server.connect()
    connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    return connection


def read(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


# -- in every worker -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_requests_of_all_workers_are_found_through_any(serve: Any, kind: str) -> None:
    server = serve(APP, *KINDS[kind])
    made: list[int] = []

    def spread() -> bool:
        made.append(int(server.get("/items/1").text))
        return len(made) >= 25 and len(set(made)) > 1

    def is_over() -> bool:
        found = family(server, ITEMS)
        return bool(found["running"] == 0 and found["seconds"]["all"]["count"] == len(made))

    server.wait_until(spread, what="two workers answer")
    server.wait_until(is_over, what="the last request ends")

    for _ in range(6):
        found = family(server, ITEMS)
        assert (found["running"], found["errors"]) == (0, 0)
        assert sum(found["bands"]) <= found["seconds"]["all"]["count"] == len(made)
        listed = seen(server, fam=ITEMS)
        assert listed["missing"] == []
        assert {trace["worker"] for trace in listed["traces"]} == set(made)
        for trace in listed["traces"]:
            assert texts(trace)[1] == f"item 1 in {trace['worker']}"
    for worker in set(made):
        one = next(trace for trace in listed["traces"] if trace["worker"] == worker)
        for _ in range(6):
            assert seen(server, trace=one["id"])["trace"]["worker"] == worker
        twin = server.get(f"/debug/traces.json?trace={quote(one['id'])}", headers=TOKEN).json()
        assert twin == seen(server, trace=one["id"])


@pytest.mark.parametrize("kind", KINDS)
def test_running_request_is_listed_with_its_route(serve: Any, tmp_path: Path, kind: str) -> None:
    server = serve(APP, *KINDS[kind])
    go = tmp_path / "go"
    waiting = "GET /wait/<path:go>"
    with send(server, f"/wait{go}") as connection:
        server.wait_until(lambda: family(server, waiting), what="the request is listed")
        for _ in range(6):
            (trace,) = seen(server, fam=waiting, b=-1)["traces"]
            assert (trace["running"], trace["title"]) == (True, "/wait/<path:go>")
            assert texts(trace) == ["matched"]
            whole = seen(server, trace=trace["id"])["trace"]
            assert (whole["running"], whole["worker"]) == (True, trace["worker"])
        assert in_flight(server) == 1
        go.touch()
        assert int(read(connection).rpartition(b"\r\n")[2]) == trace["worker"]

    assert (family(server, waiting)["running"], in_flight(server)) == (0, 0)


@pytest.mark.parametrize("args", [("-k", "gthread", "--threads", "3"), ("-k", "gevent")])
def test_running_request_is_listed_by_its_own_worker(
    serve: Any, tmp_path: Path, args: tuple[str, ...]
) -> None:
    server = serve(APP, "-w", "1", *args)
    go = tmp_path / "go"
    with send(server, f"/wait{go}") as connection:
        server.wait_until(
            lambda: (
                seen(server, fam="GET /wait/<path:go>", b=-1)["traces"]
                if family(server, "GET /wait/<path:go>")
                else None
            ),
            what="the request is listed",
        )
        go.touch()
        read(connection)


@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent"])
def test_halted_worker_is_named_and_the_others_are_shown_soon(serve: Any, kind: str) -> None:
    server = serve(APP, *KINDS[kind], "--timeout", "0")
    made = {int(server.get("/items/1").text) for _ in range(10)}
    halted = server.worker_pids()[0]
    os.kill(halted, signal.SIGSTOP)
    try:
        began = time.monotonic()
        missing, found = seen(server)["missing"], family(server, ITEMS)
        took = time.monotonic() - began
    finally:
        os.kill(halted, signal.SIGCONT)

    assert missing in ([halted], [])  # its threads stop one after the other
    assert (found is not None) or made == {halted}
    assert took < 6  # two pages, each with a deadline of one second


# -- when it ends ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent"])
def test_streamed_body_is_timed_to_its_end_with_the_first_byte_apart(serve: Any, kind: str) -> None:
    server = serve(APP, *KINDS[kind])
    with send(server, "/timed") as connection:
        assert read(connection).endswith(b"ab")

    server.wait_until(lambda: not in_flight(server), what="the body is closed")
    (trace,) = ended(server, "GET /timed")
    assert 0.2 <= trace["seconds"] < 10
    assert trace["facts"]["firstByte"] <= trace["seconds"] - 0.2
    assert texts(trace) == ["matched", "first byte", "done"]
    assert trace["events"][-1]["delta"] >= 0.2


@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent"])
def test_client_that_hangs_up_ends_the_trace(serve: Any, kind: str) -> None:
    server = serve(APP, *KINDS[kind])
    with send(server, "/flood") as connection:
        assert connection.recv(100_000)
        server.wait_until(lambda: family(server, "GET /flood"), what="the request is listed")
        assert (family(server, "GET /flood")["running"], in_flight(server)) == (1, 1)

    server.wait_until(lambda: not in_flight(server), what="the request ends")
    assert family(server, "GET /flood")["running"] == 0
    (trace,) = ended(server, "GET /flood")
    assert (trace["running"], trace["facts"]["status"]) == (False, "200")
    assert trace["facts"]["sent"] > 0


# -- what is in it ---------------------------------------------------------------------------------


def test_records_below_the_level_are_in_the_trace_and_not_in_the_log(serve: Any) -> None:
    server = serve(APP, "-w", "2")
    server.get("/logging")

    (trace,) = ended(server, "GET /logging")
    assert texts(trace)[1:3] == ["DEBUG shop: quiet", "WARNING shop: loud"]
    assert (server.log.count("logged loud"), server.log.count("logged quiet")) == (1, 0)


def test_caller_s_trace_id_is_sent_on_and_shown(serve: Any) -> None:
    server = serve(APP, "-w", "2")
    caller = "4bf92f3577b34da6a3ce929d0e0e4736"
    sent = {"traceparent": f"00-{caller}-00f067aa0ba902b7-01"}
    answer = server.get("/parent", headers=sent)
    id = unquote(answer.headers["X-Trace"])

    assert answer.text == f"00-{caller}-{id[-16:]}-01"
    page = server.get(
        f"/debug/traces?trace={answer.headers['X-Trace']}", headers={**TOKEN, "Accept": "text/html"}
    )
    assert (page.status, caller in page.text) == (200, True)
    found = seen(server, trace=id)["trace"]
    assert (found["traceparent"], found["facts"]["caller"]) == (answer.text, "00f067aa0ba902b7")


@pytest.mark.parametrize("kind", ["gthread", "gevent"])
def test_requests_at_the_same_time_have_their_own_traces(
    serve: Any, tmp_path: Path, kind: str
) -> None:
    server = serve(APP, "-w", "1", *KINDS[kind][2:])
    with ExitStack() as stack:
        sent = [stack.enter_context(send(server, f"/meet/{me}{tmp_path}")) for me in ("one", "two")]
        for connection in sent:
            assert b" 200 " in read(connection)

    traces = seen(server, fam="GET /meet/<me>/<path:folder>")["traces"]
    assert sorted(texts(trace)[1:3] for trace in traces) == [
        ["I am one", "still one"],
        ["I am two", "still two"],
    ]


@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent"])
def test_thread_of_a_pool_has_the_trace_that_it_is_handed(serve: Any, kind: str) -> None:
    server = serve(APP, *KINDS[kind])

    assert server.get("/pool").text == "<NoTrace>"
    (trace,) = ended(server, "GET /pool")
    assert "handed over" in texts(trace)


@pytest.mark.skipif(importlib.util.find_spec("asgiref") is None, reason="asgiref is missing")
@pytest.mark.parametrize("kind", ["sync", "gthread"])
def test_view_that_is_a_coroutine_has_the_trace_of_its_request(serve: Any, kind: str) -> None:
    server = serve(APP, *KINDS[kind])

    assert server.get("/nothing").text == "/nothing"
    (trace,) = ended(server, "GET /nothing")
    assert texts(trace) == ["matched", "in a task", "", "first byte", "done"]
    (child,) = ended(server, "of the task")
    assert child["parent"] == trace["id"]


# -- whose it is -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sync", "gthread"])
def test_child_that_a_view_forks_does_not_disturb_its_parent(
    serve: Any, tmp_path: Path, kind: str
) -> None:
    server = serve(APP, *KINDS[kind])
    go, name = tmp_path / "go", "GET /forked/<path:go>"
    with send(server, f"/forked{go}") as connection:
        server.wait_until(Path(f"{go}.child").exists, what="the child has done its work")
        server.wait_until(
            lambda: texts(seen(server, fam=name, b=-1)["traces"][0])[1:], what="the parent logs"
        )
        (trace,) = seen(server, fam=name)["traces"]
        assert texts(trace) == ["matched", "in the parent"]
        assert (family(server, name)["running"], in_flight(server)) == (1, 1)
        go.touch()
        assert b" 200 " in read(connection)

    (trace,) = ended(server, name)
    assert texts(trace) == ["matched", "in the parent", "first byte", "done"]
    assert (family(server, name)["running"], in_flight(server)) == (0, 0)
    assert family(server, ITEMS) is family(server, "of the child") is None


MOUNTED = """
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client
import flask_expvar as expvar
from flask_expvar import current_trace


def make(name, registry):
    app = Flask(name)
    app.config["EXPVAR_TOKEN"] = "a-token-of-the-tests-0123456789"
    expvar.Expvar(app, registry=registry)

    @app.get("/own")
    def own():
        current_trace().log("of %s", name)
        with expvar.trace("work", name):
            return current_trace().title

    @app.get("/other")
    def other():
        text = Client(two).get("/own", buffered=True).text
        current_trace().log("back in %s", name)
        return text

    return app


two = make("two", expvar.Registry("two"))
one = make("one", expvar.Registry("one"))
app = DispatcherMiddleware(one, {"/two": two})
"""


def test_applications_with_their_own_registries_never_mix(gunicorn: Start) -> None:
    server = gunicorn(MOUNTED, "-w", "2")

    def listed(mount: str) -> dict[str, list[list[str]]]:
        # A client has its answer a moment before the server closes the body.
        traces: list[Any] = []

        def all_ended() -> bool:
            answer = server.get(f"{mount}/debug/traces?slower=0", headers=TOKEN)
            assert answer.status == 200, answer.text
            traces[:] = answer.json()["traces"]
            return not any(trace["running"] for trace in traces)

        server.wait_until(all_ended, what="the traces end")
        found: dict[str, list[list[str]]] = {}
        for trace in traces:
            found.setdefault(f"{trace['family']} {trace['title']}", []).append(texts(trace))
        return found

    listed(""), listed("/two")
    assert server.get("/own").text == "one"
    assert server.get("/two/own").text == "two"
    assert server.get("/other").text == "two"

    ends = ["first byte", "done"]
    assert listed("") == {
        "GET /own /own": [["matched", "of one", "", *ends]],
        "GET /other /other": [["matched", "back in one", *ends]],
        "work one": [[]],
    }
    assert listed("/two") == {
        "GET /own /own": [["matched", "of two", "", *ends]] * 2,
        "work two": [[], []],
    }
