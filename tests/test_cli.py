"""The command line: against a URL, and against the folder of a gunicorn on this machine."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from apps import SHOP, TOKEN
from servers import Gunicorn, wait_until
from servers.nginx import free_port
from servers.server import Server

from flask_expvar.cli import main
from flask_expvar.web.asking import pages_of
from flask_expvar.web.commands import group
from flask_expvar.web.top import Rates

SECRET = TOKEN["Authorization"].split()[1]


CLI = [sys.executable, "-m", "flask_expvar.cli"]
COLOUR = "\x1b["


@dataclass
class Done:
    """A command that has ended."""

    returncode: int
    stdout: str
    stderr: str


def run(
    *arguments: object, env: dict[str, str] | None = None, by: click.Group = main, **how: Any
) -> Done:
    """Run a command that asks a URL, or nobody, in this process: a new one takes most of a second.

    :param by: the group that it is in.
    """
    out, err = (io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2))
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in (env or {}).items():
            patch.setenv(name, value)
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        ended = stack.enter_context(pytest.raises(SystemExit))
        by.main([*map(str, arguments)], "flask-expvar", **how)
    code = ended.value.code
    texts = [each.buffer.getvalue().decode() for each in (out, err)]  # type: ignore[attr-defined]  # a BytesIO
    return Done(code if isinstance(code, int) else 1, *texts)


def run_apart(*arguments: object, env: dict[str, str] | None = None) -> Any:
    """Run a command that asks a folder: whoever does is in it until the process ends."""
    command = [*CLI, *map(str, arguments)]
    env = {**os.environ, **(env or {})}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=env)


def on_terminal(*arguments: object) -> str:
    """Return what a command prints on a terminal of 100 columns and 30 lines."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    env = {**os.environ, "TERM": "xterm"}
    command = [*CLI, *map(str, arguments)]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the other end is closed
            while more := os.read(ours, 65536):
                shown += more
        os.close(ours)
        assert process.wait(60) == 0, shown
    return shown.decode()


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    return tmp_path / "shared"


@pytest.fixture
def shop(gunicorn: Callable[..., Gunicorn], shared: Path) -> Gunicorn:
    """Return a shop with two workers that have answered three requests."""
    env = {"FLASK_EXPVAR_DIR": str(shared)}
    server = gunicorn(SHOP, "-w", "2", "-b", "127.0.0.1:0", env=env)

    def is_there() -> bool:
        found = server.get("/debug/vars", headers=TOKEN).json()
        return found["shop/pid"] == sum(server.worker_pids())

    server.wait_until(is_there, what="both workers are there")
    for _ in range(3):
        assert server.get("/").status == 200
    return server


def test_everything_can_be_seen_on_a_terminal(shop: Gunicorn, shared: Path, tmp_path: Path) -> None:
    host, port = shop.address  # type: ignore[misc]  # bound to a port
    url = f"http://{host}:{port}/debug/"
    token = {"FLASK_EXPVAR_TOKEN": SECRET}

    folder = f"--dir={shared}"
    refused = run("vars", url)
    assert (refused.returncode, refused.stdout) == (4, "")
    assert "FLASK_EXPVAR_TOKEN" in refused.stderr
    found = run("vars", url, "--match", "shop/", env=token)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["shop/orders"] == 3
    assert run("vars", url, "--match", "nowhere", env=token).returncode == 1
    shown = run("threads", url, env=token).stdout
    assert all(str(pid) in shown for pid in shop.worker_pids())
    families = json.loads(run("traces", url, env=token).stdout)["families"]
    assert [each["family"] for each in families] == ["GET /"]
    assert run("traces", url, "--errors", env=token).returncode == 1
    assert run("traces", url, "--fam", "GET /none", env=token).returncode == 1
    text = run("profile", url, "--seconds", 0.3, env=token)
    assert text.returncode == 0, text.stderr
    assert text.stdout
    assert "looking" not in text.stderr  # no bar where nobody looks
    assert run("profile", url, "--seconds", 0, env=token).returncode == 2
    lost = run("profile", url, "--seconds", 0.1, "-o", tmp_path / "no" / "such", env=token)
    assert (lost.returncode, "cannot be written" in lost.stderr) == (1, True)
    # Colours are for terminals.
    assert COLOUR not in run("top", url, "--count", 1, env=token).stdout + found.stdout
    assert COLOUR in run("vars", url, env=token, color=True).stdout
    # What flask has is the same.
    board = run("dashboard", url, "--title", "Shop", env=token, by=group)
    assert json.loads(board.stdout)["title"] == "Shop", board.stderr
    assert "shop_orders_total" in board.stdout
    config = run("exporter-config", url, env=token, by=group)
    assert f'url = "{url}vars"\n' in config.stdout, config.stderr
    assert 'm.shop_orders_total.expvar = "shop/orders"' in config.stdout

    found = run_apart("vars", folder, "--match", "shop/")
    assert (found.returncode, json.loads(found.stdout)["shop/orders"]) == (0, 3), found.stderr
    names = {"FLASK_EXPVAR_METRICS_NAMES": "otel"}
    config = run_apart("exporter-config", folder, env=names)
    assert 'm.http_requests_total.expvar = "http/requestCount"' in config.stdout, config.stderr
    top = run_apart("top", folder, "--count", 2, "--interval", 0.1, "--match", "shop/")
    assert re.search(r"^shop/orders +3 +0.00$", top.stdout, re.MULTILINE), top.stdout
    out = tmp_path / "profile.html"
    shown = on_terminal("profile", folder, "--seconds", 0.3, "-o", out)
    assert re.search(r"looking .*#+.*%", shown), shown
    assert "<html" in out.read_text().lower()
    live = on_terminal("top", folder, "--count", 2, "--interval", 0.1)
    assert all(len(line) < 120 for line in live.splitlines())
    assert live.count("\n") <= 2 * 30
    assert COLOUR in live

    # Whoever looks is no worker: the totals and their number are as they were.
    after = shop.get("/debug/vars", headers=TOKEN).json()
    assert sorted(map(int, after["workers"])) == shop.worker_pids()
    assert after["http/requestCount"] == {"GET": 3}


