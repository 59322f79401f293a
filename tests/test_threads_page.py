"""``/debug/threads``: groups, single threads, two looks, and what each serves."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from servers import Gunicorn, wait_until

import flask_expvar as expvar
from flask_expvar.pages.threads_plain import (
    MOST_GROUPS,
    MOST_MEMBERS,
    TOLD_GROUPS,
    merge,
    short_path,
    told_of,
)
from flask_expvar.pages.threads_question import Question
from flask_expvar.pages.threads_table import html
from flask_expvar.pages.threads_text import text
from flask_expvar.stacks.seen import Native, Seen
from flask_expvar.stacks.threads import Look
from flask_expvar.stacks.walking import DEEPEST, Place
from flask_expvar.web.files import render

TOKEN = "a-token-of-the-tests-0123456789"
OPEN = {"Authorization": f"Bearer {TOKEN}"}
HTML = {**OPEN, "Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
HOSTILE = ["<script>alert(1)</script>", "\x1b[31mred", "\u202eevil", "\ud800 alone", "{{ 7*7 }}"]


@pytest.fixture
def client() -> Iterator[FlaskClient]:
    app = Flask("shop")
    app.config["EXPVAR_TOKEN"] = TOKEN
    expvar.Expvar(app, registry=expvar.Registry())

    @app.get("/nested")
    def nested() -> str:
        # The request that looks is itself running, seen from a client of its own thread.
        answers: list[str] = []

        def look() -> None:
            answers.append(app.test_client().get("/debug/threads.json", headers=OPEN).text)

        thread = threading.Thread(target=look)
        thread.start()
        thread.join(10)
        return answers[0]

    with app.test_client() as client:
        yield client


@pytest.fixture
def parked() -> Iterator[Callable[..., None]]:
    """Return ``parked(count)``: so many threads wait in two steps until the end of the test."""
    with ExitStack() as stack:

        def park(count: int) -> None:
            event = threading.Event()

            def step() -> None:
                event.wait()

            names = [f"parked-{number}" for number in range(count)]
            made = [threading.Thread(target=step, name=name, daemon=True) for name in names]
            for thread in made:
                thread.start()
                stack.callback(thread.join, 10)
            stack.callback(event.set)

        yield park


def page(client: FlaskClient, query: str = "", headers: dict[str, str] = OPEN) -> Any:
    answer = client.get(f"/debug/threads{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer


def members(data: Any) -> dict[str, Any]:
    return {each["name"]: each for group in data["groups"] for each in group["members"]}


def group_of(data: Any, name: str) -> Any:
    return next(g for g in data["groups"] if name in [each["name"] for each in g["members"]])


def seen(count: int = 1, *, name: str = "t", stack: tuple[Place, ...] = (), **more: Any) -> Any:
    place = stack or (Place("/srv/shop/app.py", 7, "work"), Place("/srv/shop/app.py", 3, "main"))
    return [
        Seen("thread", number + 1, f"{name}-{number}", place, native_id=100 + number,
             daemon=False, cpu=0.25, state="waiting", on="a lock", **more)
        for number in range(count)
    ]  # fmt: skip


def data_of(
    seen: list[Seen], before: list[Seen] | None = None, natives: tuple[Native, ...] = ()
) -> Any:
    answers = {7: json.loads(json.dumps(told_of(Look(seen, list(natives)), {})))}
    earlier = None if before is None else {7: told_of(Look(before, []), {})}
    return {
        **merge(answers, earlier),
        "seconds": 0.0 if before is None else 1.0,
        "workers": [7],
        "missing": [],
        "stuck": [],
    }


ONCE, EACH = Question(False, 0.0, {}), Question(True, 0.0, {})

GROUPS = """\
threads: 3 threads; workers 7
# 2 without Python: grpc cpu=1.500s

2 @ KEY
# 2 waiting for a lock
# t-0 worker=7 native=100 cpu=0.250s
# t-1 worker=7 native=101 cpu=0.250s
#\twork  shop/app.py:7
#\tmain  shop/app.py:3

1 @ KEY
# 1 running
# look worker=7 native=1 daemon (shows this page)
#\tlook  shop/app.py:9
"""
SINGLE = """\
threads: 2 threads; workers 7

thread t-0 worker=7 native=100 cpu=0.250s [waiting for a lock]:
work
\tshop/app.py:7
main
\tshop/app.py:3

