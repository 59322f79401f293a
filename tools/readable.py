"""Measure how soon each page is readable in Chromium, and what a tab that is open costs.

    python tools/readable.py [seconds]

Starts a gunicorn of four workers with 1,000 variables and 200 families of traces, and prints for
each page the time until the server has answered, until Chromium paints the first text, and until
the page is ready, medians of several loads in milliseconds. With *seconds* it also opens the
overview with ``refresh=5`` for so long, and tells the CPU time of all workers beyond that of the
same time before.

Needs what tools/screenshots.py needs, and gunicorn.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

APP = """
from flask import Flask
import flask_expvar as expvar

app = Flask("shop")
app.config["EXPVAR_ACCESS"] = "loopback"
expvar.Expvar(app)
for number in range(1000):
    expvar.new_int(f"shop/part{number // 50}/count{number:04}", "how often").add(number)
log = expvar.event_log("pool", "db1")
log.error("connection lost")
expvar.register_queue("mails", lambda limit, offset: ([expvar.QueueItem("1")], 1))


@app.get("/")
def index():
    for number in range(200):
        with expvar.trace(f"family {number}", "work"):
            expvar.current_trace().log("asking")
    return "ok"


@app.get("/fail")
def fail():
    raise ValueError("on purpose")
"""
#: Milliseconds that are promised: of the server, and until a person can read.
SERVER, READABLE = 100, 300
TIMES = 7
PAGES = (
    "", "vars", "vars?name=shop/part0/count0001", "vars?limit=1000", "metrics", "traces",
    "traces?fam=family%201", "events", "threads", "memory", "profile", "queue", "flags", "config",
)  # fmt: skip
TIMING = """() => {
    const [all] = performance.getEntriesByType("navigation");
    const paint = performance.getEntriesByName("first-contentful-paint")[0];
    return [all.responseEnd - all.requestStart, paint ? paint.startTime : 0,
            all.domContentLoadedEventEnd, all.decodedBodySize];
}"""


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """Yield where the pages are, and the processes that make them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "measured.py").write_text(APP)
    command = [sys.executable, "-m", "gunicorn", "-w", "4", "--threads", "2", "--chdir", folder]
    command += ["--bind", f"127.0.0.1:{port}", "--log-level", "critical", "measured:app"]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        start = f"http://127.0.0.1:{port}/"
        for _ in range(100):
            try:
                _ask(start)
                break
            except OSError:
                time.sleep(0.1)
        for number in range(60):
            _ask(start + ("fail" if number % 10 == 0 else ""))
        time.sleep(3)  # until charts have points
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()
        yield start + "debug/", [int(pid) for pid in children.split()]
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def _ask(url: str) -> None:
    try:
        urllib.request.urlopen(url).read()
    except urllib.error.HTTPError as error:
        error.read()


def cpu(pids: list[int]) -> float:
    """Return the CPU seconds that the processes have used, of all their threads."""
    files = [file for pid in pids for file in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(int(file.read_text().split()[0]) for file in files) / 1e9


def load(page: Page, url: str) -> list[float]:
    """Return the medians of several loads of one page."""
    found = []
    for _ in range(TIMES):
        page.goto(url, wait_until="load")
        # The paint is told a moment later; not by wait_for_function, whose eval the policy refuses.
        while not (times := page.evaluate(TIMING))[1]:
            page.wait_for_timeout(20)
        found.append(times)
    return [statistics.median(each) for each in zip(*found)]


def tab(page: Page, start: str, pids: list[int], seconds: float) -> None:
    """Print what a tab costs that somebody watches every five seconds."""
    page.goto("about:blank")
    before = cpu(pids)
    time.sleep(seconds)
    idle = cpu(pids) - before
    page.goto(start + "?refresh=5")
    before = cpu(pids)
    page.wait_for_timeout(1000 * seconds)
    extra = cpu(pids) - before - idle
    print(
        f"\nA tab at 5 s: {extra:.2f} s of CPU in {seconds:.0f} s, beside {idle:.2f} s without it:"
    )
    print(f"{100 * extra / seconds:.2f}% of a core; every 120 s, when left alone,"
          f" {100 * extra / seconds * 5 / 120:.3f}%")  # fmt: skip


def main(seconds: float = 0) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
        )
        with served(Path(folder)) as (start, pids):
            page = browser.new_page()
            page.goto(start)
            print(f"| {'page':32} | server ms | first text ms | ready ms | KB | kept? |")
            print("|----------------------------------|---|---|---|---|---|")
            for name in PAGES:
                server, paint, ready, size = load(page, start + name)
                kept = server <= SERVER and max(paint, ready) <= READABLE
                print(f"| {name or 'overview':32} | {server:.0f} | {paint:.0f} | {ready:.0f}"
                      f" | {size / 1000:.0f} | {'yes' if kept else 'NO'} |")  # fmt: skip
            if seconds:
                tab(page, start, pids, seconds)
        browser.close()


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
