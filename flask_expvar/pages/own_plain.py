"""Pages of the application's own, as plain data: bounded, and without secrets."""

from __future__ import annotations

import datetime
import decimal
import json
import pathlib
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, cast

from .. import _json
from ..exceptions import ParameterError
from ..redaction import redact_named
from .budget import BUDGET, LateError, said
from .registered import Own
from .texts import clean, cost

Clock = Callable[[], float]

#: Members of one list or mapping, and characters of one text.
MOST_MEMBERS, LONGEST = 1000, 1000
#: Bytes of one worker's data, and how long it is read, in seconds.
MOST_BYTES, READING_BUDGET = 500_000, 0.15
#: Bytes of one answer, in which a worker's data may stand twice.
ALL_BYTES = 1_500_000
NOTHING = "There is nothing to show."

#: Characters of texts that are looked at: secrets are hidden in them before they are cut.
MOST_CHARS = 2_000_000

#: What JSON does not know and people put into tables; of derived classes no method is called.
_TEXTS: dict[type, Callable[[Any], str]] = {
    datetime.datetime: datetime.datetime.isoformat,
    datetime.date: datetime.date.isoformat,
    datetime.time: datetime.time.isoformat,
    datetime.timedelta: datetime.timedelta.__str__,
    decimal.Decimal: decimal.Decimal.__str__,
    uuid.UUID: uuid.UUID.__str__,
    pathlib.PurePath: pathlib.PurePath.__str__,
}


def _leaves() -> dict[type, Callable[[Any], str]]:
    """Return what makes JSON of texts, long ones cut, until there are too many of them."""
    left = MOST_CHARS

    def quoted(text: str) -> str:
        nonlocal left
        text = str.__getitem__(text, slice(4096))
        left -= len(text)
        return _json.quote(text) if left > 0 else '"…"'

    def by(make: Callable[[Any], str]) -> Callable[[Any], str]:
        return lambda value: quoted(make(value))

    return {str: quoted, **{kind: by(make) for kind, make in _TEXTS.items()}}


def tell_page(
    page: Own,
    given: Mapping[str, str],
    *,
    sensitive: bool,
    room: int = MOST_BYTES,
    clock: Clock = time.monotonic,
) -> dict[str, Any]:
    """Return what this process's *collect* returned, or the problem that it had.

    :param room: bytes that the data may take.
    :raises ParameterError: if *collect* does, which then is the answer to the browser.
    """
    parameters = {name: value for name, value in given.items() if name != "worker"}
    try:
        call = page.collect.start(
            *([parameters] if page.asks else []), then=lambda value: _plain(value, room, clock)
        )
        return cast("dict[str, Any]", call.result(clock() + BUDGET))
    except ParameterError:
        raise
    except LateError as error:
        return _problem(str(error))
    except BaseException as error:
        return _problem(said(error, sensitive))


def _plain(value: Any, room: int, clock: Clock) -> dict[str, Any]:
    if value is None:
        return _problem(NOTHING)
    text = _json.compact(value, _leaves())
    if text == "null":
        what = f"a value of class {type(value).__name__}"
        return _problem(f"{what} cannot be shown: it is no plain data, or too much of it")
    walk = _Walk(room, clock)
    return {"data": walk.shown(json.loads(text), "", ""), "cuts": walk.cuts, "problem": ""}


def _problem(text: str) -> dict[str, Any]:
    return {"data": None, "cuts": {}, "problem": clean(text, 400)}


class _Walk:
    """One way through plain data, on which secrets are hidden and what is too much is cut.

    :ivar cuts: how many members there were, by the place of what was cut.
    """

    def __init__(self, room: int, clock: Clock) -> None:
        self.cuts: dict[str, int] = {}
        self._clock = clock
        self._until = clock() + READING_BUDGET
        self._room = room

    def shown(self, value: Any, name: str, place: str) -> Any:
        """Return *value* as it may leave the process.

        :param name: what it goes by: of a list's texts it is that of the list.
        """
        self._room -= 40
        if isinstance(value, str):
            shown = clean(redact_named(name, value) if name else value, LONGEST)
            self._room -= cost(shown)
            return shown
        if isinstance(value, dict):
            return self._mapping(value, place)
        if isinstance(value, list):
            return self._list(value, name, place)
        if isinstance(value, int):
            self._room -= value.bit_length() // 3
        return value

    def _mapping(self, value: dict[str, Any], place: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, member in value.items():
            if self._is_full(len(found)):
                self.cuts[place] = len(value)
                break
            name = clean(key, 200)
            self._room -= cost(name)
            found[name] = self.shown(member, key, f"{place}/{name}" if place else name)
        return found

    def _list(self, value: list[Any], name: str, place: str) -> list[Any]:
        found: list[Any] = []
        for member in value:
            if self._is_full(len(found)):
                self.cuts[place] = len(value)
                break
            found.append(self.shown(member, name, place))
        return found

    def _is_full(self, count: int) -> bool:
        return count >= MOST_MEMBERS or self._room < 0 or self._clock() > self._until


def merge_page(answers: Mapping[int, Any], missing: list[int]) -> dict[str, Any]:
    """Return the data of all workers, and once if it is the same in each."""
    told = {pid: answers[pid] for pid in sorted(answers)}
    data = [each["data"] for each in told.values() if not each["problem"]]
    equal = len(data) == len(told) > 0 and all(each == data[0] for each in data)
    return {
        "workers": {str(pid): each["data"] for pid, each in told.items()},
        "cuts": {str(pid): each["cuts"] for pid, each in told.items() if each["cuts"]},
        "problems": {str(pid): each["problem"] for pid, each in told.items() if each["problem"]},
        "equal": equal,
        "merged": data[0] if equal else None,
        "missing": missing,
    }
