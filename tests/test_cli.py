"""The command line: against a URL, and against the folder of a gunicorn on this machine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from apps import SHOP, TOKEN
from servers import Gunicorn, wait_until
from servers.nginx import free_port
from servers.server import Server

SECRET = TOKEN["Authorization"].split()[1]


def run(*arguments: object, env: dict[str, str] | None = None) -> Any:
    command = [sys.executable, "-m", "flask_expvar.cli", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**os.environ, **(env or {})}
    )


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

    refused = run("vars", url)
    assert (refused.returncode, refused.stdout) == (4, "")
    assert "FLASK_EXPVAR_TOKEN" in refused.stderr
    for target, env in ((url, token), (f"--dir={shared}", {})):
        found = run("vars", target, "--match", "shop/", env=env)
        assert found.returncode == 0, found.stderr
        assert json.loads(found.stdout)["shop/orders"] == 3
        assert run("vars", target, "--match", "nowhere", env=env).returncode == 1
        shown = run("threads", target, env=env).stdout
        assert all(str(pid) in shown for pid in shop.worker_pids())
        families = json.loads(run("traces", target, env=env).stdout)["families"]
        assert [each["family"] for each in families] == ["GET /"]
        assert run("traces", target, "--errors", env=env).returncode == 1
        assert run("traces", target, "--fam", "GET /none", env=env).returncode == 1

    top = run("top", f"--dir={shared}", "--count", 2, "--interval", 0.1, "--match", "shop/")
    assert re.search(r"^shop/orders +3 +0.00$", top.stdout, re.MULTILINE), top.stdout
    out = tmp_path / "profile.html"
    done = run("profile", f"--dir={shared}", "--seconds", 0.3, "-o", out)
    assert done.returncode == 0, done.stderr
    assert "<html" in out.read_text().lower()
    text = run("profile", url, "--seconds", 0.3, env=token)
    assert text.returncode == 0, text.stderr
    assert text.stdout

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


def test_what_is_wrong_is_told_with_a_code(tmp_path: Path) -> None:
    gone = run("vars", f"http://127.0.0.1:{free_port()}/debug/")
    assert (gone.returncode, "does not answer" in gone.stderr) == (3, True)
    none = run("vars", f"--dir={tmp_path / 'none'}")
    assert (none.returncode, "no folder that workers share" in none.stderr) == (3, True)
    assert run("profile", "--mode", "x").returncode == 2
    assert run("nothing").returncode == 2
    far = run("monitor", "--bind", "0.0.0.0:0", f"--dir={tmp_path}")
    assert (far.returncode, "other machines can reach" in far.stderr) == (2, True)
