"""The helpers themselves, with an app that knows nothing of flask_expvar."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from servers import Gunicorn, Nginx, running, wait_until
from servers import nginx as nginx_module

APP = """
import os

def app(environ, start_response):
    size = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(size)
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Pid", str(os.getpid()))])
    yield f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} ".encode() + body
"""
KINDS = ["sync", "gthread", "gevent"]
Start = Callable[..., Gunicorn]


def family(pid: int) -> list[int]:
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_worker_answers(gunicorn: Start, kind: str) -> None:
    server = gunicorn(APP, "-w", "2", "-k", kind)

    answer = server.post("/orders", "three apples")

    assert (answer.status, answer.text) == (200, "POST /orders three apples")
    assert int(answer.headers["x-pid"]) in server.worker_pids()
    assert server.request_raw(b"GET /raw HTTP/1.0\r\n\r\n").endswith(b"GET /raw ")


@pytest.mark.parametrize("kind", KINDS)
def test_killed_worker_is_replaced(gunicorn: Start, kind: str) -> None:
    server = gunicorn(APP, "-w", "2", "-k", kind)
    mark = len(server.log)
    killed, kept = server.worker_pids()

    server.kill_worker(killed)
    booted = int(server.wait_for_log(r"Booting worker with pid: (\d+)", since=mark).group(1))

    assert set(server.wait_until(lambda: len(p := server.worker_pids()) == 2 and p)) == {
        kept,
        booted,
    }
    assert server.get("/").status == 200


@pytest.mark.parametrize("kind", KINDS)
def test_stop_leaves_no_process_and_no_socket(gunicorn: Start, kind: str) -> None:
    server = gunicorn(APP, "-w", "2", "-k", kind)
    pids = family(server.arbiter_pid)
    address = server.address

    server.stop()

    assert not any(map(running, pids))
    assert isinstance(address, str)
    assert not Path(address).exists()


def test_stop_ends_a_worker_that_does_not_listen(gunicorn: Start) -> None:
    deaf = "import signal\n" + APP.replace(
        "    size", "    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))\n    size"
    )
    server = gunicorn(deaf, "-w", "1", "--graceful-timeout", "60")
    server.get("/")
    pids = family(server.arbiter_pid)

    server.stop(timeout=0.5)

    assert not any(map(running, pids))


def test_port_zero_is_found_out_from_the_log(gunicorn: Start) -> None:
    server = gunicorn(APP, "--bind", "127.0.0.1:0")

    assert isinstance(server.address, tuple)
    assert server.address[1] > 0
    assert server.get("/shop").text == "GET /shop "


def test_daemon_is_found_through_its_pidfile(gunicorn: Start) -> None:
    server = gunicorn(APP, "-w", "2", "--daemon")
    pids = family(server.arbiter_pid)

    assert server.process is not None
    assert server.arbiter_pid != server.process.pid
    assert server.get("/").status == 200
    server.stop()
    assert not any(map(running, pids))


def test_new_arbiter_after_usr2_is_no_worker(gunicorn: Start) -> None:
    server = gunicorn(APP, "-w", "2")
    mark = len(server.log)
    workers = server.worker_pids()

    server.signal(signal.SIGUSR2)
    new = int(server.wait_for_log(r"Listening at: \S+ \((\d+)\)", since=mark).group(1))
    server.wait_until(lambda: len(server.worker_pids(new)) == 2)

    assert server.worker_pids() == workers
    server.stop(timeout=1)
    assert not running(new)


def test_config_and_environment_reach_the_server(
    gunicorn: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    monkeypatch.setenv("FLASK_EXPVAR_TOKEN", "of the one who runs the tests")
    app = "import os\nprint('color', os.environ['COLOR'], os.environ.get('FLASK_EXPVAR_TOKEN'))\n"
    server = gunicorn(app + APP, env={"COLOR": "red"}, config="proc_name = 'shop'\n")

    assert server.wait_for_log(r"^color (.*)").group(1) == "red None"
    assert len(server.worker_pids()) == 1


def test_app_that_cannot_be_imported_fails_with_the_log(gunicorn: Start) -> None:
    with pytest.raises(AssertionError, match="no such shop"):
        gunicorn("raise RuntimeError('no such shop')", "--preload")


def test_long_folder_still_has_a_socket(tmp_path: Path) -> None:
    with Gunicorn(APP, folder=tmp_path / ("deep" * 30)) as server:
        assert server.get("/").status == 200
        short = server.short_folder()

    assert short != server.folder
    assert not short.exists()


def test_connection_is_retried_only_when_refused(gunicorn: Start) -> None:
    server = gunicorn(APP)
    server.stop()

    with pytest.raises(AssertionError, match="has ended"):
        server.get("/")


def test_wait_until_gives_up_and_says_why() -> None:
    with pytest.raises(AssertionError, match=r"not within 0\.05 s: the moon"):
        wait_until(lambda: None, 0.05, failure=lambda: "the moon")


def test_nginx_hides_who_asked(gunicorn: Start, nginx: Callable[..., Nginx]) -> None:
    app = APP.replace("+ body", "+ str(environ['REMOTE_ADDR']).encode()")
    server = gunicorn(app, "--bind", "127.0.0.1:0")
    assert isinstance(server.address, tuple)

    proxy = nginx("{}:{}".format(*server.address))

    assert proxy.get("/debug/vars").text == "GET /debug/vars 127.0.0.1"


def test_nginx_reaches_a_unix_socket_by_the_test_s_own_rules(
    gunicorn: Start, nginx: Callable[..., Nginx]
) -> None:
    rules = "location /shop/ { proxy_pass http://UPSTREAM/; }"
    proxy = nginx(f"unix:{gunicorn(APP).address}", server=rules)

    assert proxy.get("/shop/orders").text == "GET /orders "
    assert proxy.get("/elsewhere").status == 404


def test_nginx_stops_with_its_workers(nginx: Callable[..., Nginx]) -> None:
    proxy = nginx("127.0.0.1:1")
    assert proxy.process is not None
    pids = family(proxy.process.pid)
    assert proxy.get("/").status == 502

    proxy.stop()

    assert not any(map(running, pids))


def test_nginx_takes_another_port_when_one_is_lost(
    nginx: Callable[..., Nginx], monkeypatch: pytest.MonkeyPatch
) -> None:
    free = nginx_module.free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = iter([taken.getsockname()[1], free])
        monkeypatch.setattr(nginx_module, "free_port", lambda: next(ports))

        assert nginx("127.0.0.1:1").port == free


def test_a_missing_tool_skips_at_home_and_fails_in_ci(
    need_tool: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert os.access(need_tool("sh"), os.X_OK)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-tool is missing"):
        need_tool("no-such-tool")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-tool is missing"):
        need_tool("no-such-tool")
