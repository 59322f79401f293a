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


def begin(flights: Flights, began_ns: int, text: bytes = b"", number: int = 0) -> int:
    return flights.begin(began_ns, number, flights.text(SHOP, text))


def texts(remains: Remains) -> list[str]:
    return [each.text for each in remains.flights]


def test_a_request_in_flight_is_left_with_all_that_was_known(
    flights: Flights, left: Callable[[], Remains]
) -> None:
    index = begin(flights, 100, b"GET", 2**64 - 1)
    flights.words[index] = flights.text(SHOP, b"GET /orders/<int:number>")

    assert left() == Remains(
        4711, 5, 0, (Flight(SHOP, 100, 0, 2**64 - 1, "GET /orders/<int:number>"),)
    )


def test_a_request_that_ended_leaves_nothing(flights: Flights, left: Callable[[], Remains]) -> None:
    for number in range(1000):
        flights.end(begin(flights, number, b"GET"))

    assert left().flights == ()


def test_flights_are_told_oldest_first(flights: Flights, left: Callable[[], Remains]) -> None:
    for began in (30, 10, 20):
        begin(flights, began, b"%d" % began)

    assert texts(left()) == ["10", "20", "30"]


def test_a_later_name_leaves_nothing_of_the_earlier(
    flights: Flights, left: Callable[[], Remains]
) -> None:
    index = begin(flights, 1, b"GET /a/very/long/route")
    flights.words[index] = flights.text(SHOP, b"PUT /x")

    assert texts(left()) == ["PUT /x"]


def test_a_long_name_is_cut(flights: Flights, left: Callable[[], Remains]) -> None:
    long = b"GET /" + b"x" * 10_000
    one, _ = begin(flights, 1), begin(flights, 2, long)
    flights.words[one] = flights.text(SHOP, long)

    assert texts(left()) == [long[: flight.LONGEST_TEXT].decode()] * 2


def test_what_finds_no_room_is_counted(flights: Flights, left: Callable[[], Remains]) -> None:
    room = flight.ROOM
    indices = [begin(flights, number, b"in") for number in range(room + 3)]
    for index in indices[room:]:
        flights.keep(index)
        flights.end(index)

    assert indices[room:] == [0] * 3
    assert left().missed == 3
    assert texts(left()) == ["in"] * room
    flights.end(indices[0])
    assert begin(flights, 1) == indices[0]


def test_ending_twice_gives_a_place_away_once(flights: Flights) -> None:
    index = begin(flights, 1)
    flights.end(index)
    flights.end(index)
    flights.keep(index)

    assert begin(flights, 2) != begin(flights, 3)


def test_a_kept_note_is_left_with_its_end(
    flights: Flights, left: Callable[[], Remains], clock: Clock
) -> None:
    flights.keep(begin(flights, clock.now - 7, b"GET /slow"))

    assert left().flights == (Flight(SHOP, clock.now - 7, clock.now, 0, "GET /slow"),)


def test_a_kept_note_outlives_others_until_a_process_has_lived_on(
    flights: Flights, left: Callable[[], Remains], clock: Clock
) -> None:
    flights.keep(begin(flights, clock.now, b"GET /slow"))
    flights.end(begin(flights, clock.now + flight.LIVED_ON))
    assert texts(left()) == ["GET /slow"]
    flights.end(begin(flights, clock.now + flight.LIVED_ON + 1))

    assert texts(left()) == []


def test_the_place_of_a_kept_note_is_the_last_to_be_taken(flights: Flights) -> None:
    kept = begin(flights, 1)
    flights.keep(kept)
    indices = [begin(flights, 2) for _ in range(flight.ROOM)]

    assert indices[-1] == kept
    assert kept not in indices[:-1]


def test_forgotten_flights_touch_the_file_no_more(
    flights: Flights, left: Callable[[], Remains]
) -> None:
    index = begin(flights, 1, b"GET /parent")
    flights.forget()
    flights.words[index] = flights.text(SHOP, b"GET /child")
    flights.end(index)
    other = begin(flights, 2, b"GET /child")
    flights.keep(other)

    assert texts(left()) == ["GET /parent"]


def test_new_flights_begin_with_an_empty_file(flights: Flights, tmp_path: Path) -> None:
    begin(flights, 1, b"GET /")
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
    [b"", bytes(SIZE), header()[:-1], header(magic=7), header(version=3), header(pid=2**40)],
    ids=["empty", "zeros", "cut", "foreign", "newer", "nobody"],
)
def test_what_is_no_file_of_this_version_is_nothing(data: bytes) -> None:
    assert flight.read(header()) is not None
    assert flight.read(data) is None


def test_texts_are_written_once_and_those_without_room_are_not_told(
    flights: Flights, left: Callable[[], Remains]
) -> None:
    index = begin(flights, 1, b"GET")
    places = [flights.text(SHOP, b"GET /%d" % number) for number in range(5000)]
    assert [flights.text(SHOP, b"GET /%d" % number) for number in range(1000)] == places[:1000]
    assert places[-1] == 1
    assert len(set(places)) == 1 + sum(place > 1 for place in places)

    flights.words[index] = places[-1]
    assert texts(left()) == [""]
    flights.words[index] = places[1000]
    assert texts(left()) == ["GET /1000"]
    flights.end(index)
    flights.begin(2, 0, places[-1])
    assert texts(left()) == [""]


WORDS = st.sampled_from([0, 1, 2, 2**13, 2**13 + 8, 2**17 - 1, 2**63, 2**63 + 2**13, 2**64 - 1])


@given(st.lists(st.tuples(WORDS, WORDS, WORDS, WORDS), max_size=9), st.binary(max_size=600))
def test_garbage_never_raises(entries: list[tuple[object, ...]], junk: bytes) -> None:
    flight.read(junk)
    flight.read((header()[:40] + junk).ljust(SIZE, b"\xff")[:SIZE])
    body = b"".join(struct.pack("@4Q", *entry) for entry in entries)
    texts = b"".join(struct.pack("@2Q", *entry[:2]) for entry in entries) + junk
    data = (header()[: 2 * ENTRY] + body).ljust(2**13, b"\0") + texts
    found = flight.read(data.ljust(SIZE, b"\0"))

    assert found is not None
    assert all(each.began_ns < 2**63 and each.ended_ns < 2**63 for each in found.flights)
    for each in found.flights:
        each.text.encode()
