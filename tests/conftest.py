"""Fixtures for all tests: real servers, a clean environment, and nothing left behind."""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

import leftovers
import pytest
from apps import TOKEN
from flask import Flask
from flask.testing import FlaskClient
from servers import Gunicorn, Nginx

from flask_expvar import Expvar, Registry
from flask_expvar.traces.trace import current

REAL_PARTS = ("gunicorn", "nginx")
CALL_FAILED = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that start a server, by the fixture they ask for."""
    for item in items:
        for name in REAL_PARTS:
            if name in getattr(item, "fixturenames", ()):
                item.add_marker(name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.when == "call":
        item.stash[CALL_FAILED] = report.failed
    return report


# -- tools -------------------------------------------------------------------------------------


def absent(what: str) -> NoReturn:
    """Skip the test at home and fail it in CI, where *what* must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing", pytrace=False)
    pytest.skip(f"{what} is missing")


@pytest.fixture(autouse=True)
def outside() -> Iterator[None]:
    """Begin outside of traces: tests of responses that nobody closes leave theirs behind."""
    token = current.set(None)
    yield
    current.reset(token)


@pytest.fixture
def need() -> Callable[[object, str], None]:
    """Return ``need(found, "what")``: without *found* the test is skipped, or fails in CI."""

    def need(found: object, what: str) -> None:
        if not found:
            absent(what)

    return need


@pytest.fixture
def need_tool() -> Callable[[str], str]:
    """Return ``need_tool("nginx")``, which answers the tool's path."""

    def need_tool(name: str) -> str:
        # Debian keeps servers in sbin, which is not on everybody's path.
        path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
        return shutil.which(name, path=path) or absent(name)

    return need_tool


@pytest.fixture
def gunicorn(tmp_path: Path) -> Iterator[Callable[..., Gunicorn]]:
    """Return ``gunicorn(app, *args, env=None, config=None)``: a running server, stopped after."""
    pytest.importorskip("gunicorn")
    numbers = itertools.count(1)
    with ExitStack() as stack:

        def start(app: str | Path, *args: str, **how: Any) -> Gunicorn:
            folder = tmp_path / f"gunicorn{next(numbers)}"
            return stack.enter_context(Gunicorn(app, *args, folder=folder, **how))

        yield start


@pytest.fixture
def nginx(tmp_path: Path, need_tool: Callable[[str], str]) -> Iterator[Callable[..., Nginx]]:
    """Return ``nginx(upstream, server=…)``: a running server, stopped after the test."""
    binary = need_tool("nginx")
    numbers = itertools.count(1)
    with ExitStack() as stack:

        def start(upstream: str, **how: Any) -> Nginx:
            folder = tmp_path / f"nginx{next(numbers)}"
            return stack.enter_context(Nginx(upstream, folder=folder, binary=binary, **how))

        yield start


# -- a small application --------------------------------------------------------------------------


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def client(registry: Registry) -> FlaskClient:
    """Return a client of an application whose pages ``apps.TOKEN`` opens."""
    app = Flask("shop")
    app.config["EXPVAR_TOKEN"] = TOKEN["Authorization"].split()[1]
    Expvar(app, registry=registry)
    return app.test_client()


# -- before and after every test -----------------------------------------------------------------


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the settings of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("FLASK_EXPVAR_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test that leaves a thread, a file of its own folder or a profiler behind."""
    # Asked for first, so that it is torn down before the folder and after all other fixtures.
    uses_folder = "tmp_path" in request.fixturenames
    folder = request.getfixturevalue("tmp_path") if uses_folder else None
    before = leftovers.threads()
    yield
    if request.node.stash.get(CALL_FAILED, False):
        return  # its traceback keeps everything alive, and one failure is enough
    deadline = time.monotonic() + 20
    pause = threading.Event()
    while left := leftovers.found(before, folder):
        if time.monotonic() > deadline:
            pytest.fail("left behind: " + ", ".join(left), pytrace=False)
        gc.collect()  # what only a cycle holds is not left behind
        pause.wait(0.02)
