"""Strictly valid JSON in the form that Go's expvar writes: null where Go breaks its page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from itertools import islice
from json.encoder import encode_basestring as _encode_basestring
from math import isfinite
from types import NoneType
from typing import Any, cast

MAX_DEPTH = 64
# Shared lists nested in each other double with every level; 2**64 values would never end.
MAX_VALUES = 100_000

# What the C encoder writes otherwise than Go, or must not write at all.
_RARE = re.compile(r"[<>&\b\f\u2028\u2029\ud800-\udfff]|\\x")
_WHOLE = re.compile(r"\.0(?=[],}])")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPES: dict[int, str] = {
    **{code: f"\\u{code:04x}" for code in [*range(32), *map(ord, "<>&\u2028\u2029")]},
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),
    **{ord(char): "\\" + short for char, short in zip('"\\\n\r\t', '"\\nrt', strict=True)},
}


def quote(text: str) -> str:
    """Return *text* as a JSON string, with ``<``, ``>`` and ``&`` escaped as Go does.

    Lone surrogates, which no UTF-8 can hold, become U+FFFD. A backslash before an x is written
    as a number: prometheus-expvar-exporter repairs what it takes for old Go's bad escapes, and
    would spoil the page.
    """
    if _RARE.search(text) is None:
        return _encode_basestring(text)
    return '"' + str.translate(text, _ESCAPES).replace(r"\\x", r"\u005cx") + '"'


def number(value: int | float) -> str:
    """Return *value* as Go's Int and Float variables print it, NaN and infinities as null.

    An int of more digits than the interpreter agrees to print is null too: no reader
    with the same limit could take it.
    """
    if isinstance(value, int):
        return _integer(value)
    return _float(value, 1e-4, 1e6)


def compact(value: object, leaves: Mapping[type, Callable[[Any], str]] | None = None) -> str:
    """Return *value* as Go's encoding/json would: no spaces, keys sorted by bytes.

    Whatever JSON does not know is null at its place, and so are cycles, nesting deeper
    than 64 and containers that fail when read. More than 100,000 values are null
    altogether. No ``__str__`` or ``__repr__`` of a value is called. Only exceptions that
    are no :class:`Exception`, such as a server's timeout, pass through.

    :param leaves: what makes JSON of further classes and those derived from them, or does so
        otherwise.
    """
    try:
        return _Walk(leaves).value(value)
    except _TooManyError:
        return "null"


def plain(value: object) -> Any:
    """Return what a reader of :func:`compact` gets: strings, numbers, lists, dicts and None."""
    return json.loads(compact(value))


def figures(value: dict[str, Any], *, sort: bool = True) -> str:
    """Return what :func:`compact` would, several times faster: the encoder in C does.

    For plain dicts and lists of ints, bools and floats that are 0 or from 0.0001 to 1e16,
    under keys of letters and digits.
    """
    # What Python prints as 3.0 is 3 in Go.
    return _WHOLE.sub("", json.dumps(value, sort_keys=sort, separators=(",", ":")))


#: The names of variables are the same at every read.
_quote = lru_cache(maxsize=20_000)(quote)


def spaced(items: Iterable[tuple[str, str]]) -> str:
    """Return a Map inside the page: one line of plain keys and encoded values, as they come."""
    return "{" + ", ".join([f"{quote(key)}: {value}" for key, value in items]) + "}"


def page(items: Iterable[tuple[str, str]]) -> str:
    """Return the whole page: one line for each plain key and encoded value, as they come."""
    return "{\n" + ",\n".join([f"{_quote(key)}: {value}" for key, value in items]) + "\n}\n"


def _integer(value: int) -> str:
    if value is True or value is False:
        return "true" if value else "false"
    try:
        return int.__repr__(value)
    except ValueError:
        return "null"


def _float(value: float, low: float, high: float) -> str:
    """Return the shortest digits that read back, with an exponent outside *low* to *high*."""
    if not isfinite(value):
        return "null"
    text = float.__repr__(value).removesuffix(".0")
    plain = value == 0 or low <= abs(value) < high
    if plain is ("e" not in text):
        return text
    return _with_point(text) if plain else _with_exponent(text)


def _with_exponent(text: str) -> str:
    sign, digits, exponent = _digits(text)
    fraction = "." + digits[1:] if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{exponent:+03d}"


def _with_point(text: str) -> str:
    sign, digits, exponent = _digits(text)
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    fraction = digits[exponent + 1 :]
    return f"{sign}{whole}.{fraction}" if fraction else sign + whole


def _digits(text: str) -> tuple[str, str, int]:
    """Return sign, significant digits and decimal exponent of what ``repr`` printed."""
    mantissa, _, power = text.lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    exponent = int(power or 0) + len(digits) - len(fraction) - 1
    return "-" if text[0] == "-" else "", digits.rstrip("0"), exponent


def _func_float(value: float) -> str:
    text = _float(value, 1e-6, 1e21)
    return text.replace("e-0", "e-", 1)


def _key(key: object) -> str | None:
    """Return the text of a mapping's key, or None for one that has no plain text."""
    kind = type(key)
    if issubclass(kind, str):
        return _SURROGATE.sub("\ufffd", str.__str__(cast("str", key)))
    if issubclass(kind, float) and not isfinite(cast("float", key)):
        return None
    return _scalar(kind, key)


