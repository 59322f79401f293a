"""What real workers leave when they die: the request, the time, and the stacks."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from servers import Gunicorn

Start = Callable[..., Gunicorn]

#: Notes its requests as the middleware does, and has ways to die in them.
TINY = """
import ctypes, faulthandler, json, os, time
from dataclasses import asdict
from flask_expvar import Registry
from flask_expvar.web.joining import join_alone
from flask_expvar.workers.membership import membership

registry = Registry("tiny")
join_alone(registry)
sharing = membership(registry)


def sleep():
    time.sleep(3600)


def spin():
    while True:
        pass


def hold():
    # In C, and without giving the GIL back.
    ctypes.PyDLL(None).sleep(3600)


def segfault():
    ctypes.string_at(0)


def fork_and_segfault():
    child = os.fork()
    if child == 0:
        print("child has faulthandler:", faulthandler.is_enabled())
        segfault()
    os.waitpid(child, 0)


def fork_and_return():
    if os.fork():
        os.wait()
        print("child has ended")
        sleep()
    return "child"


def graves():
    return json.dumps([asdict(grave) for grave in sharing.graves()])


def pid():
    return str(os.getpid())


def files():
    return json.dumps(sorted(os.listdir(sharing.member.place.path)))


def notes():
    return json.dumps([sharing.note, sharing.stacks_note])


def app(environ, start_response):
    path = environ["PATH_INFO"]
    sharing.prepare()
    flights = sharing.flights
    index = flights.begin(time.time_ns(), 77, flights.text(sharing.key, b"GET"))
    flights.words[index] = flights.text(sharing.key, b"GET " + path.encode())
    print("request", path, "in", os.getpid())
    try:
        body = globals()[path[1:]]() or "done"
    except Exception:
        flights.end(index)
        raise
    except BaseException:
        flights.keep(index)
        raise
    flights.end(index)
    if body == "child":
        os._exit(0)
    start_response("200 OK", [])
    return [body.encode()]
