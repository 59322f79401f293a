"""Without a folder to share through: a worker counts by itself, says so, and answers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from apps import SHOP, TOKEN
from servers import Gunicorn

Start = Callable[..., Gunicorn]
ALONE = "counts by itself"
NOBODY = 65534

#: A disk that is full for any user: a file that outgrows the limit is refused (Python ignores
#: the signal). The log is a file as well, and has some room left.
LIMIT = """
import resource

def post_fork(server, worker):
    resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))
"""

#: A shop that declares more than one piece of a slot's file has room for.
GROWING = (
    SHOP
    + """
many = expvar.new_map("shop/many", max_keys=5000)

@app.get("/grow")
def grow():
    for number in range(2000):
        many.add(f"key{number}")
    return "grown"
"""
)


def told(server: Gunicorn) -> list[str]:
    """Return the notes of the page, which a browser is shown too."""
    notes: list[str] = server.get("/debug/vars.json?full=1", headers=TOKEN).json()["notes"]
    page = server.get("/debug/vars", headers={**TOKEN, "Accept": "text/html"}).text
    assert all(note.partition(":")[0] in page for note in notes)
    return notes


def counted(server: Gunicorn, orders: int) -> Any:
    """Place *orders*, and return what the one worker then has counted."""
    assert {server.get("/").text for _ in range(orders)} == {"ok"}
    return server.get("/debug/vars", headers=TOKEN).json()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Return ``disk(kibibytes)``: the folder of a new disk with so much room."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a disk")
    place = tmp_path / "disk"
    place.mkdir()

    def mount(size: int) -> Path:
        options = f"size={size}k,mode=0700"
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(place)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
        return place

    yield mount
    if place.is_mount():
        subprocess.run(["umount", str(place)], check=True)


def test_a_folder_that_is_none_leaves_each_worker_counting(gunicorn: Start, tmp_path: Path) -> None:
    wrong = tmp_path / "no-folder"
    wrong.touch()
    server = gunicorn(SHOP, "-w", "2", env={"FLASK_EXPVAR_DIR": str(wrong)})

    assert server.get("/").text == "ok"
    assert any(ALONE in note for note in told(server))
    assert server.log.count(ALONE) <= 2


def test_a_limit_on_files_leaves_the_worker_counting(gunicorn: Start, tmp_path: Path) -> None:
    server = gunicorn(
        SHOP,
        *("-w", "1"),
        env={"FLASK_EXPVAR_DIR": str(tmp_path / "shared")},
        config=LIMIT.format(size=60_000),
    )

    assert counted(server, 5)["shop/orders"] == 5
    assert [ALONE in note and "too large" in note for note in told(server)] == [True]
    assert server.log.count(ALONE) == 1


def test_a_full_disk_leaves_the_worker_counting(
    disk: Callable[[int], Path], gunicorn: Start
) -> None:
    env = {"FLASK_EXPVAR_DIR": str(disk(32))}
    server = gunicorn(SHOP, "-w", "1", env=env)

    assert counted(server, 5)["shop/orders"] == 5
    assert [ALONE in note and "No space left" in note for note in told(server)] == [True]
    assert server.log.count(ALONE) == 1


def check_growth(server: Gunicorn, error: str) -> None:
    assert server.get("/grow").text == "grown"
    found = counted(server, 5)

    assert found["shop/orders"] == 5
    assert found["shop/many"] == {f"key{number}": 1 for number in range(2000)}
    problem = "new variables are counted in this process only"
    assert any(problem in note and error in note for note in told(server))


def test_a_limit_on_files_leaves_new_variables_counting(gunicorn: Start, tmp_path: Path) -> None:
    env = {"FLASK_EXPVAR_DIR": str(tmp_path / "shared")}
    server = gunicorn(GROWING, "-w", "1", env=env, config=LIMIT.format(size=100_000))

    check_growth(server, "too large")


def test_a_disk_that_fills_up_leaves_new_variables_counting(
    disk: Callable[[int], Path], gunicorn: Start
) -> None:
    server = gunicorn(GROWING, "-w", "1", env={"FLASK_EXPVAR_DIR": str(disk(96))})

    check_growth(server, "No space left")


#: The whole of it in one process, warmed up before it changes its user: who that is may not be
#: able to read the files of Python and its libraries.
READ_ONLY = f"""
import json, logging, os, sys
from pathlib import Path
from flask import Flask
import flask_expvar as expvar

logging.basicConfig(stream=sys.stdout, format="LOG %(message)s")

def serve(place):
    registry = expvar.Registry("shop")
    app = Flask("shop")
    app.config.update(EXPVAR_TOKEN="a-token-of-the-tests-0123456789", EXPVAR_DIR=place)
    expvar.Expvar(app, registry=registry)
    orders = registry.new_int("shop/orders")
    app.add_url_rule("/", view_func=lambda: orders.add(1) or "ok")
    client = app.test_client()
    print(client.get("/").text)
    print(json.dumps(client.get("/debug/vars.json?full=1", headers={TOKEN}).json["notes"]))
    page = client.get("/debug/vars", headers={{**{TOKEN}, "Accept": "text/html"}}).text
    print({ALONE!r} in page)
    print(client.get("/debug/vars", headers={TOKEN}).json["shop/orders"])

serve(None)
print("READ ONLY")
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid({NOBODY})
    os.setuid({NOBODY})
serve(sys.argv[1])
"""


@pytest.fixture
def read_only() -> Iterator[Path]:
    """Return a folder of whom the server runs as, who may not write in it."""
    # Not in tmp_path, whose folders nobody but their owner may pass through.
    above = Path(tempfile.mkdtemp(prefix="expvar-"))
    place = above / "shared"
    place.mkdir(mode=0o500)
    above.chmod(0o711)
    if os.geteuid() == 0:
        os.chown(place, NOBODY, NOBODY)
    yield place
    place.chmod(0o700)
    shutil.rmtree(above)


def test_a_read_only_folder_leaves_the_worker_counting(read_only: Path) -> None:
    command = [sys.executable, "-c", READ_ONLY, str(read_only)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    answered = done.stdout.partition("READ ONLY\n")[2].splitlines()
    note = f"This worker counts by itself: {read_only} cannot be shared through: it is read-only"

    assert answered == [f"LOG {note}", "ok", f'["{note}"]', "True", "1"]
    assert list(read_only.parent.rglob("*")) == [read_only]