_LEAVES: dict[type, Callable[[Any], str]] = {
    str: quote,
    bool: _integer,
    int: _integer,
    float: _func_float,
    NoneType: lambda _: "null",
}


def _scalar(
    kind: type, value: object, leaves: Mapping[type, Callable[[Any], str]] = _LEAVES
) -> str | None:
    """Return the text of an instance of a leaf's type or of a subclass of it."""
    for base in kind.__mro__:
        if base in leaves:
            return leaves[base](value)
    return None


class _TooManyError(Exception):
    """Raised inside :func:`compact` when a value holds too many others."""


class _Walk:
    """One way through a value: knows the containers it is in and how many values are left."""

    __slots__ = ("_inside", "_leaves", "_left")

    def __init__(self, leaves: Mapping[type, Callable[[Any], str]] | None = None) -> None:
        self._leaves = {**_LEAVES, **leaves} if leaves else _LEAVES
        self._inside: set[int] = set()
        self._left = MAX_VALUES

    def value(self, value: object) -> str:
        try:
            leaf = self._leaves.get(type(value))
            return leaf(value) if leaf is not None else self._other(value)
        except _TooManyError:
            raise
        except Exception:
            return "null"

    def _other(self, value: object) -> str:
        # The type is asked, not the object: a proxy's __class__ runs foreign code.
        kind = type(value)
        scalar = _scalar(kind, value, self._leaves)
        if scalar is not None:
            return scalar
        if id(value) in self._inside or len(self._inside) >= MAX_DEPTH:
            return "null"
        self._inside.add(id(value))
        try:
            return self._container(kind, value)
        finally:
            self._inside.discard(id(value))

    def _container(self, kind: type, value: object) -> str:
        if issubclass(kind, Mapping):
            return self._mapping(cast("Mapping[object, object]", value))
        if issubclass(kind, AbstractSet):
            return self._set(cast("AbstractSet[object]", value))
        if issubclass(kind, Sequence) and not issubclass(kind, (bytes, bytearray, memoryview)):
            return "[" + ",".join(map(self.value, self._copy(cast("list[object]", value)))) + "]"
        return "null"

    def _mapping(self, value: Mapping[object, object]) -> str:
        members = {}
        for key, member in self._copy(value.items()):
            name = key if type(key) is str and key.isascii() else _key(key)
            if name is not None:
                members[name] = member
        pairs = [f"{quote(name)}:{self.value(members[name])}" for name in sorted(members)]
        return "{" + ",".join(pairs) + "}"

    def _set(self, value: AbstractSet[Any]) -> str:
        members = self._copy(value)
        try:
            return "[" + ",".join(map(self.value, sorted(members))) + "]"
        except TypeError:
            return "[" + ",".join(sorted(map(self.value, members))) + "]"

    def _copy(self, members: Iterable[Any]) -> list[Any]:
        # For builtin containers this is one step under the GIL, so that another thread
        # that writes into the same dict does not turn the answer into an error.
        copy = list(islice(members, self._left + 1))
        self._left -= len(copy)
        if self._left < 0:
            raise _TooManyError
        return copy