thread t-1 worker=7 native=101 cpu=0.250s [waiting for a lock]:
work
\tshop/app.py:7
main
\tshop/app.py:3
"""


def without_keys(text: str) -> str:
    return re.sub("@ [0-9a-f]{12}", "@ KEY", text)


def test_equal_stacks_are_one_group_in_the_text() -> None:
    look = Seen("thread", 9, "look", (Place("/srv/shop/app.py", 9, "look"),), native_id=1,
                daemon=True, state="running", current=True)  # fmt: skip
    data = data_of([*seen(2), look], natives=(Native("grpc", 2, 1.5),))

    assert without_keys(text(data, ONCE)) == GROUPS


def test_each_thread_stands_by_itself_with_debug_2() -> None:
    assert text(data_of(seen(2)), EACH) == SINGLE


def test_what_did_not_move_is_marked() -> None:
    still, moved = seen(1, name="still"), seen(1, name="moved")
    moved[0].ident = 5
    elsewhere = seen(1, name="moved", stack=(Place("/srv/shop/app.py", 8, "work"),))
    elsewhere[0].ident, elsewhere[0].cpu = 5, 0.75
    new = seen(1, name="new")
    new[0].ident = 6
    found = members(data_of([*still, *elsewhere, *new], before=[*still, *moved]))

    assert (found["still-0"]["still"], found["still-0"]["busy"]) == (True, 0)
    assert (found["moved-0"]["still"], found["moved-0"]["busy"]) == (False, 0.5)
    assert (found["new-0"]["still"], found["new-0"]["busy"]) == (False, None)


def test_an_identifier_that_another_thread_has_now_is_not_still() -> None:
    found = members(data_of(seen(1, name="new"), before=seen(1, name="old")))

    assert found["new-0"]["still"] is False


def test_parked_threads_are_one_group(client: FlaskClient, parked: Callable[..., None]) -> None:
    parked(3)

    def group() -> Any:
        found = group_of(page(client, ".json").json, "parked-0")
        waiting = all(each["on"] == "a condition or event" for each in found["members"])
        return found if found["count"] == 3 and waiting else None

    found = wait_until(group, failure=lambda: "three wait")

    assert {each["name"] for each in found["members"]} == {"parked-0", "parked-1", "parked-2"}
    functions = [function.rpartition(".")[2] for _, _, function in found["stack"]]
    assert functions[:3] == ["wait", "wait", "step"]
    assert [file for file, _, _ in found["stack"]][:2] == ["threading.py", "threading.py"]
    assert found["kind"] == "thread"
    shown = page(client, headers=HTML).text
    assert "parked-2" in shown
    assert "waiting for a condition or event" in shown


def test_a_thread_is_led_to_the_trace_of_its_request(client: FlaskClient) -> None:
    data = json.loads(client.get("/nested").text)
    serving = [each for each in members(data).values() if each["request"]]
    (one,) = serving

    assert one["name"] == "MainThread"
    assert one["request"]["family"] == "GET /nested"
    assert one["request"]["seconds"] > 0
    shown = client.get(f"/debug/traces.json?trace={one['request']['id']}", headers=OPEN)
    assert shown.json["trace"]["family"] == "GET /nested"


def test_looking_is_no_request(client: FlaskClient) -> None:
    assert not any(each["request"] for each in members(page(client, ".json").json).values())


def test_two_looks_tell_what_did_not_move(client: FlaskClient, parked: Callable[..., None]) -> None:
    parked(1)
    took: list[float] = []
    while not took or (took[-1] >= 1.5 and len(took) < 10):  # the machine may be busy
        began = time.monotonic()
        data = page(client, ".json?seconds=0.1").json
        took.append(time.monotonic() - began)

    assert data["seconds"] == 0.1
    assert members(data)["parked-0"]["still"] is True
    assert 0.1 <= min(took) < 1.5
    assert members(page(client, ".json").json)["parked-0"]["still"] is None


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("?debug=0", "1, 2"),
        ("?debug=3", "1, 2"),
        ("?debug=x", "1, 2"),
        ("?seconds=1.1", "at most 1"),
        ("?seconds=-1", "seconds such as"),
        ("?seconds=nan", "seconds such as"),
        ("?worker=x", "a whole number"),
    ],
)
@pytest.mark.parametrize("form", ["", ".json"])
def test_a_wrong_parameter_is_named(client: FlaskClient, query: str, says: str, form: str) -> None:
    answer = client.get(f"/debug/threads{form}{query}", headers=OPEN)

    assert answer.status_code == 400
    assert query[1:].partition("=")[0] in answer.text
    assert says in answer.text


def test_the_machine_form_is_text_and_the_twin_json(client: FlaskClient) -> None:
    plain, twin, shown = page(client), page(client, ".json"), page(client, headers=HTML)

    assert plain.content_type == "text/plain; charset=utf-8"
    assert plain.text.startswith("threads: ")
    assert twin.content_type.startswith("application/json")
    assert shown.content_type.startswith("text/html")
    assert "(shows this page)" in plain.text


def test_locals_are_on_no_page(client: FlaskClient) -> None:
    hidden_local = "value-of-a-local-variable"
    for answer in (
        page(client), page(client, "?debug=2"), page(client, ".json"), page(client, headers=HTML)
    ):  # fmt: skip
        assert hidden_local not in answer.text


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_names_stay_in_their_cells(hostile: str) -> None:
    data = data_of(seen(2, name=hostile, stack=(Place(f"/srv/{hostile}.py", 1, hostile),) * 5))
    shown = render("threads", data=html(data, ONCE), frame={})
    plain = text(data, ONCE) + text(data, EACH)

    assert "<script>alert" not in shown
    for out in (shown, plain):
        assert not re.search("[\x1b\u202e\ud800]", out)
    json.dumps(data).encode()


def test_secrets_in_names_of_threads_are_hidden() -> None:
    data = data_of(seen(1, name="for https://user:pa55word@example.com/"))

    assert "pa55word" not in text(data, ONCE) + json.dumps(data)


def test_the_number_of_a_thread_without_name_is_no_secret() -> None:
    (one,) = seen(1)
    one.name = "Thread-0x7f18bfd916c0"  # changes between letters and digits as tokens do
    data = data_of([one])

    assert one.name in text(data, ONCE)
    assert one.name in members(data)


@pytest.mark.parametrize("alike", [True, False])
def test_ten_thousand_threads_are_groups_of_bounded_size(alike: bool) -> None:
    many = [
        Seen("thread", number, f"n-{number}", tuple(
            Place(f"/srv/shop/{'x' * 80}/module.py", 1 if alike else number + depth, "f" * 60)
            for depth in range(20)
        ))
        for number in range(10_000)
    ]  # fmt: skip
    began = time.thread_time()
    told = told_of(Look(many, []), {})
    data = {**data_of([]), **merge({7: told, 8: told})}
    shown = [render("threads", data=html(data, ONCE), frame={}), text(data, ONCE),
             text(data, EACH), json.dumps(data)]  # fmt: skip

    assert time.thread_time() - began < 2
    assert max(map(len, shown)) < 2**21
    assert len(json.dumps(told)) < 2**21
    assert data["showing"] <= MOST_GROUPS
    assert sum(len(group["members"]) for group in told["groups"]) <= MOST_MEMBERS
    assert len(told["groups"]) <= TOLD_GROUPS
    assert data["total"]["thread"] == 20_000
    if alike:
        assert data["groups"][0]["count"] == 20_000
        assert (data["showing"], data["of"]) == (1, 1)
    else:
        assert data["of"] >= 10_000
        assert "showing " in shown[1]


def test_what_is_cut_of_a_deep_stack_is_told() -> None:
    stack = tuple(Place("/srv/app.py", line, "f") for line in range(DEEPEST))

    assert "140 more and what called them" in text(data_of(seen(1, stack=stack)), ONCE)
    assert "… 30 more\n" in text(data_of(seen(1, stack=stack[:90])), ONCE)


def test_a_deadlock_is_named() -> None:
    both = seen(2)
    both[0].holder, both[1].holder = 2, 1
    data = {**data_of([]), **merge({7: told_of(Look(both, [], circles=[[1, 2]]), {})})}
    sentence = "t-0 waits for a lock that t-1 has, t-1 waits for a lock that t-0 has"
    shown = render("threads", data=html(data, ONCE), frame={})

    assert data["deadlocks"] == [{"worker": 7, "threads": ["t-0", "t-1"]}]
    assert members(data)["t-0"]["holder"] == "t-1"
    assert f"# DEADLOCK in worker 7: {sentence}\n" in text(data, ONCE)
    assert "lock-held-by=t-1" in text(data, EACH)
    assert "Deadlock in worker 7" in shown
    assert sentence in shown


def test_what_is_missing_is_told() -> None:
    data = {**data_of([]), **merge({7: told_of(Look([], [], notes=["Less."]), {})})}

    assert "# Less. (worker 7)\n" in text(data, ONCE)
    assert "Less. (worker 7)" in render("threads", data=html(data, ONCE), frame={})


def test_paths_are_those_of_imports() -> None:
    assert short_path(threading.__file__) == "threading.py"
    assert short_path("/nowhere/shop/app.py") == "shop/app.py"
    assert short_path("<string>") == "<string>"


APP = f"""
import os, re, threading, time
from flask import Flask
import flask_expvar as expvar

