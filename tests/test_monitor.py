"""The listener of its own: who may ask it, who holds it, and that it answers whatever happens."""

from __future__ import annotations

import logging
import os
import re
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from apps import TOKEN
from flask import Flask
from servers import Gunicorn, wait_until
from servers.server import Server

import flask_expvar as expvar
from flask_expvar.settings import Settings
from flask_expvar.web import monitor
from flask_expvar.web.monitor import MOST, Listener, is_loopback

APP = """
import os
import time

from flask import Flask
import flask_expvar as expvar

app = Flask("shop")
app.config["EXPVAR_ACCESS"] = "listener"
expvar.Expvar(app)
hits = expvar.new_int("shop/hits")


@app.get("/")
def index():
    hits.add(1)
    return str(os.getpid())


@app.get("/block")
def block():
    os.write(1, f"blocked {os.getpid()}\\n".encode())  # in one piece: others write there too
    time.sleep(100)
"""
LOCAL = {"Host": "127.0.0.1"}


class At(Server):
    """What listens at the address that somebody else's log tells."""

    def __init__(self, address: Any, folder: Path) -> None:
        super().__init__(folder)
        self.address = address

    def alive(self) -> bool:
        return True


def answers(at: At, path: str = "/debug/vars") -> Any:
    """Return what is answered there now, None if nobody listens."""
    try:
        answer = at.get(path, headers=LOCAL, timeout=20)
    except (OSError, AssertionError):
        return None
    return answer if answer.status == 200 else None


@pytest.mark.parametrize(
    ("address", "is_local"),
    [
        ("127.0.0.1:1099", True),
        ("127.9.9.9:0", True),
        ("[::1]:0", True),
        ("localhost:1", True),
        ("unix:/run/x.sock", True),
        ("0.0.0.0:1099", False),
        ("[::]:1099", False),
        ("192.0.2.7:1", False),
        ("shop.example:1", False),
    ],
)
def test_only_an_address_of_this_machine_needs_no_token(address: str, is_local: bool) -> None:
    assert is_loopback(address) is is_local
    app = Flask("shop")
    app.config["EXPVAR_MONITORING_ADDRESS"] = address
    settings = Settings.load(app.config, {})
    if is_local:
        monitor.app_of(lambda state: None, app, settings)
    else:
        with pytest.raises(expvar.SettingError, match="other machines can reach") as caught:
            expvar.Expvar(app, registry=expvar.Registry())
        assert "token_urlsafe" in str(caught.value)
        app.config["EXPVAR_TOKEN"] = TOKEN["Authorization"].split()[1]
        monitor.app_of(lambda state: None, app, Settings.load(app.config, {}))


@pytest.fixture
def listen(tmp_path: Path) -> Iterator[Callable[..., tuple[Listener, At]]]:
    """Return ``listen(address)``: a process that is alone and listens there."""
    made: list[Listener] = []

    def listen(address: str, **config: Any) -> tuple[Listener, At]:
        app = Flask("shop")
        app.config.update(EXPVAR_MONITORING_ADDRESS=address, **config)
        registry = expvar.Registry()
        registry.new_int("here").add(7)
        from flask_expvar.web.views import Mount

        served = monitor.app_of(Mount(registry).add_routes, app, Settings.load(app.config, {}))
        listener = Listener(address, served)
        made.append(listener)
        listener.tick(None)
        if address.startswith("unix:"):
            return listener, At(address.removeprefix("unix:"), tmp_path / "at")
        found = re.search(r"//(?:\[(.*)\]|(.*)):(\d+)/", listener.where)
        assert found, listener.where
        return listener, At((found[1] or found[2], int(found[3])), tmp_path / "at")

    yield listen
    for listener in made:
        listener.close()


def test_loopback_is_trusted_there_and_rebinding_is_not(
    listen: Callable[..., tuple[Listener, At]],
) -> None:
    _, at = listen("127.0.0.1:0")

    assert at.get("/debug/vars", headers=LOCAL).json()["here"] == 7
    assert at.get("/", headers=LOCAL).headers["Location"] == "debug/"
    assert at.get("/debug/config", headers={"Host": "localhost:99"}).status == 200
    for headers in (
        {"Host": "evil.example"},
        {"Host": "127.0.0.1", "Origin": "http://evil.example"},
        {"Host": "127.0.0.1", "Sec-Fetch-Site": "cross-site"},
        {"Host": "127.0.0.1", "X-Forwarded-For": "192.0.2.7"},
    ):
        assert at.get("/debug/vars", headers=headers).status == 403, headers


