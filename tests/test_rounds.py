"""Profiles of all workers of a real server."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import work
from servers import Gunicorn

HERE = Path(__file__).parent
APP = f"import sys; sys.path.insert(0, {str(HERE)!r})\nfrom apps_profiled import app\n"
OPEN = {"Authorization": "Bearer a-token-of-the-tests-0123456789"}
Start = Callable[..., Gunicorn]


LONG = b"GET /take?seconds=60&mode=wall HTTP/1.1\r\nHost: localhost\r\n\r\n"


def running(server: Gunicorn) -> list[Any]:
    """Return the profiles that both workers are taking."""
    found = server.get("/known").json()
    return [each for each in found if len(each["workers"]) == 2 and not each["done"]]


def together(server: Gunicorn, count: int) -> Gunicorn:
    """Return *server* when its workers have loaded the application and know each other."""
    server.wait_until(lambda: server.get("/workers").text == str(count))
    return server


@contextmanager
def load(server: Gunicorn, clients: int = 3) -> Iterator[None]:
    """Let *clients* ask for work all the time."""
    end = threading.Event()

    def ask() -> None:
        while not end.is_set():
            server.get("/work")

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        end.set()
        for thread in threads:
            thread.join()


def taken(server: Gunicorn, path: str) -> Any:
    """Return what the first of some profiles says; the work in all of them has its true shares."""
    answers: list[Any] = []

    def take() -> dict[str, float]:
        answer = server.get(path)
        assert answer.status == 200, answer.text
        answers.append(answer.json())
        spent = Counter[str]()
        for profile in answers[-1]["of"].values():
            spent.update(profile["work"])
        return spent  # type: ignore[return-value]  # counters count anything

    with load(server):
        shares = work.shares_in_all(take)
    assert work.are_true(shares), (shares, answers)
    return answers[0]


def test_sync_workers_are_profiled_by_the_one_that_asks(gunicorn: Start) -> None:
    server = together(gunicorn(APP, "-w", "2", "--timeout", "12"), 2)

    found = taken(server, "/take?seconds=1.2&mode=cpu")

    (profile,) = found["of"].values()
    assert found["missing"] == [found["by"]]
    assert profile["engine"] == "signal"
    assert "GET /work" in profile["routes"]

    # Below the timeout, or in the background.
    refused = server.get("/take?seconds=60&mode=cpu")
    assert refused.status == 400
    assert "at most 10 seconds; gunicorn kills a sync worker after 12 s" in refused.text
    assert "in the background" in refused.text
    id = server.get("/begin?seconds=0.5&mode=wall").text
    assert id in {each["id"] for each in server.get("/known").json()}

    def all_done() -> Any:
        fetched = server.get(f"/fetch?id={id}").json()
        return fetched if not fetched["left"] else None

    fetched = server.wait_until(all_done)
    assert sorted(map(int, fetched["of"])) == server.worker_pids()


def test_lonely_sync_worker_is_profiled_in_the_background(gunicorn: Start) -> None:
    server = gunicorn(APP, "-w", "1")

    refused = server.get("/take?seconds=1&mode=cpu")
    id = server.get("/begin?seconds=60&mode=cpu").text
    server.get("/work")
    busy = server.get("/known").json()

    assert refused.status == 501
    assert "Let the profile be taken in the background" in refused.text
    assert [each["id"] for each in busy] == [id]
    assert not busy[0]["done"]


def test_threads_are_profiled_together_and_once(gunicorn: Start) -> None:
    server = together(gunicorn(APP, "-w", "2", "--threads", "4", "--timeout", "5"), 2)

    # Longer than gunicorn lets a worker be silent.
    found = taken(server, "/take?seconds=5.2&mode=cpu&engine=threads")

    assert sorted(map(int, found["of"])) == server.worker_pids(), found
    assert found["missing"] == []
    assert any("GET /work" in each["routes"] for each in found["of"].values())

    # One at a time, and a client that hangs up ends it everywhere.
    asking = server.connect()
    asking.sendall(LONG)
    (taking,) = server.wait_until(lambda: running(server))
    second = server.get("/take?seconds=1&mode=wall")
    asking.close()
    server.wait_until(lambda: not running(server))

    assert second.status == 409
    assert "is being profiled already" in second.text
    assert sorted(taking["workers"]) == server.worker_pids()

    requests_of_threads_are_watched_each_by_itself(server)

    # So does a server that stops.
    with server.connect() as asking:
        asking.sendall(LONG)
        server.wait_until(lambda: running(server))
        server.signal(signal.SIGTERM)
        assert asking.recv(12) == b"HTTP/1.1 200"


def requests_of_threads_are_watched_each_by_itself(server: Gunicorn) -> None:
    """Arm both workers over HTTP, and go from the trace of a request to its profile."""
    body = "action=arm&count=2&route=/work"
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    def told(page: str) -> Any:
        return server.get(f"/debug/{page}", headers=OPEN).json()

    armed = server.post("/debug/profile", body, headers={**OPEN, **form})
    assert armed.json()["workers"] == {str(pid): {"left": 2} for pid in server.worker_pids()}

    with load(server):
        server.wait_until(lambda: not told("profile.json")["armed"])
    kept = told("profile.json")["requests"]
    assert Counter(each["worker"] for each in kept) == dict.fromkeys(server.worker_pids(), 2)

    trace = told(f"traces?{urlencode({'trace': kept[0]['trace']})}")["trace"]
    assert trace["facts"]["profile"] == kept[0]["id"]
    found = told(f"profile.json?id={kept[0]['id']}")
    assert [each["engine"] for each in found["profiles"]] == ["pyinstrument"]
    assert {"seventy", "twenty", "ten"} <= {each["name"] for each in found["functions"]}


def test_greenlets_go_on_while_a_profile_is_waited_for(gunicorn: Start) -> None:
    pytest.importorskip("gevent")
    server = gunicorn(APP, "-w", "1", "-k", "gevent", "--timeout", "5")

    found = taken(server, "/take?seconds=5.2&mode=cpu")

    (profile,) = found["of"].values()
    assert profile["engine"] == "signal"
    assert "GET /work" in profile["routes"]
    assert profile["spent"] > 0.2

    # One request at a time is watched: greenlets share their thread, and its hook.
    server.get("/arm")
    with load(server):
        server.wait_until(lambda: len(server.get("/requests").json()["of"]) == 3)
    requests = server.wait_until(
        lambda: found if not (found := server.get("/requests").json())["left"] else None
    )
    assert {each["route"] for each in requests["of"]} == {"/work"}
    assert not requests["hooked"]
    ids = [each["id"] for each in requests["of"]]
    (profile,) = server.get(f"/fetch?id={ids[0]}").json()["of"].values()
    assert profile["engine"] == "pyinstrument"
    assert profile["seconds"] >= 0.1
