"""The arbiter's view: what only gunicorn's first process sees, beside the user's own hooks."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from apps import SHOP, TOKEN
from servers import Gunicorn, Response, running

from flask_expvar import Registry
from flask_expvar import gunicorn as hooks
from flask_expvar.gunicorn import reason_of
from flask_expvar.variables.store import LocalStore
from flask_expvar.workers.ledger import Ledger
from flask_expvar.workers.shared import SharedStore

Start = Callable[..., Gunicorn]

CONFIG = """
timeout = 5


def child_exit(server, worker):
    server.log.info("mine: exit of %s", worker.pid)


from flask_expvar.gunicorn import *


def on_reload(server):
    server.log.info("mine: reload")


def pre_fork(server, worker):
    server.log.info("mine: fork %s", worker.age)
"""


def counted(server: Gunicorn) -> Any:
    answer = server.get("/debug/vars", headers=TOKEN)
    assert answer.status == 200, answer.text
    found = answer.json()
    return {name.removeprefix("gunicorn/"): found[name] for name in found if "gunicorn/" in name}


def exits(server: Gunicorn, reason: str) -> int:
    found: int = counted(server)["exits"].get(reason, 0)
    return found


def ended_well(server: Gunicorn) -> int:
    # The arbiter sends TERM until a worker has gone: the last one may meet it when it has
    # handled the first and Python's handlers are gone already.
    return exits(server, "code 0") + exits(server, "SIGTERM")


def arbiter_log(server: Gunicorn) -> tuple[list[str], Any]:
    """Return what the page of events has of the arbiter: the texts, and the log."""

    def ask(query: str, **headers: str) -> Response:
        return server.get(f"/debug/events{query}", headers={**TOKEN, **headers})

    (row,) = [each for each in ask("").json()["families"] if each["family"] == "gunicorn"]
    (listed,) = ask("?fam=gunicorn").json()["logs"]
    assert row["counts"][0] == 1
    assert (listed["worker"], listed["arbiter"]) == (server.arbiter_pid, True)
    # The link of the list is good though no worker has that id.
    page = ask("?fam=gunicorn", Accept="text/html").text
    (link,) = re.findall(r'href="([^"]*id=[^"]*)"', page)
    assert f"{server.arbiter_pid} (arbiter)" in page
    assert f"arbiter {server.arbiter_pid}" in ask(unescape(link), Accept="text/html").text
    log = ask(f"?id={listed['id']}").json()["log"]
    return [entry["text"] for entry in log["entries"]], log


def time_out(server: Gunicorn) -> None:
    """Let a worker run into its timeout."""
    with server.connect() as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connection.recv(1)


@pytest.mark.parametrize("options", [(), ("--preload", "--max-requests", "30")])
def test_the_arbiter_tells_what_became_of_its_workers(
    gunicorn: Start, options: tuple[str, ...]
) -> None:
    server = gunicorn(SHOP, "-w", "2", *options, config=CONFIG)
    server.kill_worker(server.worker_pids()[0])
    server.wait_until(lambda: exits(server, "SIGKILL") == 1, what="the killed one is counted")
    if options:
        server.wait_until(lambda: exits(server, "code 0") >= 2, what="two are recycled")
    else:
        time_out(server)
        server.wait_until(lambda: exits(server, "timeout") >= 1, what="the silent one is counted")
    # One that is told to end before it has begun ends with the signal.
    server.wait_for_workers(2)
    before = ended_well(server)
    server.signal(signal.SIGHUP)
    server.wait_until(lambda: ended_well(server) >= before + 2, what="all are replaced")

    def all_started() -> Any:
        found = counted(server)
        return found["starts"] == 2 + sum(found["exits"].values()) and found

    found = server.wait_until(all_started, what="there are two again")
    assert found["reloads"] == 1
    assert found["timeouts"] == found["exits"].get("timeout", 0)
    text = server.get("/debug/metrics", headers=TOKEN).text
    assert 'gunicorn_exits_total{reason="SIGKILL"} 1\n' in text
    assert "# TYPE gunicorn_reloads_total counter\ngunicorn_reloads_total 1\n" in text
    texts, log = arbiter_log(server)
    assert texts[0].endswith("starts")
    assert texts[1].startswith("ready at ")
    killed = r"^worker \d+ \(no. \d\) ended after [\d.]+ s: SIGKILL$"
    assert re.search(killed, "\n".join(texts), re.MULTILINE)
    assert "reloaded (HUP): 2 workers" in texts
    assert log["errors"] >= found["timeouts"] + 1
    # The user's own hooks are called as often, before and after the import.
    assert server.log.count("mine: reload") == 1
    assert server.log.count("mine: fork ") >= found["starts"]
    assert server.log.count("mine: exit of ") >= sum(found["exits"].values())


def test_an_arbiter_that_takes_over_goes_on_counting(gunicorn: Start) -> None:
    server = gunicorn(SHOP, "-w", "1", "--daemon", config="from flask_expvar.gunicorn import *\n")
    server.kill_worker(server.worker_pids()[0])
    server.wait_until(lambda: exits(server, "SIGKILL") == 1, what="the killed one is counted")
    old, mark = server.arbiter_pid, len(server.log)
    server.signal(signal.SIGUSR2)
    server.wait_until(lambda: "Booting worker" in server.log[mark:], what="a new worker")
    server.signal(signal.SIGTERM)
    server.wait_until(lambda: not running(old), what="the old arbiter to go")

    found = server.wait_until(lambda: counted(server), what="the new worker answers")
    assert (found["starts"], found["exits"]["SIGKILL"]) == (3, 1)


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """Return what the hooks count in, when they are called by this process."""
    ledger = Ledger(tmp_path, os.getpid())
    monkeypatch.setattr(hooks._view, "_pid", os.getpid())
    monkeypatch.setattr(hooks._view, "_ledger", ledger)
    yield ledger
    ledger.close()


class Worker:
    """A worker of gunicorn before the fork."""

    def __init__(self, age: int) -> None:
        self.age = age


MINE = """
def pre_fork(server, worker):
    server.seen.append(worker)