"""

#: A way to block a worker of each kind so that its arbiter notices.
TIMEOUTS = {
    "sync": ("sleep",),
    "gthread": ("hold", "-k", "gthread", "--threads", "2"),
    "gevent": ("spin", "-k", "gevent"),
    "preload": ("sleep", "--preload"),
    "gthread-preload": ("hold", "-k", "gthread", "--threads", "2", "--preload"),
    "gevent-preload": ("spin", "-k", "gevent", "--preload"),
}


@contextmanager
def asked(server: Gunicorn, view: str) -> Iterator[int]:
    """Have *view* run without waiting for its end, and yield the worker that does it."""
    since = len(server.log)
    with server.connect() as connection:
        connection.sendall(f"GET /{view} HTTP/1.1\r\nHost: tiny\r\n\r\n".encode())
        yield int(server.wait_for_log(rf"request /{view} in (\d+)$", since=since)[1])


def graves(server: Gunicorn) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.get("/graves").json()
    return found


def the_grave(server: Gunicorn) -> dict[str, Any]:
    """Return the only grave, as soon as there is one and both workers live."""
    server.wait_until(lambda: graves(server), what="a grave")
    server.wait_until(lambda: len(server.worker_pids()) == 2, what="two workers")
    (found,) = graves(server)
    return found


@pytest.mark.parametrize("kind", TIMEOUTS)
def test_a_timeout_leaves_the_request_and_the_line_that_blocked(gunicorn: Start, kind: str) -> None:
    view, *options = TIMEOUTS[kind]
    server = gunicorn(TINY, "-w", "2", "--timeout", "5", *options)
    began = time.time_ns()
    with asked(server, view) as dead:
        server.wait_for_log(rf"WORKER TIMEOUT \(pid:{dead}\)")
        grave = the_grave(server)
    (request,) = grave["requests"]

    assert (grave["pid"], grave["cause"], grave["exact"]) == (dead, "SIGABRT", True)
    assert (request["text"], request["number"]) == (f"GET /{view}", 77)
    assert began <= request["began_ns"] < grave["died_ns"] < time.time_ns()
    assert grave["died_ns"] - request["began_ns"] > 10**9
    assert f"in {view}\n" in grave["stack"]
    # SystemExit went through the request wherever Python code could still run.
    assert bool(request["ended_ns"]) == ("hold" not in view)


@pytest.mark.parametrize("options", [(), ("-k", "gthread", "--threads", "2"), ("-k", "gevent")])
def test_a_killed_worker_leaves_its_request(gunicorn: Start, options: tuple[str, ...]) -> None:
    server = gunicorn(TINY, "-w", "2", *options)
    with asked(server, "sleep") as dead:
        server.kill_worker(dead)
        grave = the_grave(server)
    (request,) = grave["requests"]

    assert (grave["pid"], grave["exact"], grave["cause"], grave["stack"]) == (dead, False, "", "")
    assert (request["text"], request["ended_ns"]) == ("GET /sleep", 0)
    assert request["began_ns"] < grave["died_ns"] < time.time_ns()


@pytest.mark.parametrize("options", [(), ("-k", "gthread", "--threads", "2"), ("--preload",)])
def test_a_crash_leaves_its_request_and_its_stack(
    gunicorn: Start, options: tuple[str, ...]
) -> None:
    server = gunicorn(TINY, "-w", "2", *options)
    with asked(server, "segfault") as dead:
        grave = the_grave(server)

    assert (grave["pid"], grave["exact"], grave["cause"]) == (dead, True, "SIGSEGV")
    assert [each["text"] for each in grave["requests"]] == ["GET /segfault"]
    assert "in segfault\n" in grave["stack"]


@pytest.mark.parametrize("kind", TIMEOUTS)
def test_workers_that_end_in_good_order_have_no_graves(gunicorn: Start, kind: str) -> None:
    server = gunicorn(TINY, "-w", "2", *TIMEOUTS[kind][1:])
    before = set(server.worker_pids())
    for _ in range(10):
        server.get("/pid")
    server.signal(signal.SIGHUP)
    server.wait_until(lambda: not before & set(server.worker_pids()), what="other workers")
    one = int(server.get("/pid").text)
    os.kill(one, signal.SIGTERM)
    server.wait_until(lambda: one not in server.worker_pids(), what="it ends")
    server.wait_until(lambda: len(server.worker_pids()) == 2, what="two workers")

    assert graves(server) == []


def test_a_forked_child_that_crashes_leaves_its_parent_alone(gunicorn: Start) -> None:
    server = gunicorn(TINY, "-w", "2")
    for _ in range(4):
        assert server.get("/fork_and_segfault").text == "done"
    assert server.log.count("child has faulthandler: False") == 4
    for pid in server.worker_pids():
        server.kill_worker(pid)
    server.wait_until(lambda: len(server.worker_pids()) == 2, what="two workers")

    assert graves(server) == []


def test_a_forked_child_ends_no_request_of_its_parent(gunicorn: Start) -> None:
    server = gunicorn(TINY, "-w", "2")
    with asked(server, "fork_and_return") as dead:
        server.wait_for_log("child has ended")
        server.kill_worker(dead)
        grave = the_grave(server)

    assert (grave["pid"], len(grave["requests"])) == (dead, 1)


def test_restarts_leave_no_more_files(gunicorn: Start) -> None:
    server = gunicorn(TINY, "-w", "2")
    names = []
    for _ in range(4):
        with asked(server, "sleep") as dead:
            server.kill_worker(dead)
            server.wait_until(lambda: len(server.worker_pids()) == 2, what="two workers")
            for _ in range(6):
                server.get("/graves")
            names.append(server.get("/files").json())

    assert len(graves(server)) == 4
    assert {name.partition("-")[0] for name in names[-1]} == {
        "flight", "graves.json", "lock", "slot", "socket", "stack", "standstill",
    }  # fmt: skip
    assert len(names[-1]) <= 12


def test_a_program_that_has_faulthandler_keeps_it(gunicorn: Start) -> None:
    server = gunicorn(TINY, "-w", "2", env={"PYTHONFAULTHANDLER": "1"})
    with asked(server, "segfault"):
        server.wait_for_log("Fatal Python error: Segmentation fault")
        grave = the_grave(server)
    note, stacks_note = server.get("/notes").json()

    assert (grave["exact"], grave["stack"]) == (False, "")
    assert note == ""
    assert stacks_note.startswith("The stacks of workers that die are not kept here")


def test_a_timeout_leaves_its_request_without_a_stack_too(gunicorn: Start) -> None:
    server = gunicorn(TINY, "-w", "2", "--timeout", "5", env={"PYTHONFAULTHANDLER": "1"})
    with asked(server, "sleep") as dead:
        grave = the_grave(server)
    (request,) = grave["requests"]

    assert (grave["pid"], grave["exact"], grave["stack"]) == (dead, False, "")
    assert request["text"] == "GET /sleep"
    assert request["began_ns"] < request["ended_ns"] < grave["died_ns"]
