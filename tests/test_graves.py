"""The graves of dead workers: who is buried, once, and what a spoilt file does."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_expvar.workers import folder, graves, lease
from flask_expvar.workers.blackbox import BlackBox
from flask_expvar.workers.flight import SIZE, Flight, Flights, key_of
from flask_expvar.workers.graves import Grave, Graveyard
from flask_expvar.workers.shared import SharedStore

SHOP, OTHER = key_of("shop"), key_of("other")
ABORTED = b"Fatal Python error: Aborted\n\nCurrent thread 0x7f (most recent call first):\n"


class Worker:
    """One life in a slot, as far as the folder can tell."""

    def __init__(self, place: Path, pid: int) -> None:
        self.store = SharedStore(place, pid)
        self.box = BlackBox(self.store)
        self.box.prepare()

    @property
    def flights(self) -> Flights:
        assert self.box.flights is not None
        return self.box.flights

    @property
    def yard(self) -> Graveyard:
        return self.box.graveyard

    def begin(self, began_ns: int, number: int, text: bytes) -> int:
        """Note a request."""
        return self.flights.begin(began_ns, number, self.flights.text(SHOP, text))

    def die(self, stack: bytes = b"") -> None:
        """End without a chance to clear up."""
        if stack:
            self.yard.stack_file(self.store.number).write_bytes(stack)
        self.box.close()
        self.store.close()


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Callable[[], Worker]]:
    """Return ``work()``: one more worker in the folder; the first has the pid 1000."""
    workers: list[Worker] = []

    def work() -> Worker:
        workers.append(Worker(tmp_path, 1000 + len(workers)))
        return workers[-1]

    yield work
    while workers:
        workers.pop().die()


Work = Callable[[], Worker]


def grave(number: int = 1, **fields: Any) -> Grave:
    flights = (Flight(SHOP, number, 0, 7, "GET /"),)
    return replace(Grave(0, number, number, number, True, "SIGABRT", flights, 0, "stack"), **fields)


def test_what_a_dead_worker_was_doing_is_seen_at_once_by_the_others(work: Work) -> None:
    dead, living = work(), work()
    dead.begin(100, 7, b"GET /slow")
    living.begin(200, 8, b"GET /fast")
    dead.die()
    (found,) = living.yard.graves()

    assert (found.slot, found.pid) == (0, 1000)
    assert found.started_ns == dead.store.started_ns
    assert found.requests == (Flight(SHOP, 100, 0, 7, "GET /slow"),)
    assert (found.exact, found.cause, found.stack) == (False, "", "")


def test_the_time_when_a_death_was_first_noticed_stands(work: Work, tmp_path: Path) -> None:
    dead, living = work(), work()
    dead.begin(100, 7, b"GET /slow")
    dead.die()
    first = living.yard.graves()
    heir = work()

    assert heir.store.number == 0
    assert living.yard.graves() == heir.yard.graves() == first


def test_a_successor_buries_before_it_notes_its_own(work: Work) -> None:
    dead = work()
    dead.begin(100, 7, b"GET /slow")
    dead.die()
    heir = work()
    heir.begin(200, 8, b"GET /fast")
    (found,) = heir.yard.graves()

    assert [each.text for each in found.requests] == ["GET /slow"]


def test_a_slot_that_is_taken_again_meanwhile_has_no_grave(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    heir, reader = work(), work()
    heir.begin(100, 7, b"GET /fast")
    # The first slot was free when it was asked for, and its heir came just then.
    answers = [True]
    is_free = lease.is_free
    monkeypatch.setattr(lease, "is_free", lambda path: answers.pop() if answers else is_free(path))

    assert reader.yard.graves() == []
    assert answers == []


def test_a_worker_that_ends_in_good_order_has_no_grave(work: Work) -> None:
    done, living = work(), work()
    done.flights.end(done.begin(100, 7, b"GET /"))
    done.die()

    assert living.yard.graves() == []
    assert work().yard.graves() == []


def test_a_stack_tells_the_cause_and_the_exact_time(work: Work, tmp_path: Path) -> None:
    dead, living = work(), work()
    dead.die(ABORTED + b'  File "app.py", line 7 in slow\n')
    os.utime(tmp_path / "stack-0", ns=(0, 123_456_789))
    (found,) = living.yard.graves()

    assert (found.cause, found.exact, found.died_ns) == ("SIGABRT", True, 123_456_789)
    assert "line 7 in slow" in found.stack
    assert found.requests == ()


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("Fatal Python error: Segmentation fault", "SIGSEGV"),
        ("Fatal Python error: Bus error", "SIGBUS"),
        ("Fatal Python error: Floating-point exception", "SIGFPE"),
        ("Fatal Python error: Floating point exception", "SIGFPE"),
        ("Fatal Python error: Illegal instruction", "SIGILL"),
        ("Timeout (0:00:01)!", ""),
    ],
)
def test_causes_are_signals(work: Work, line: str, cause: str) -> None:
    dead, living = work(), work()
    dead.die(f"{line}\n\nCurrent thread".encode())

    assert [each.cause for each in living.yard.graves()] == [cause]


def test_a_kept_request_that_ended_long_before_the_last_words_is_not_buried(work: Work) -> None:
    dead, living = work(), work()
    dead.flights.keep(dead.begin(100, 7, b"GET /slow"))
    dead.die(ABORTED)
    written = (dead.yard.stack_file(0)).stat().st_mtime_ns
    assert len(living.yard.graves()[0].requests) == 1
    (living.yard._folder / "graves.json").unlink()
    os.utime(dead.yard.stack_file(0), ns=(0, written + 2 * 10**9))

    assert living.yard.graves()[0].requests == ()


@pytest.mark.parametrize(("later", "buried"), [(-1, 1), (1, 0)])
def test_a_kept_request_is_buried_if_its_end_was_that_of_its_worker(
    work: Work, tmp_path: Path, later: int, buried: int
) -> None:
    dead, living = work(), work()
    dead.flights.keep(dead.begin(100, 7, b"GET /slow"))
    dead.die()
    seen_ns = time.time_ns() + graves.SEEN_WITHIN + later * 10**9
    yard = Graveyard(tmp_path, living.store.exclusive, clock=lambda: seen_ns)

    assert len(yard.graves()) == buried


def test_a_long_stack_is_cut(work: Work) -> None:
    dead, living = work(), work()
    dead.die(ABORTED + b"x" * 10**6)
    (found,) = living.yard.graves()

    assert len(found.stack) == graves.LONGEST_STACK


def test_each_registry_sees_its_own_requests() -> None:
    flights = (Flight(SHOP, 1, 0, 7, "GET /"), Flight(OTHER, 2, 0, 8, "GET /other"))

    assert grave(requests=flights).of(OTHER).requests == flights[1:]


def test_a_hundred_deaths_leave_fifty_graves_and_no_more_files(work: Work, tmp_path: Path) -> None:
    for number in range(100):
        dead = work()
        dead.begin(100, number, b"GET /slow")
        dead.die(ABORTED)
    found = work().yard.graves()
    names = sorted(path.name for path in tmp_path.iterdir())

    assert [each.requests[0].number for each in found] == [*range(99, 49, -1)]
    assert names == ["flight-0", "graves.json", "lock", "slot-0"]


def test_the_file_stays_small_whatever_the_deaths(work: Work, tmp_path: Path) -> None:
    for _ in range(20):
        dead = work()
        for number in range(255):
            dead.begin(number, number, b"\x01" * 999)
        dead.die(ABORTED + b"\x01" * 10**6)
    found = work().yard.graves()

    assert (tmp_path / "graves.json").stat().st_size <= graves.MOST_BYTES + 100
    assert found[0].pid == 1019


def test_a_death_that_cannot_be_written_down_is_told_all_the_same(
    work: Work, tmp_path: Path
) -> None:
    dead, living = work(), work()
    dead.begin(100, 7, b"GET /slow")
    dead.die()
    (tmp_path / "graves.json").mkdir()

    assert [each.pid for each in living.yard.graves()] == [1000]


def test_a_file_of_a_newer_version_is_neither_read_nor_touched(work: Work, tmp_path: Path) -> None:
    newer = json.dumps({"format": graves.FORMAT + 1, "graves": [grave().to_json()]})
    (tmp_path / "graves.json").write_text(newer)
    dead = work()
    dead.begin(100, 7, b"GET /slow")
    dead.die()
    living = work()

    assert living.yard.graves() == []
    assert (tmp_path / "graves.json").read_text() == newer


@pytest.mark.parametrize(
    "spoilt",
    [b"", b"\xff", b"[]", b"7", b"[" * 10**5, b'{"format":1}', b'{"format":1,"graves":[7,{}]}'],
)
def test_a_spoilt_file_is_replaced(work: Work, tmp_path: Path, spoilt: bytes) -> None:
    (tmp_path / "graves.json").write_bytes(spoilt)
    dead, living = work(), work()
    dead.begin(100, 7, b"GET /slow")
    dead.die()

    assert [each.pid for each in living.yard.graves()] == [1000]
    assert len(json.loads((tmp_path / "graves.json").read_bytes())["graves"]) == 1


def test_a_grave_comes_back_from_json_as_it_was() -> None:
    assert Grave.from_json(json.loads(json.dumps(grave().to_json()))) == grave()


@pytest.mark.parametrize(
    "field",
    [
        {"pid": "7"}, {"pid": -1}, {"pid": True}, {"died_ns": 2**63}, {"exact": 1},
        {"stack": "\ud800"}, {"stack": None}, {"requests": 7}, {"requests": [{}]}, {"more": 1},
    ],
    ids=str,
)  # fmt: skip
def test_a_grave_of_any_other_shape_is_none(field: dict[str, Any]) -> None:
    assert Grave.from_json({**grave().to_json(), **field}) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=9,
)


@given(JSON, st.sampled_from(sorted(grave().to_json())), JSON)
def test_any_other_json_is_no_grave(whole: Any, name: str, part: Any) -> None:
    Grave.from_json(whole)
    Grave.from_json({**grave().to_json(), name: part})
    Grave.from_json({**grave().to_json(), "requests": [part, whole]})


@settings(deadline=None)  # it makes files, and a disk may take its time
@given(st.binary(max_size=900), st.binary(max_size=300), st.binary(max_size=300))
def test_reading_never_raises_on_garbage(
    tmp_path_factory: pytest.TempPathFactory, notes: bytes, stack: bytes, file: bytes
) -> None:
    place = tmp_path_factory.mktemp("garbage")
    dead, living = Worker(place, 1), Worker(place, 2)
    dead.die(stack)
    whole = bytearray((place / "flight-0").read_bytes())
    whole[200 : 200 + len(notes)] = notes
    (place / "flight-0").write_bytes(whole[:SIZE])
    (place / "graves.json").write_bytes(file)

    living.yard.graves()
    living.yard.bury(0)
    living.die()


def test_what_root_leaves_belongs_to_the_owner_of_the_folder(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(tmp_path, 12345, 12345)
    dead = Worker(tmp_path, 1)
    dead.begin(100, 7, b"GET /slow")
    dead.die()
    heir = Worker(tmp_path, 2)
    heir.die()

    assert {path.stat().st_uid for path in tmp_path.iterdir()} == {12345}
    assert (tmp_path / "graves.json").exists()


def test_the_sweep_takes_what_the_dead_have_left(tmp_path: Path) -> None:
    place = tmp_path / f"{folder.PREFIX}999999999-0"
    place.mkdir(mode=0o700)
    dead = Worker(place, 1)
    dead.begin(100, 7, b"GET /slow")
    dead.die(ABORTED)
    last = Worker(place, 2)
    last.begin(100, 7, b"GET /slow")
    last.die(ABORTED)
    folder.sweep(tmp_path, grace=0)

    assert list(tmp_path.iterdir()) == []
