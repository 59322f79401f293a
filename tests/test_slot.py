"""A slot: it grows without moving a word, and a full disk costs only what is new."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from flask_expvar.exceptions import StoreError
from flask_expvar.variables import layout
from flask_expvar.variables.layout import Spec
from flask_expvar.variables.slot import Slot, SlotFile


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "slot-0", os.O_RDWR | os.O_CREAT)
    os.unlink(tmp_path / "slot-0")
    yield fd
    os.close(fd)


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_thousands_of_variables_are_all_there_when_read_again(fd: int) -> None:
    slot = Slot(SlotFile(fd))
    above = slot.node(None, Spec("registry", "shop"))
    nodes = [slot.node(above, Spec("int", f"n{n}", help="x" * (n % 90))) for n in range(3000)]
    for n, node in enumerate(nodes):
        node.ints[node.at] = n

    again = {node.spec.name: node.ints[node.at] for node in Slot(SlotFile(fd)).nodes[1:]}

    assert os.fstat(fd).st_size > 3 * layout.GRAIN
    assert again == {f"n{n}": n for n in range(3000)}
    assert all(node.ints[node.at] == n for n, node in enumerate(nodes))


def test_a_variable_larger_than_a_piece_gets_a_piece_of_its_own(fd: int) -> None:
    slot = Slot(SlotFile(fd))
    small = slot.node(None, Spec("int", "small"))
    large = slot.node(None, Spec("int", "large", help="x" * 65_000))
    small.ints[small.at], large.ints[large.at] = 1, 2

    again = {node.spec.name: node.ints[node.at] for node in Slot(SlotFile(fd)).nodes}

    assert again == {"small": 1, "large": 2}
    assert slot.problem == ""


def test_the_same_declaration_has_the_same_words_in_the_next_process(fd: int) -> None:
    for expected in range(3):
        node = Slot(SlotFile(fd)).node(None, Spec("int", "n"))
        assert node.ints[node.at] == expected
        node.ints[node.at] += 1


def test_on_a_full_disk_new_variables_are_private_and_old_ones_count_on(
    fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = Slot(SlotFile(fd))
    old = slot.node(None, Spec("map", "old"))
    monkeypatch.setattr(os, "posix_fallocate", full)
    new = [slot.node(old, Spec("int", f"n{n}", help="x" * 500)) for n in range(200)]
    for node in [old, *new]:
        node.ints[node.at] += 7

    assert "No space left" in slot.problem
    assert new[0].offset is not None
    assert new[-1].offset is None
    assert {node.ints[node.at] for node in new} == {7}
    assert len(slot.nodes) == 201


def test_without_room_for_the_first_piece_there_is_no_file(
    fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", full)

    with pytest.raises(OSError, match="No space"):
        SlotFile(fd)


def test_a_description_too_long_for_a_record_is_counted_privately(fd: int) -> None:
    slot = Slot(SlotFile(fd))

    node = slot.node(None, Spec("int", "n", help="x" * 70_000))

    assert node.offset is None
    assert "has 70" in slot.problem


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        ([1, 1, 512], "not one of flask_expvar's"),
        ([layout.MAGIC, layout.VERSION + 1, 512], f"has format {layout.VERSION + 1}"),
        ([layout.MAGIC, layout.VERSION, 99_999], "claims 99999"),
        ([layout.MAGIC, layout.VERSION, -1], "claims -1"),
    ],
)
def test_a_file_of_others_is_refused(fd: int, head: list[int], problem: str) -> None:
    os.pwrite(fd, b"".join(n.to_bytes(8, "little", signed=True) for n in head), 0)
    os.truncate(fd, layout.GRAIN)

    with pytest.raises(StoreError, match=problem):
        SlotFile(fd)


def test_a_file_cut_short_is_refused(fd: int) -> None:
    os.truncate(fd, 1000)

    with pytest.raises(StoreError, match="cut short: 1000"):
        SlotFile(fd)


def test_what_follows_a_damaged_record_makes_room_for_the_next(fd: int) -> None:
    slot = Slot(SlotFile(fd))
    first, second = (slot.node(None, Spec("int", name)) for name in ("first", "second"))
    first.ints[first.at] = 5
    os.pwrite(fd, b"????", second.offset or 0)

    third = (again := Slot(SlotFile(fd))).node(None, Spec("int", "third"))

    assert [node.spec.name for node in again.nodes] == ["first", "third"]
    assert (third.offset, third.ints[third.at]) == (second.offset, 0)
    assert again.nodes[0].ints[again.nodes[0].at] == 5


def test_what_is_looked_at_one_by_one_is_found_without_looking_at_all() -> None:
    slot = Slot()
    for kind in ("int", "string", "map", "func", "ring", "float", "histogram", "string"):
        slot.node(None, Spec(kind, f"{kind}{len(slot.nodes)}"))

    assert [node.spec.kind for node in slot.nodes.rare] == ["string", "func", "ring", "string"]
    assert len(slot.nodes) == 8
