"""The notes of requests in flight: what is left in the file, and what it costs to find out."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_expvar.workers import flight
from flask_expvar.workers.flight import ENTRY, SIZE, Flight, Flights, Remains

SHOP = flight.key_of("shop")


class Clock:
    """A wall clock in ns that stands until it is told to go on."""

    now = 1_700_000_000_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def flights(tmp_path: Path, clock: Clock) -> Iterator[Flights]:
    made = Flights(tmp_path / "flight-0", 4711, 5, clock=clock)
    yield made
    made.forget()


@pytest.fixture
def left(flights: Flights, tmp_path: Path) -> Callable[[], Remains]:
    """Return ``left()``: what a reader finds if the process dies now."""

    def left() -> Remains:
        found = flight.read((tmp_path / "flight-0").read_bytes())
        assert found is not None
        return found

    return left


def texts(remains: Remains) -> list[str]:
    return [each.text for each in remains.flights]


def test_a_request_in_flight_is_left_with_all_that_was_known(
    flights: Flights, left: Callable[[], Remains]
) -> None:
    index = flights.begin(100, 2**64 - 1, SHOP, b"GET")
    flights.name(index, b"GET /orders/<int:number>")

    assert left() == Remains(
        4711, 5, 0, (Flight(SHOP, 100, 0, 2**64 - 1, "GET /orders/<int:number>"),)
    )


def test_a_request_that_ended_leaves_nothing(flights: Flights, left: Callable[[], Remains]) -> None:
    for number in range(1000):
        flights.end(flights.begin(number, 0, SHOP, b"GET"))

    assert left().flights == ()


def test_flights_are_told_oldest_first(flights: Flights, left: Callable[[], Remains]) -> None:
    for began in (30, 10, 20):
        flights.begin(began, 0, SHOP, b"%d" % began)

    assert texts(left()) == ["10", "20", "30"]


def test_a_later_name_leaves_nothing_of_the_earlier(
    flights: Flights, left: Callable[[], Remains]
) -> None:
    index = flights.begin(1, 0, SHOP, b"GET /a/very/long/route")
    flights.name(index, b"PUT /x")

    assert texts(left()) == ["PUT /x"]


def test_a_long_name_is_cut(flights: Flights, left: Callable[[], Remains]) -> None:
    long = b"GET /" + b"x" * 10_000
    one, _ = flights.begin(1, 0, SHOP), flights.begin(2, 0, SHOP, long)
    flights.name(one, long)

    assert texts(left()) == [long[: flight.LONGEST_TEXT].decode()] * 2


def test_what_finds_no_room_is_counted(flights: Flights, left: Callable[[], Remains]) -> None:
    room = SIZE // ENTRY - 1
    indices = [flights.begin(number, 0, SHOP, b"in") for number in range(room + 3)]
    for index in indices[room:]:
        flights.name(index, b"out")
        flights.keep(index)
        flights.end(index)

    assert indices[room:] == [-1] * 3
    assert left().missed == 3
    assert texts(left()) == ["in"] * room
    flights.end(indices[0])
    assert flights.begin(1, 0, SHOP) == indices[0]


def test_ending_twice_gives_a_place_away_once(flights: Flights) -> None:
    index = flights.begin(1, 0, SHOP)
    flights.end(index)
    flights.end(index)
    flights.keep(index)

    assert flights.begin(2, 0, SHOP) != flights.begin(3, 0, SHOP)


def test_a_kept_note_is_left_with_its_end(
    flights: Flights, left: Callable[[], Remains], clock: Clock
) -> None:
    flights.keep(flights.begin(clock.now - 7, 0, SHOP, b"GET /slow"))

    assert left().flights == (Flight(SHOP, clock.now - 7, clock.now, 0, "GET /slow"),)


def test_a_kept_note_outlives_others_until_a_process_has_lived_on(
    flights: Flights, left: Callable[[], Remains], clock: Clock
) -> None:
    flights.keep(flights.begin(clock.now, 0, SHOP, b"GET /slow"))
    flights.end(flights.begin(clock.now + flight.LIVED_ON, 0, SHOP))
    assert texts(left()) == ["GET /slow"]
    flights.end(flights.begin(clock.now + flight.LIVED_ON + 1, 0, SHOP))

    assert texts(left()) == []


def test_the_place_of_a_kept_note_is_the_last_to_be_taken(flights: Flights) -> None:
    kept = flights.begin(1, 0, SHOP)
    flights.keep(kept)
    indices = [flights.begin(2, 0, SHOP) for _ in range(SIZE // ENTRY - 1)]

    assert indices[-1] == kept
    assert kept not in indices[:-1]


def test_forgotten_flights_touch_the_file_no_more(
    flights: Flights, left: Callable[[], Remains]
) -> None:
    index = flights.begin(1, 0, SHOP, b"GET /parent")
    flights.forget()
    flights.name(index, b"GET /child")
    flights.end(index)
    other = flights.begin(2, 0, SHOP, b"GET /child")
    flights.keep(other)

    assert texts(left()) == ["GET /parent"]


def test_new_flights_begin_with_an_empty_file(flights: Flights, tmp_path: Path) -> None:
    flights.begin(1, 0, SHOP, b"GET /")
    flights.forget()
    other = Flights(tmp_path / "flight-0", 4712, 6)
    other.forget()

    assert flight.read((tmp_path / "flight-0").read_bytes()) == Remains(4712, 6, 0, ())
    assert [path.name for path in tmp_path.iterdir()] == ["flight-0"]


def test_the_file_has_its_full_size_and_is_for_its_owner(flights: Flights, tmp_path: Path) -> None:
    found = (tmp_path / "flight-0").stat()

    assert found.st_size == SIZE
    assert found.st_blocks * 512 >= SIZE
    assert found.st_mode & 0o777 == 0o600


def test_no_room_for_the_file_is_an_error_and_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        Flights(tmp_path / "flight-0", 1, 1)

    assert list(tmp_path.iterdir()) == []


def header(magic: int = flight.MAGIC, version: int = flight.VERSION, pid: int = 1) -> bytes:
    return struct.pack("@5Q", magic, version, pid, 1, 0).ljust(SIZE, b"\0")


@pytest.mark.parametrize(
    "data",
    [b"", bytes(SIZE), header()[:-1], header(magic=7), header(version=2), header(pid=2**40)],
    ids=["empty", "zeros", "cut", "foreign", "newer", "nobody"],
)
def test_what_is_no_file_of_this_version_is_nothing(data: bytes) -> None:
    assert flight.read(header()) is not None
    assert flight.read(data) is None


WORDS = st.sampled_from([0, 1, 2, 2**63, 2**64 - 1])


@given(
    st.lists(st.tuples(WORDS, WORDS, WORDS, WORDS, st.binary(max_size=216), WORDS), max_size=9),
    st.binary(max_size=600),
)
def test_garbage_never_raises(entries: list[tuple[object, ...]], junk: bytes) -> None:
    flight.read(junk)
    flight.read((header()[:40] + junk).ljust(SIZE, b"\xff")[:SIZE])
    body = b"".join(struct.pack("@4Q216sQ", *entry) for entry in entries)
    found = flight.read((header()[:ENTRY] + body).ljust(SIZE, b"\0"))

    assert found is not None
    assert all(each.began_ns < 2**63 and each.ended_ns < 2**63 for each in found.flights)
    for each in found.flights:
        each.text.encode()
