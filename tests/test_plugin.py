"""The pytest plugin and the testing helpers, used as a user's tests use them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

import flask_expvar as expvar
from flask_expvar.testing import Changes

Seen = Callable[..., AbstractContextManager[Changes]]

USER_TEST = """
import sys

assert "flask" not in sys.modules, "the plugin imported Flask"

from flask import Flask
import pytest
import flask_expvar as expvar


@pytest.fixture
def client():
    app = Flask("shop")
    app.config.update(TESTING=True, EXPVAR_ACCESS="open")
    expvar.Expvar(app)
    app.add_url_rule("/", view_func=lambda: "ok")
    return app.test_client()


@pytest.mark.parametrize("n", range(8))
def test_counts(client, expvar_changes, n):
    with expvar_changes() as changes:
        client.get("/")
    assert changes["http/responseCodeCount"] == {"200": 1}
    assert changes["http/exceptionCount"] == {}
    assert client.get("/debug/vars").json["http/responseCodeCount"]["200"] >= 1


def test_fresh(expvar_registry):
    expvar_registry.new_int("a").add(2)
    assert expvar_registry.snapshot() == {"a": 2}
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_a_users_tests_find_the_fixtures(tmp_path: Path, workers: tuple[str, ...]) -> None:
    (tmp_path / "test_shop.py").write_text(USER_TEST)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *workers]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "9 passed" in done.stdout


def test_changes_lists_only_what_changed(
    expvar_registry: expvar.Registry, expvar_changes: Seen
) -> None:
    orders = expvar_registry.new_int("orders")
    by_status = expvar_registry.new_map("status")
    by_status.add("old")
    expvar_registry.new_int("idle")
    with expvar_changes(expvar_registry) as changes:
        orders.add(2)
        by_status.add("paid")
    orders.add(5)

    assert changes == {"orders": 2, "status": {"paid": 1}}
    assert changes["idle"] == 0
    with pytest.raises(KeyError, match="orders"):
        changes["ordres"]


def test_importing_the_plugin_or_the_package_leaves_flask_alone() -> None:
    code = "import sys, flask_expvar, flask_expvar.pytest_plugin; assert 'flask' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
