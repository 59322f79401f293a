"""Values of any kind as one text without secrets; code of others is not run for it."""

from __future__ import annotations

import datetime
import decimal
import fractions
import io
import ipaddress
import uuid
from enum import Enum
from pathlib import PurePath
from typing import Any

from ..redaction import HIDDEN, cut, is_secret_name, redact_named, redact_text
from ..redaction_argv import redact_argv

#: How deep, and how many items of each container.
DEPTH, ITEMS = 6, 1000
#: A value's text has at most so many characters.
LONGEST = 1000

#: Their ``str`` is known to be harmless. Of anything else only the class is told: a ``repr``
#: may be slow, may raise, and may show what was put away with care.
_PLAIN = (
    int, float, complex, decimal.Decimal, fractions.Fraction, uuid.UUID, datetime.date,
    datetime.datetime, datetime.time, datetime.timedelta, datetime.timezone,
    ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network, ipaddress.IPv6Network,
)  # fmt: skip


def shown(name: str, value: object, *, by_name: bool = True, most: int = LONGEST) -> str:
    """Return *value*, which goes by *name*, as it may be shown.

    Lists are joined by commas as Go joins them, true and false are words, None is nothing.
    Whether something is switched on is no secret, so a secret's name hides neither.

    :param by_name: whether the rules for names hold, beside those for texts.
    :param most: of each text so many characters are looked at.
    """
    return _shown(name, value, by_name, min(most, LONGEST), DEPTH)[:LONGEST]


def _shown(name: str, value: object, by_name: bool, most: int, depth: int) -> str:
    if value is None or isinstance(value, bool):
        return {None: "", True: "true", False: "false"}[value]
    if isinstance(value, (list, tuple, set, frozenset)):
        return _joined(name, value, by_name, most, depth)
    if isinstance(value, dict):
        return _pairs(name, value, by_name, most, depth)
    text = cut(text_of(value), most)
    return redact_named(name, text) if by_name else redact_text(text)


def _joined(name: str, value: Any, by_name: bool, most: int, depth: int) -> str:
    if depth <= 0:
        return "…"
    items = list(value)
    if isinstance(value, (set, frozenset)):
        items.sort(key=text_of)
    rest = items[ITEMS:]
    # A list may be a command line, where the word before tells what the next one is.
    if items and all(isinstance(item, str) for item in items):
        items = redact_argv([cut(item, most) for item in items[:ITEMS]])
    texts: list[str] = []
    room = LONGEST
    for item in items[:ITEMS]:
        texts.append(_shown(name, item, by_name, most, depth - 1))
        room -= len(texts[-1]) + 1
        if room < 0:
            break
    return ",".join([*texts, *["…"] * bool(rest)])


def _pairs(name: str, value: dict[Any, Any], by_name: bool, most: int, depth: int) -> str:
    if depth <= 0:
        return "…"
    if by_name and value and is_secret_name(name):
        return HIDDEN
    texts: list[str] = []
    room = LONGEST
    # Inside, names count always: a dictionary has whatever somebody put there.
    for key, item in list(value.items())[:ITEMS]:
        key = cut(text_of(key), most)
        texts.append(f"{redact_text(key)}={_shown(key, item, True, most, depth - 1)}")
        room -= len(texts[-1]) + 1
        if room < 0:
            break
    return ",".join([*texts, *["…"] * (len(value) > ITEMS)])


def text_of(value: object) -> str:
    """Return a text for *value*; it may hold secrets."""
    if isinstance(value, Enum):
        return str(value.name)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "backslashreplace")
    if value is None or type(value) is bool or type(value) in _PLAIN:
        # Python refuses to write numbers of many thousand digits, which take long.
        large = isinstance(value, int) and value.bit_length() > 10_000
        return "(int)" if large else str(value)
    if isinstance(value, PurePath) and type(value).__module__.startswith("pathlib"):
        return str(value)
    if isinstance(value, io.IOBase):
        named = getattr(value, "name", "")
        return named if isinstance(named, str) else f"({kind_of(value)})"
    own = value if isinstance(value, type) or callable(value) else None
    place = getattr(own, "__module__", None), getattr(own, "__qualname__", None)
    if all(isinstance(part, str) for part in place):
        return ".".join(map(str, place))
    return f"({kind_of(value)})"


def kind_of(value: object) -> str:
    """Return the name of *value*'s class, None for None."""
    return "None" if value is None else type(value).__name__


def size_of(value: object) -> str:
    """Return how large *value* is, as people say it, empty for what has no size."""
    if isinstance(value, (str, bytes, bytearray)):
        unit = "character" if isinstance(value, str) else "byte"
    elif isinstance(value, (list, tuple, set, frozenset, dict)):
        unit = "item"
    else:
        return ""
    count = len(value)
    return f"{count:,} {unit}{'' if count == 1 else 's'}"


def error_text(error: BaseException) -> str:
    """Return what is told of a source that raised: never its message, which may quote a value."""
    return type(error).__name__