def test_a_token_is_asked_for_where_other_machines_come(
    listen: Callable[..., tuple[Listener, At]],
) -> None:
    listener, at = listen("0.0.0.0:0", EXPVAR_TOKEN=TOKEN["Authorization"].split()[1])

    assert listener.where.startswith("http://0.0.0.0:")
    assert at.get("/debug/vars", headers=LOCAL).status == 401
    assert at.get("/debug/vars", headers={**LOCAL, **TOKEN}).status == 200


def test_ipv6_and_unix_sockets_are_addresses_too(
    listen: Callable[..., tuple[Listener, At]], tmp_path: Path
) -> None:
    if socket.has_ipv6 and os.path.exists("/proc/net/if_inet6"):
        assert answers(listen("[::1]:0")[1]).json()["here"] == 7
    path = tmp_path / "s"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()  # of a process that has ended
    listener, at = listen(f"unix:{path}")

    assert answers(at).json()["here"] == 7
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert listener.where == f"unix:{path}"


def test_what_is_no_socket_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "precious"
    path.write_text("words")
    listener = Listener(f"unix:{path}", Flask("x"))
    listener.tick(None)

    assert path.read_text() == "words"
    assert "no socket" in caplog.text


def test_a_taken_address_is_tried_again_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listener = Listener(f"127.0.0.1:{taken.getsockname()[1]}", Flask("x"))
        for _ in range(3):
            listener.tick(None)
        assert caplog.text.count("cannot be had at") == 1
        assert listener.where == ""
    listener.tick(None)

    assert "the debug pages are at http://127.0.0.1:" in caplog.text
    listener.close()


def test_one_of_those_that_share_listens_and_another_when_it_goes(tmp_path: Path) -> None:
    one, other = Listener("127.0.0.1:0", Flask("x")), Listener("127.0.0.1:0", Flask("x"))
    for _ in range(2):
        one.tick(tmp_path)
        other.tick(tmp_path)
    assert (bool(one.where), bool(other.where)) == (True, False)

    one.close()
    other.tick(tmp_path)
    assert other.where
    other.close()


def test_who_says_nothing_keeps_nobody_away_for_ever(
    listen: Callable[..., tuple[Listener, At]],
) -> None:
    _, at = listen("127.0.0.1:0")
    silent = [at.connect() for _ in range(MOST)]

    def is_refused() -> bool:
        return answers(at) is None

    wait_until(is_refused)
    for each in silent:
        each.close()
    wait_until(lambda: answers(at) is not None)


def test_a_profile_there_may_take_longer_than_the_workers_timeout(
    gunicorn: Callable[..., Gunicorn], tmp_path: Path
) -> None:
    env = {"FLASK_EXPVAR_MONITORING_ADDRESS": f"unix:{tmp_path}/m"}
    # gunicorn looks once a second: a worker that is silent for five is ended before the sixth ends.
    server = gunicorn(APP, "-w", "1", "--timeout", "5", env=env)
    at = At(f"{tmp_path}/m", tmp_path / "at")
    wait_until(lambda: answers(at), 60)
    pids = server.worker_pids()

    profile = at.get("/debug/profile?seconds=6.2&format=json", headers=LOCAL)

    assert profile.status == 200, profile.text
    assert profile.json()["duration"] >= 6
    assert profile.headers["X-Expvar-Workers"] == str(pids[0])
    assert server.worker_pids() == pids


@pytest.mark.parametrize("kind", ["sync", "gevent"])
def test_it_answers_while_all_requests_are_stuck_and_outlives_its_holder(
    gunicorn: Callable[..., Gunicorn], tmp_path: Path, kind: str
) -> None:
    env = {"FLASK_EXPVAR_MONITORING_ADDRESS": f"unix:{tmp_path}/m"}
    server = gunicorn(APP, "-w", "4", "-k", kind, "--graceful-timeout", "1", env=env)
    at = At(f"{tmp_path}/m", tmp_path / "at")
    pids = server.worker_pids()
    wait_until(lambda: answers(at), 60)
    for _ in range(5):
        server.get("/")
    assert server.get("/debug/vars", headers=LOCAL).status == 403

    stuck = [server.connect() for _ in range(4)]
    for each in stuck:
        each.sendall(b"GET /block HTTP/1.1\r\nHost: shop\r\n\r\n")
    if kind == "sync":
        wanted = set(map(str, pids))
        server.wait_until(lambda: set(re.findall(r"blocked (\d+)", server.log)) == wanted)
    read = answers(at).json()
    assert read["shop/hits"] == 5
    assert read["http/requestCount"] == {"GET": 5}

    for pid in pids[:3]:
        os.kill(pid, 9)
    wait_until(lambda: answers(at) and answers(at).json()["shop/hits"] == 5, 60)
    for each in stuck:
        each.close()