def test_a_monitor_of_its_own_answers_while_every_worker_is_stopped(
    shop: Gunicorn, shared: Path, tmp_path: Path
) -> None:
    class Monitor(Server):
        pass

    with Monitor(tmp_path / "monitor") as server:
        server.address = ("127.0.0.1", free_port())
        bind = f"127.0.0.1:{server.address[1]}"
        command = [sys.executable, "-m", "flask_expvar.cli", "monitor"]
        server.launch([*command, "--bind", bind, "--dir", str(shared)], os.environ)
        server.wait_for_log("the debug pages are at http://127.0.0.1:")
        headers = {"Host": bind}
        pids = shop.worker_pids()
        for pid in pids:
            os.kill(pid, 19)  # SIGSTOP
        try:
            answer = server.get("/debug/vars", headers=headers)
            assert answer.json()["shop/orders"] == 3
            assert sorted(map(int, answer.headers["X-Expvar-Missing"].split())) == pids
            assert server.get("/debug/vars", headers={"Host": "evil.example"}).status == 403
        finally:
            for pid in pids:
                os.kill(pid, 18)
        wait_until(
            lambda: not server.get("/debug/vars", headers=headers).headers["X-Expvar-Missing"]
        )


def test_flask_has_every_command_too(tmp_path: Path) -> None:
    assert sorted(group.commands) == sorted(main.commands)
    assert sorted(main.commands) == [
        "dashboard", "exporter-config", "login-url", "monitor", "profile", "threads", "top",
        "traces", "vars",
    ]  # fmt: skip
    (tmp_path / "shop.py").write_text(SHOP + "app.secret_key = 'k' * 32\n")
    made = run_apart("login-url", "--app", f"{tmp_path / 'shop.py'}:app")
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("http://127.0.0.1:5000/debug/login?ticket=")


def test_bars_are_as_high_as_the_rates_were() -> None:
    rates = Rates()
    for when, count in enumerate([5, 5, 12, 19, 21]):
        rates.look({"hits": count}, float(when))

    assert rates.bars("hits") == "▁██▃"
    assert rates.now == {"hits": 2.0}
    assert rates.bars("none") == ""


def test_what_is_wrong_is_told_with_a_code(tmp_path: Path) -> None:
    gone = run("vars", f"http://127.0.0.1:{free_port()}/debug/")
    assert (gone.returncode, "does not answer" in gone.stderr) == (3, True)
    assert run("profile", f"http://127.0.0.1:{free_port()}/debug/").returncode == 3
    wrong = run_apart("vars", f"--dir={tmp_path}", env={"FLASK_EXPVAR_METRICS_NAMES": "no"})
    assert (wrong.returncode, "'otel'" in wrong.stderr) == (2, True)
    none = run_apart("vars", f"--dir={tmp_path / 'none'}")
    assert (none.returncode, "no folder that workers share" in none.stderr) == (3, True)
    assert run("profile", "--mode", "x").returncode == 2
    assert run("nothing").returncode == 2
    far = run_apart("monitor", "--bind", "0.0.0.0:0", f"--dir={tmp_path}")
    assert (far.returncode, "other machines can reach" in far.stderr) == (2, True)


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/debug/"),
        ("127.0.0.1:8000/", "http://127.0.0.1:8000/debug/"),
        ("https://shop.example/debug", "https://shop.example/debug/"),
        ("shop.example/x/vars/", "http://shop.example/x/vars/"),
    ],
)
def test_pages_of_a_server_alone_are_where_they_mostly_are(given: str, asked: str) -> None:
    assert pages_of(given) == asked
