"""A server that starts as root and gives its workers to another user."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from apps import SHOP, TOKEN
from servers import Gunicorn

Start = Callable[..., Gunicorn]
NOBODY = 65534

CHANGING = (
    SHOP
    + """
version = expvar.new_int("shop/version")
version.set(7)

@app.get("/change")
def change():
    version.set(8)
    by_status.delete("paid")
    return "changed"

# Before any fork: what is imported late, the workers' user may not be able to read.
token = {"Authorization": "Bearer " + app.config["EXPVAR_TOKEN"]}
app.test_client().get("/debug/vars", headers=token)
app.test_client().get("/debug/", headers={**token, "Accept": "text/html"})
"""
)


@pytest.fixture
def server(gunicorn: Start) -> Gunicorn:
    if os.geteuid() != 0:
        pytest.skip("only root can give a worker to another user")
    server = gunicorn(CHANGING, "-w", "3", "--preload", "--user", str(NOBODY))
    assert {psutil.Process(pid).uids().real for pid in server.worker_pids()} == {NOBODY}
    return server


def reads(server: Gunicorn) -> list[Any]:
    return [server.get("/debug/vars", headers=TOKEN).json() for _ in range(12)]


def test_workers_of_another_user_tell_the_figures_of_all(server: Gunicorn) -> None:
    for _ in range(30):
        assert server.get("/").text == "ok"

    for read in reads(server):
        assert (read["shop/orders"], read["shop/orderStatus"]) == (30, {"paid": 30})
        assert read["shop/pid"] == sum(server.worker_pids())
        assert sorted(map(int, read["workers"])) == server.worker_pids()
        assert read["process"]["threads"] >= 6
    overview = server.get("/debug/", headers={**TOKEN, "Accept": "text/html"})
    assert (overview.status, "3 alive" in overview.text) == (200, True), server.log


def test_workers_of_another_user_die_without_a_loss(server: Gunicorn) -> None:
    for _ in range(30):
        server.get("/")
    server.kill_worker(server.worker_pids()[0])
    server.wait_until(lambda: len(server.worker_pids()) == 3, what="a new worker")
    server.get("/")

    assert {read["shop/orders"] for read in reads(server)} == {31}


def test_workers_of_another_user_set_and_delete(server: Gunicorn) -> None:
    server.get("/")
    assert {read["shop/version"] for read in reads(server)} == {7}
    assert server.get("/change").text == "changed"

    for read in reads(server):
        assert (read["shop/version"], read["shop/orderStatus"]) == (8, {})
        assert "expvar/dropped" not in read
