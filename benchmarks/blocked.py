"""A real gunicorn whose four sync workers are all blocked, and who still answers for them."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

WORKERS = 4
PATIENCE = 60
APP = """
import logging
import os
import time

from flask import Flask
import flask_expvar as expvar

logging.basicConfig(level=logging.INFO)  # the listener logs where it is
app = Flask("bench")
app.config.update(EXPVAR_ACCESS="listener", EXPVAR_MONITORING_ADDRESS="127.0.0.1:0")
expvar.Expvar(app)
expvar.publish("bench/pid", os.getpid)
for number in range(10):
    codes = expvar.new_map(f"bench/map{number}", "code")
    for key in range(100):
        codes.add(f"key{key:05}")


@app.get("/block")
def block():
    print("blocked", os.getpid(), flush=True)
    time.sleep(3600)
"""


def wait_for(found: Callable[[], object], what: str) -> None:
    """Return when *found* is true.

    :raises TimeoutError: if it is not within a minute.
    """
    until = time.monotonic() + PATIENCE
    while not found():
        if time.monotonic() > until:
            raise TimeoutError(what)
        time.sleep(0.02)


@contextmanager
def running(command: list[str], log: Path, folder: Path) -> Iterator[Callable[[str], list[str]]]:
    """Run *command* in *folder*, and end it; give what finds a pattern in what it prints."""
    home = str(Path(__file__).parent.parent)
    path = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "PYTHONPATH": path, "XDG_RUNTIME_DIR": str(folder)}
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=out, stderr=out)
    try:
        yield lambda pattern: re.findall(pattern, log.read_text())
    finally:
        process.send_signal(signal.SIGQUIT if "gunicorn" in command[2] else signal.SIGTERM)
        process.wait(PATIENCE)


def milliseconds(port: int, rounds: int) -> list[float]:
    """Return how long each of so many requests for the variables took, on new connections."""
    found = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        connection.request("GET", "/debug/vars")
        answer = connection.getresponse()
        body = answer.read()
        found.append((time.perf_counter() - began) * 1000)
        connection.close()
        assert answer.status == 200, body
        assert not answer.headers["X-Expvar-Missing"], answer.headers
    return found[1:]  # the first one only warms up


def blocked(rounds: int) -> dict[str, tuple[float, float]]:
    """Return median and worst of the listener in a worker, and of a monitor beside them."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        (folder / "app.py").write_text(APP)
        shared = folder / "shared"
        command = [
            sys.executable, "-m", "gunicorn", "-w", str(WORKERS), "-b", "127.0.0.1:0", "--timeout",
            "0", "--env", f"FLASK_EXPVAR_DIR={shared}", "app:app",
        ]  # fmt: skip
        log = stack.enter_context(running(command, folder / "log", folder))
        wait_for(lambda: log(r"debug pages are at http"), "the listener")
        address = ("127.0.0.1", int(log(r"Listening at: http://127.0.0.1:(\d+)")[0]))
        for number in range(1, WORKERS + 1):
            # One after the other, or one worker may take two and have the second wait.
            connection = http.client.HTTPConnection(*address)
            stack.callback(connection.close)
            connection.request("GET", "/block")
            wait_for(lambda n=number: len(set(log(r"blocked (\d+)"))) == n, "all are blocked")  # type: ignore[misc]
        listener = int(log(r"debug pages are at http://127.0.0.1:(\d+)")[0])
        command = [
            sys.executable, "-m", "flask_expvar.cli", "monitor", "--bind", "127.0.0.1:0", "--dir",
            str(shared),
        ]  # fmt: skip
        seen = stack.enter_context(running(command, folder / "monitor", folder))
        wait_for(lambda: seen(r"debug pages are at http"), "the monitor")
        monitor = int(seen(r"debug pages are at http://127.0.0.1:(\d+)")[0])
        ports = {"listener": listener, "monitor": monitor}
        took = {name: milliseconds(port, rounds) for name, port in ports.items()}
    return {name: (median(each), max(each)) for name, each in took.items()}
