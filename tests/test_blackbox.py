"""The black box: when a process notes what it does, and what it says when it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flask_expvar import Registry
from flask_expvar.workers.blackbox import BlackBox
from flask_expvar.workers.flight import key_of
from flask_expvar.workers.membership import Membership, leave_all, membership
from flask_expvar.workers.shared import SharedStore


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Membership]:
    """Return how a registry called shop shares in the test's folder."""
    registry = Registry("shop")
    sharing = membership(registry)
    sharing.join(str(tmp_path), {}, dict)
    yield sharing
    leave_all()


def test_a_worker_notes_nothing_before_it_is_prepared(shop: Membership) -> None:
    assert shop.flights is None
    shop.prepare()
    flights = shop.flights
    shop.prepare()

    assert flights is not None
    assert shop.flights is flights
    assert shop.note == ""


def test_a_worker_that_left_notes_nothing_in_the_file(shop: Membership, tmp_path: Path) -> None:
    shop.prepare()
    flights = shop.flights
    assert flights is not None
    before = (tmp_path / "flight-0").read_bytes()
    leave_all()
    flights.begin(1, 1, flights.text(shop.key, b"GET /"))

    assert shop.flights is None
    assert (tmp_path / "flight-0").read_bytes() == before


def test_a_registry_sees_its_own_dead_and_those_that_left_a_stack(
    shop: Membership, tmp_path: Path
) -> None:
    for number, name in enumerate(["shop", "other", "stack"]):
        store = SharedStore(tmp_path, 1000 + number)
        box = BlackBox(store)
        box.prepare()
        assert box.flights is not None
        box.flights.begin(1, number, box.flights.text(key_of(name), b"GET /"))
        if name == "stack":
            (tmp_path / f"stack-{store.number}").write_text("Fatal Python error: Aborted")
        box.close()
        store.close()
    found = {grave.pid: len(grave.requests) for grave in shop.graves()}

    assert found == {1000: 1, 1002: 0}


def test_alone_nobody_is_dead(tmp_path: Path) -> None:
    registry = Registry("alone")
    sharing = membership(registry)
    sharing.prepare()

    assert (sharing.flights, sharing.graves(), sharing.stacks_note) == (None, [], "")


def test_a_process_that_only_forks_workers_notes_nothing(tmp_path: Path) -> None:
    store = SharedStore(tmp_path, 1, worker=False)
    box = BlackBox(store)
    box.prepare()
    store.close()

    assert box.flights is None
    assert not (tmp_path / "flight-0").exists()


def test_without_room_a_worker_says_that_it_will_be_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SharedStore(tmp_path, 1)
    box = BlackBox(store)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    box.prepare()
    box.prepare()
    store.close()

    assert box.flights is None
    assert box.note.startswith("What this worker does will be forgotten if it dies: ")
    assert "No space left" in box.note
