"""Counters that stay true: real gunicorns, workers that die, and what a client got."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from apps import SHOP, TOKEN
from servers import Gunicorn, running

ELSEWHERE = os.environ.get("CI") == "true" and sys.version_info < (3, 13)
Start = Callable[..., Gunicorn]
#: What a client may meet when a worker is killed.
CUT = (OSError, http.client.HTTPException)
KINDS = {
    "sync": ("-w", "3"),
    "gthread": ("-w", "3", "-k", "gthread", "--threads", "4"),
    "gevent": ("-w", "3", "-k", "gevent"),
    "preload": ("-w", "3", "--preload"),
    "gevent-preload": ("-w", "3", "-k", "gevent", "--preload"),
}


def variables(server: Gunicorn, query: str = "") -> Any:
    answer = server.get(f"/debug/vars{query}", headers=TOKEN)
    assert answer.status == 200, answer.text
    return answer.json()


def all_there(server: Gunicorn) -> bool:
    """Say whether each worker has loaded the application and joined the others."""
    found, pids = variables(server), server.worker_pids()
    # The last line of the application's module publishes this.
    return sorted(map(int, found["workers"])) == sorted(pids) and found["shop/pid"] == sum(pids)


def in_flight(server: Gunicorn) -> int:
    flying: int = variables(server)["http/requestsInFlight"]
    return flying


def codes(server: Gunicorn) -> dict[str, int]:
    found: dict[str, int] = variables(server)["http/responseCodeCount"]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_worker_tells_the_figures_of_all(gunicorn: Start, kind: str) -> None:
    server = gunicorn(SHOP, *KINDS[kind])
    server.wait_until(lambda: all_there(server), what="all workers join")
    for _ in range(60):
        assert server.get("/").status == 200
    server.get("/fail")

    # A client has its answer a moment before the server closes the body.
    server.wait_until(lambda: in_flight(server) == 0, what="the last request ends")
    answers = [server.get("/debug/vars", headers=TOKEN) for _ in range(20)]

    for answer in answers:
        read = answer.json()
        assert read["shop/orders"] == 60
        assert read["shop/orderStatus"] == {"paid": 60}
        assert read["http/responseCodeCount"] == {"200": 60, "500": 1}
        assert read["http/exceptionCount"] == {"ValueError": 1}
        assert read["http/requestsInFlight"] == 0
        assert read["shop/where"] == "here"
        assert sorted(map(int, read["workers"])) == sorted(server.worker_pids())
        # What is asked of the others depends on their having a turn within a second.
        late = map(int, (answer.headers["X-Expvar-Missing"] or "").split())
        assert read["shop/pid"] == sum(server.worker_pids()) - sum(late)


@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent", "preload", "gevent-preload"])
def test_totals_cover_what_clients_got_while_workers_are_killed(gunicorn: Start, kind: str) -> None:
    # Up to a minute each on a busy machine: an older Python takes two of five.
    if ELSEWHERE and kind not in ("sync", "gevent-preload"):
        pytest.skip("in CI the newest Python does it")
    server = gunicorn(SHOP, *KINDS[kind], "--max-requests", "150")
    got, done = [0] * 4, threading.Event()

    def client(number: int) -> None:
        for _ in range(2000):
            with contextlib.suppress(*CUT):  # killed with the request in its hands
                got[number] += server.get("/").status == 200
            if got[number] >= 400:
                return

    clients = [threading.Thread(target=client, args=(n,)) for n in range(len(got))]
    for thread in clients:
        thread.start()
    killer = threading.Thread(target=kill_at_random, args=(server, done))
    killer.start()
    falls, last = [], 0
    while any(thread.is_alive() for thread in clients):
        with contextlib.suppress(*CUT):
            now = codes(server).get("200", 0)
            if now < last:
                falls.append((last, now))
            last = now
    done.set()
    for thread in [*clients, killer]:
        thread.join()

    assert falls == []
    assert got == [400] * 4
    reads: list[dict[str, int]] = []

    def has_read_twenty_times() -> bool:
        with contextlib.suppress(*CUT):  # one has answered its last request and goes
            reads.append(codes(server))
        return len(reads) == 20

    server.wait_until(lambda: len(server.worker_pids()) == 3, what="three workers")
    server.wait_until(has_read_twenty_times, what="twenty reads")
    assert reads[0]["200"] >= sum(got)
    assert len(set(map(str, reads))) == 1
    server.wait_until(lambda: in_flight(server) == 0, what="the last request ends")
    assert "SIGKILL" in server.log


def kill_at_random(server: Gunicorn, done: threading.Event) -> None:
    chance = random.Random(7)
    for _ in range(12):
        if done.wait(0.7):  # long enough for a new worker to come up and serve
            return
        pids = server.worker_pids()
        if pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(pids), signal.SIGKILL)


@pytest.mark.parametrize("how", [signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU])
def test_totals_outlive_a_signal_to_the_arbiter(gunicorn: Start, how: signal.Signals) -> None:
    server = gunicorn(SHOP, "-w", "3")
    for _ in range(30):
        server.get("/")
    before = set(server.worker_pids())
    server.signal(how)
    server.wait_until(lambda: set(server.worker_pids()) != before, what="other workers")
    server.get("/")

    assert variables(server)["shop/orders"] == 31
    server.wait_until(lambda: all_there(server), what="all workers join")


def test_a_worker_timeout_loses_nothing(gunicorn: Start) -> None:
    server = gunicorn(SHOP, "-w", "2", "--timeout", "5")
    server.get("/")
    with server.connect() as stuck:
        stuck.sendall(b"GET /slow HTTP/1.1\r\nHost: shop\r\n\r\n")
        server.wait_until(lambda: in_flight(server) == 1, what="it to hang")
        server.wait_for_log("WORKER TIMEOUT")
    server.wait_until(lambda: in_flight(server) == 0, what="it to be gone")

    assert variables(server)["shop/orders"] == 1


def test_two_gunicorns_never_mix(gunicorn: Start) -> None:
    one, other = gunicorn(SHOP, "-w", "2"), gunicorn(SHOP, "-w", "2")
    one.get("/")

    assert variables(one)["shop/orders"] == 1
    assert variables(other)["shop/orders"] == 0


def test_usr2_goes_on_counting_where_the_old_arbiter_was(gunicorn: Start) -> None:
    server = gunicorn(SHOP, "-w", "2")
    for _ in range(10):
        server.get("/")
    old = server.arbiter_pid
    mark = len(server.log)
    server.signal(signal.SIGUSR2)
    server.wait_for_log("Listening at", since=mark)
    server.wait_until(lambda: server.log[mark:].count("Booting worker") >= 2, what="new workers")
    server.signal(signal.SIGTERM)
    server.wait_until(lambda: not running(old), what="the old arbiter to go")

    assert variables(server)["shop/orders"] == 10


def test_a_forked_child_that_never_execs_is_counted(gunicorn: Start) -> None:
    server = gunicorn(SHOP, "-w", "2")
    for _ in range(5):
        assert server.get("/fork").text == "forked"

    assert variables(server)["shop/orders"] == 5


def test_one_worker_tells_its_own_share(gunicorn: Start) -> None:
    server = gunicorn(SHOP, "-w", "3")
    server.wait_until(lambda: all_there(server), what="all workers join")
    for _ in range(50):
        server.get("/")
    shares = [variables(server, f"?worker={pid}") for pid in server.worker_pids()]

    assert sum(share["shop/orders"] for share in shares) == 50
    assert {share["process"]["pid"] for share in shares} == set(server.worker_pids())
    assert server.get("/debug/vars?worker=1", headers=TOKEN).status == 404


def test_the_share_of_a_worker_leaves_out_its_predecessor(gunicorn: Start) -> None:
    server = gunicorn(SHOP, "-w", "1")
    for _ in range(5):
        server.get("/")
    (dead,) = server.worker_pids()
    server.kill_worker(dead)
    server.wait_until(lambda: [p for p in server.worker_pids() if p != dead], what="a new worker")
    server.get("/")
    (pid,) = server.worker_pids()

    assert variables(server)["shop/orders"] == 6
    assert variables(server, f"?worker={pid}")["shop/orders"] == 1


def test_a_busy_worker_answers_the_others(gunicorn: Start) -> None:
    server = gunicorn(SHOP, "-w", "2", "--graceful-timeout", "1")
    with server.connect() as busy:
        busy.sendall(b"GET /slow HTTP/1.1\r\nHost: shop\r\n\r\n")
        server.wait_until(lambda: in_flight(server) == 1, what="it to hang")
        read = server.get("/debug/vars", headers=TOKEN)

    assert read.json()["shop/pid"] == sum(server.worker_pids())
    assert "X-Expvar-Missing" not in read.headers


def test_a_stopped_worker_is_named_and_waited_for_one_second(gunicorn: Start) -> None:
    server = gunicorn(SHOP, "-w", "2", "--timeout", "0")
    halted = int(server.get("/pid").text)
    os.kill(halted, signal.SIGSTOP)
    try:
        began = time.monotonic()
        read = server.get("/debug/vars", headers=TOKEN)
        took = time.monotonic() - began
    finally:
        os.kill(halted, signal.SIGCONT)

    assert read.headers["X-Expvar-Missing"] == str(halted)
    assert took < 10


def test_a_daemon_finds_its_folder_too(gunicorn: Start) -> None:
    server = gunicorn(SHOP, "-w", "2", "--daemon")
    server.wait_until(lambda: all_there(server), what="all workers join")
    for _ in range(10):
        server.get("/")

    assert variables(server)["shop/orders"] == 10


def test_totals_outlive_a_reload_of_the_code(gunicorn: Start) -> None:
    server = gunicorn(SHOP, "-w", "2", "--reload")
    for _ in range(10):
        server.get("/")
    before = set(server.worker_pids())
    source = server.folder / "app.py"
    source.write_text(source.read_text() + "\nexpvar.new_int('shop/new').add(1)\n")
    # At least one: a worker whose reloader looks for the first time just now sees no change.
    server.wait_until(lambda: set(server.worker_pids()) - before, what="a new worker")
    server.wait_until(lambda: "shop/new" in variables(server), what="it has the new code")

    assert variables(server)["shop/orders"] == 10


TEXTS = """
texts = expvar.new_map("shop/texts")