"""
CALLS = """
from flask_expvar import gunicorn

def pre_fork(server, worker):
    gunicorn.pre_fork(server, worker)
    server.seen.append(worker)
"""
IMPORT = "from flask_expvar.gunicorn import *\n"


@pytest.mark.parametrize("source", [MINE + IMPORT, IMPORT + MINE, CALLS + IMPORT, IMPORT + CALLS])
def test_the_users_hook_and_ours_are_called_once_each(ledger: Ledger, source: str) -> None:
    config = pytest.importorskip("gunicorn.config").Config()
    names: dict[str, Any] = {}
    exec(source, names)
    for name in hooks.__all__:
        config.set(name, names[name])
    server, workers = SimpleNamespace(cfg=config, seen=[]), [Worker(1), Worker(2)]

    config.on_starting(server)
    for worker in workers:
        config.pre_fork(server, worker)

    assert server.seen == workers
    assert ledger.starts.value == 2


def test_what_the_arbiter_counts_is_in_every_registry(ledger: Ledger, tmp_path: Path) -> None:
    registry, store = Registry("own"), SharedStore(tmp_path, os.getpid())
    registry.attach(store)

    ledger.starts.add()
    ledger.exits.add("SIGKILL")

    found = registry.snapshot()
    registry.attach(LocalStore(os.getpid()))
    store.close()
    assert found == {
        "gunicorn/exits": {"SIGKILL": 1}, "gunicorn/reloads": 0, "gunicorn/starts": 1,
        "gunicorn/timeouts": 0,
    }  # fmt: skip


def test_a_note_in_the_midst_of_another_comes_after_it(ledger: Ledger) -> None:
    seen = []

    def outer(ledger: Ledger) -> None:
        hooks._view.note(lambda ledger: seen.append("inner"))  # as a signal handler does
        seen.append("outer")

    hooks._view.note(outer)

    assert seen == ["outer", "inner"]


@pytest.mark.parametrize(
    ("status", "reason"),
    [(0, "code 0"), (3 << 8, "code 3"), (9, "SIGKILL"), (63, "signal 63"), (None, "unknown")],
)
def test_a_reason_says_how_a_process_ended(status: int | None, reason: str) -> None:
    assert reason_of(status) == reason


def test_what_a_hook_meets_never_reaches_the_arbiter(caplog: pytest.LogCaptureFixture) -> None:
    hooks.pre_fork(object(), object())

    assert "gunicorn's pre_fork is not told" in caplog.text
