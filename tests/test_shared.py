"""The shared folder: slots, what they survive, and what they say when they cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from apps import SHOP, TOKEN
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers import Gunicorn

from flask_expvar import Registry
from flask_expvar.exceptions import StoreError
from flask_expvar.variables import layout
from flask_expvar.variables.store import LocalStore
from flask_expvar.workers import folder, lease
from flask_expvar.workers.shared import SharedStore

Open = Callable[..., tuple[Registry, SharedStore]]


@pytest.fixture
def join(tmp_path: Path) -> Iterator[Open]:
    """Return ``join()``: one more worker in the folder, as far as the folder can tell."""
    stores: list[SharedStore] = []
    registries: list[Registry] = []

    def join(**how: bool) -> tuple[Registry, SharedStore]:
        store = SharedStore(tmp_path, os.getpid() + len(stores), **how)
        registry = Registry("shop")
        registry.attach(store)
        stores.append(store)
        registries.append(registry)
        return registry, store

    yield join
    for registry in registries:
        registry.attach(LocalStore(os.getpid()))
    for store in stores:
        store.close()
    stores.clear()


def test_each_worker_counts_in_its_own_slot_and_reads_the_sum(join: Open, tmp_path: Path) -> None:
    workers = [join()[0] for _ in range(3)]
    for number, registry in enumerate(workers, 1):
        registry.new_int("orders").add(number)
        registry.new_map("status").add("paid", number)

    for registry in workers:
        assert registry.snapshot() == {"orders": 6, "status": {"paid": 6}}
    assert sorted(lease.slot_files(tmp_path)) == [0, 1, 2]


def test_a_thousand_workers_one_after_the_other_use_one_file(join: Open, tmp_path: Path) -> None:
    for _ in range(1000):
        store = SharedStore(tmp_path, os.getpid())
        registry = Registry("shop")
        registry.attach(store)
        registry.new_int("orders").add(1)
        store.close()
    registry, _ = join()

    assert registry.new_int("orders").value == 1000
    assert sorted(lease.slot_files(tmp_path)) == [0]


def test_the_total_never_falls_while_a_slot_changes_hands(join: Open) -> None:
    reader, _ = join()
    total = reader.new_int("orders")
    seen = []
    for _ in range(20):
        registry, store = join()
        registry.new_int("orders").add(1)
        seen.append(total.value)
        store.close()
        seen.append(total.value)

    assert seen == sorted(seen)
    assert seen[-1] == 20


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("sum", 12), ("livesum", 4), ("max", 8), ("min", 4), ("mostrecent", 4)],
)
def test_a_gauge_keeps_of_the_dead_what_its_rule_wants(
    join: Open, mode: str, expected: int
) -> None:
    dead, store = join()
    dead.new_int("g", multiprocess_mode=mode).set(8)
    store.close()
    heir, _ = join()
    heir.new_int("g", multiprocess_mode=mode).set(4)

    assert heir.new_int("g", multiprocess_mode=mode).value == expected


def test_setting_a_counter_sets_the_total_whoever_counted(join: Open) -> None:
    (one, _), (other, _) = join(), join()
    one.new_int("orders").add(5)
    other.new_int("orders").set(100)
    one.new_int("orders").add(1)

    assert one.new_int("orders").value == other.new_int("orders").value == 101


def test_a_deleted_key_is_gone_for_all_and_comes_back_at_zero(join: Open) -> None:
    (one, _), (other, _) = join(), join()
    for registry in (one, other):
        registry.new_map("status").add("paid", 3)
    one.new_map("status").delete("paid")
    assert other.snapshot() == {"status": {}}
    other.new_map("status").add("paid")

    assert one.snapshot() == other.snapshot() == {"status": {"paid": 1}}


@pytest.mark.parametrize(
    ("mode", "older", "left", "then"),
    [("sum", 40, 7, 12), ("max", 40, 7, 7), ("min", 1, 7, 5), ("mostrecent", 40, 7, 5)],
)
def test_what_was_deleted_stays_gone_when_the_deleter_has_died(
    join: Open, mode: str, older: int, left: int, then: int
) -> None:
    (other, _), (deleter, store) = join(), join()
    maps = [registry.new_map("m", multiprocess_mode=mode) for registry in (other, deleter)]
    maps[0].set("key", older)
    maps[1].delete("key")
    maps[1].set("key", 7)
    store.close()
    heir, _ = join()

    assert heir.snapshot() == other.snapshot() == {"m": {"key": left}}
    heir.new_map("m", multiprocess_mode=mode).set("key", 5)
    assert heir.snapshot() == other.snapshot() == {"m": {"key": then}}


def spoil(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "truncated":
        data = data[:100]
    elif how == "garbage":
        data = bytearray(os.urandom(len(data)))
    elif how == "newer":
        data[8:16] = (layout.VERSION + 1).to_bytes(8, sys.byteorder)
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["truncated", "garbage", "newer"])
def test_a_spoilt_sibling_is_named_and_the_rest_is_counted(
    join: Open, tmp_path: Path, how: str
) -> None:
    (reader, _), (other, store) = join(), join()
    reader.new_int("orders").add(1)
    other.new_int("orders").add(2)
    assert reader.new_int("orders").value == 3
    store.close()
    spoil(tmp_path / "slot-1", how)

    assert reader.new_int("orders").value == 1
    assert any("slot 1" in p.problem or "file" in p.problem for p in reader.parts() if p.problem)


@pytest.mark.parametrize(("how", "slot"), [("truncated", 0), ("garbage", 0), ("newer", 1)])
def test_a_worker_gets_past_a_spoilt_slot(join: Open, tmp_path: Path, how: str, slot: int) -> None:
    join()[1].close()
    spoil(tmp_path / "slot-0", how)
    registry, store = join()
    registry.new_int("orders").add(1)

    assert store.number == slot
    assert registry.snapshot() == {"orders": 1}
    assert (tmp_path / "damaged-0").exists() == (how != "newer")


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(at=st.integers(0, 3000), junk=st.binary(min_size=1, max_size=64))
def test_any_damage_is_read_without_harm(join: Open, tmp_path: Path, at: int, junk: bytes) -> None:
    for file in tmp_path.glob("slot-*"):
        if file.name != "slot-0":
            file.unlink()
    number = 1
    reader, _ = join()
    writer, store = join()
    for each in range(20):
        writer.new_map("status").add(f"key {each}")
        number = store.number
    path = tmp_path / f"slot-{number}"
    with path.open("r+b") as file:
        file.seek(at)
        file.write(junk)

    reader.snapshot()
    reader.rows()
    store.close()


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o707])
def test_a_folder_that_others_may_write_in_is_refused(tmp_path: Path, mode: int) -> None:
    place = tmp_path / "shared"
    place.mkdir()
    place.chmod(mode)
    with pytest.raises(StoreError, match="chmod 700"):
        folder.find(str(place), {})


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    place = tmp_path / "shared"
    place.mkdir(mode=0o700)
    os.chown(place, 12345, 12345)
    with pytest.raises(StoreError, match="belongs to user 12345"):
        folder.find(str(place), {})


def test_what_root_makes_belongs_to_the_owner_of_the_folder(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(tmp_path, 12345, 12345)
    store = SharedStore(tmp_path, os.getpid())
    with store.exclusive():
        pass
    store.close()

    owners = {path.name: path.stat().st_uid for path in tmp_path.iterdir()}
    assert owners == {"slot-0": 12345, "lock": 12345}


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for wrong in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match="cannot be shared through"):
            folder.find(str(wrong), {})


def test_the_sweep_takes_the_folders_of_dead_arbiters_only(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    alive = tmp_path / (folder.PREFIX + folder.identity(process.pid))
    reused = tmp_path / f"{folder.PREFIX}{process.pid}-00000000"
    foreign = tmp_path / "something-else"
    for path in (alive, reused, foreign):
        path.mkdir(mode=0o700)
    busy = tmp_path / f"{folder.PREFIX}1-00000000"
    busy.mkdir(mode=0o700)
    store = SharedStore(busy, 1)
    folder.sweep(tmp_path, grace=3600)
    assert reused.exists()
    folder.sweep(tmp_path, grace=0)
    assert {path.name for path in tmp_path.iterdir()} == {alive.name, foreign.name, busy.name}
    store.close()
    process.communicate(b"\n", timeout=30)
    folder.sweep(tmp_path, grace=0)

    assert {path.name for path in tmp_path.iterdir()} == {foreign.name}


def test_expvar_dir_serves_any_other_server(
    gunicorn: Callable[..., Gunicorn], tmp_path: Path
) -> None:
    place = tmp_path / "shared"
    server = gunicorn(SHOP, "-w", "2", env={"FLASK_EXPVAR_DIR": str(place)})
    for _ in range(10):
        server.get("/")

    assert server.get("/debug/vars", headers=TOKEN).json()["shop/orders"] == 10
    assert lease.slot_files(place)


def test_a_slots_file_that_another_has_replaced_is_read_anew(join: Open, tmp_path: Path) -> None:
    (reader, _), (other, store) = join(), join()
    other.new_int("orders").add(2)
    assert reader.snapshot() == {"orders": 2}
    store.close()
    (tmp_path / "slot-1").rename(tmp_path / "damaged-1")
    heir, _ = join()
    heir.new_int("orders").add(5)

    assert reader.snapshot() == {"orders": 5}


def test_a_slot_that_has_grown_is_read_through_one_mapping(join: Open) -> None:
    (reader, _), (other, _) = join(), join()
    for number in range(2000):
        other.new_int(f"v{number}").add(number)
        if number % 500 == 0:
            reader.parts()

    _, part = reader.parts()

    assert len({id(words) for node in part.nodes for words in (node.ints, node.floats)}) == 2
    assert reader.snapshot() == {f"v{number}": number for number in range(2000)}