@app.get("/<verb>/<int:other>")
def change(verb, other):
    if os.getpid() == other:
        return "not me", 409
    if verb == "set":
        texts.set("text", "set by another")
    elif verb == "delete":
        texts.delete("text")
    else:
        texts.new_string("text")
    return str(os.getpid())
"""


def test_a_text_is_deleted_by_a_worker_that_never_had_it(gunicorn: Start) -> None:
    server = gunicorn(SHOP + TEXTS, "-w", "2")

    def ask(verb: str, other: int = 0) -> int:
        """Let any worker but *other* do it, and return who did."""
        path = f"/{verb}/{other}"
        answer = server.wait_until(
            lambda: answer if (answer := server.get(path)).status == 200 else None, what=path
        )
        assert answer is not None
        return int(answer.text)

    def shown() -> list[Any]:
        return [variables(server)["shop/texts"] for _ in range(10)]

    setter = ask("set")
    assert shown() == [{"text": "set by another"}] * 10
    deleter = ask("delete", setter)
    assert shown() == [{}] * 10
    assert ask("declare", setter) == deleter
    assert shown() == [{"text": ""}] * 10
    assert ask("set", deleter) == setter
    assert shown() == [{"text": "set by another"}] * 10


TWO_APPS = """
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware
import flask_expvar as expvar


def make(name):
    registry = expvar.Registry()
    app = Flask(name)
    app.config["EXPVAR_TOKEN"] = "a-token-of-the-tests-0123456789"
    expvar.Expvar(app, registry=registry)
    hits = registry.new_int("hits")
    app.add_url_rule("/", view_func=lambda: hits.add(1) or "ok")
    return app


one, other = make("one"), make("other")
app = DispatcherMiddleware(one, {"/other": other})
"""


def test_two_apps_in_each_worker_never_mix(gunicorn: Start) -> None:
    server = gunicorn(TWO_APPS, "-w", "2")
    for _ in range(6):
        server.get("/")
    for _ in range(4):
        server.get("/other/")

    for _ in range(6):
        assert server.get("/debug/vars", headers=TOKEN).json()["hits"] == 6
        found = server.get("/other/debug/vars", headers=TOKEN).json()
        assert found["hits"] == 4
        assert found["http/responseCodeCount"] == {"200": 4}