app = Flask("shop")
app.config["EXPVAR_TOKEN"] = "{TOKEN}"
app.register_blueprint(expvar.blueprint())
app.wsgi_app = expvar.ExpvarMiddleware(app.wsgi_app)


@app.get("/pid")
def pid():
    return str(os.getpid())


@app.get("/sleep")
def sleep():
    print("sleeps in", os.getpid())
    time.sleep(3600)


@app.get("/hold")
def hold_the_gil():
    print("holds in", os.getpid())
    re.match("(a+)+$", "a" * 60 + "b")
"""

# Whoever sleeps or holds the interpreter is not waited for at the end.
SOON = ("--graceful-timeout", "1")

KINDS = {
    "sync": (),
    "gthread": ("-k", "gthread", "--threads", "3"),
    "gevent": ("-k", "gevent"),
    "preload": ("--preload",),
}


def everyone(data: Any) -> list[Any]:
    return [each for group in data["groups"] for each in group["members"]]


def together(server: Gunicorn) -> Gunicorn:
    """Return *server* when its workers know each other."""
    count = len(server.worker_pids())
    server.wait_until(
        lambda: len(server.get("/debug/.json", headers=OPEN).json()["workers"]) == count,
        what="the workers know each other",
    )
    return server


@pytest.mark.parametrize("kind", ["sync", "gthread", "preload"])
def test_every_worker_tells_of_its_threads_and_requests(
    gunicorn: Callable[..., Gunicorn], kind: str
) -> None:
    server = together(gunicorn(APP, "-w", "2", "--timeout", "100", *SOON, *KINDS[kind]))
    with server.connect() as busy:
        busy.sendall(b"GET /sleep HTTP/1.1\r\nHost: tiny\r\n\r\n")
        pid = int(server.wait_for_log(r"sleeps in (\d+)$")[1])
        data = server.get("/debug/threads.json", headers=OPEN).json()
        (one,) = [each for each in everyone(data) if each["request"]]
        plain = server.get("/debug/threads", headers=OPEN).text
        workers = server.worker_pids()
        server.kill_worker(pid)  # it would be waited for

    assert sorted(data["workers"]) == workers
    assert (one["worker"], one["request"]["family"]) == (pid, "GET /sleep")
    assert (one["state"], one["letter"]) == ("waiting", "S")
    assert one["cpu"] is not None
    (group,) = [group for group in data["groups"] if one in group["members"]]
    assert group["stack"][0][2] == "sleep"
    assert "request='GET /sleep'" in plain


def test_a_greenlet_is_led_to_its_request(gunicorn: Callable[..., Gunicorn]) -> None:
    server = together(gunicorn(APP, "-w", "2", "--timeout", "100", *SOON, *KINDS["gevent"]))
    with server.connect() as busy:
        busy.sendall(b"GET /sleep HTTP/1.1\r\nHost: tiny\r\n\r\n")
        pid = int(server.wait_for_log(r"sleeps in (\d+)$")[1])
        data = server.get("/debug/threads.json", headers=OPEN).json()
        shown = server.get("/debug/threads", headers=HTML).text
        server.kill_worker(pid)

    (one,) = [each for each in everyone(data) if each["request"]]
    assert (one["worker"], one["request"]["family"]) == (pid, "GET /sleep")
    (group,) = [group for group in data["groups"] if one in group["members"]]
    assert group["kind"] == "greenlet"
    assert "sleep" in [function for _, _, function in group["stack"]]
    assert one["on"] == "the time (sleep)"
    assert data["total"]["greenlet"] > 0
    mains = [each["native"] for each in everyone(data) if each["name"] == "MainThread"]
    assert set(data["workers"]) <= set(mains)
    assert "greenlet" in shown


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_whose_interpreter_is_held_shows_its_stack(
    gunicorn: Callable[..., Gunicorn], kind: str
) -> None:
    server = together(gunicorn(APP, "-w", "2", "--timeout", "100", *SOON, *KINDS[kind]))
    # In each worker: it prepares at its first request.
    server.wait_until(lambda: len({server.get("/pid").text for _ in range(9)}) == 2, what="two")
    with server.connect() as busy:
        busy.sendall(b"GET /hold HTTP/1.1\r\nHost: tiny\r\n\r\n")
        pid = int(server.wait_for_log(r"holds in (\d+)$")[1])
        data: dict[str, Any] = {}

        def only_it_is_missing_soon() -> bool:
            # On a busy machine the other one may have no turn within the second that it gets.
            nonlocal data
            began = time.monotonic()
            data = server.get("/debug/threads.json", headers=OPEN).json()
            return data["missing"] == [pid] and time.monotonic() - began < 3

        server.wait_until(only_it_is_missing_soon, what="the other one answers")
        shown = server.get("/debug/threads", headers=HTML).text
        plain = server.get("/debug/threads", headers=OPEN).text
        workers = server.worker_pids()
        server.kill_worker(pid)

    assert {each["worker"] for each in everyone(data)} == set(workers) - {pid}
    (stopped,) = data["stuck"]
    assert stopped["pid"] == pid
    assert "main thread only" in stopped["note"]
    assert stopped["stack"].startswith("Stack (most recent call first):\n")
    where = "hold_the_gil" if kind != "gthread" else "gunicorn/workers/gthread.py"
    for out in (stopped["stack"], shown, plain):
        assert where in out
    assert f"worker {pid} does not answer" in plain
    assert pid in workers
