"""profile.proto, written by hand: what ``go tool pprof`` reads, without protobuf's runtime."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import NamedTuple

from ..stacks.profile import Frame, Stack


class Valued(NamedTuple):
    """One stack, leaf first, with a value for each sample type and labels."""

    stack: Stack
    values: Sequence[int]
    labels: Mapping[str, str | int]


Types = Sequence[tuple[str, str]]  # name and unit, as in ("cpu", "nanoseconds")


def encode(
    types: Types,
    samples: Iterable[Valued],
    *,
    period: tuple[str, str, int],
    started: float,
    seconds: float,
    comments: Sequence[str] = (),
    binary: str = "python",
    default: str = "",
) -> bytes:
    """Return a gzipped profile.

    :param period: type, unit and value of what lies between two samples.
    :param default: the sample type that is shown first.
    """
    tables = _Tables()
    text = tables.text
    out = bytearray()
    for name, unit in types:
        _nested(out, 1, _pair(text(name), text(unit)))
    for sample in samples:
        _nested(out, 2, tables.sample(sample))
    _nested(out, 3, _mapping(text(binary)))
    out += tables.locations + tables.functions
    _whole(out, 9, int(started * 1e9))
    _whole(out, 10, int(seconds * 1e9))
    _nested(out, 11, _pair(text(period[0]), text(period[1])))
    _whole(out, 12, period[2])
    _packed(out, 13, [text(each) for each in comments])
    _whole(out, 14, text(default))
    # Last, because all the others have added to it. The first one has to be the empty one.
    for each in tables.texts:
        _nested(out, 6, each.encode("utf-8", "replace"))
    return gzip.compress(bytes(out), 1, mtime=0)


class _Tables:
    """Texts, functions and locations: each written once, then known by its number."""

    def __init__(self) -> None:
        self.texts: dict[str, int] = {"": 0}
        self.locations = bytearray()
        self.functions = bytearray()
        self._places: dict[Frame, int] = {}
        self._known: dict[tuple[str, str, int], int] = {}

    def text(self, value: str) -> int:
        return self.texts.setdefault(value, len(self.texts))

    def sample(self, sample: Valued) -> bytes:
        out = bytearray()
        _packed(out, 1, [self._places.get(frame) or self._place(frame) for frame in sample.stack])
        _packed(out, 2, sample.values)
        for key, value in sample.labels.items():
            label = bytearray()
            _whole(label, 1, self.text(key))
            _whole(label, 2 if isinstance(value, str) else 3, self._value(value))
            _nested(out, 3, label)
        return bytes(out)

    def _value(self, value: str | int) -> int:
        return self.text(value) if isinstance(value, str) else value

    def _place(self, frame: Frame) -> int:
        """Write a location: its address is its number, as addresses have to differ."""
        self._places[frame] = number = len(self._places) + 1
        line, out = bytearray(), bytearray()
        _whole(line, 1, self._function(frame))
        _whole(line, 2, max(frame.line, 0))
        for field, value in ((1, number), (2, 1), (3, number)):
            _whole(out, field, value)
        _nested(out, 4, line)
        _nested(self.locations, 4, out)
        return number

    def _function(self, frame: Frame) -> int:
        key = (frame.name, frame.file, frame.first)
        if key not in self._known:
            self._known[key] = len(self._known) + 1
            out = bytearray()
            # No system_name (3): where it equals the name, the tool demangles it as C++, and
            # <module> and <lambda> are gone.
            _whole(out, 1, self._known[key])
            _whole(out, 2, self.text(dotted(frame)))
            _whole(out, 4, self.text(frame.file))
            _whole(out, 5, max(frame.first, 0))
            _nested(self.functions, 5, out)
        return self._known[key]


def dotted(frame: Frame) -> str:
    """Return the name of a function with its module's, which is what one searches for.

    >>> dotted(Frame("Shop.get", "/srv/shop/views.py", 9, 7))
    'views.Shop.get'
    >>> dotted(Frame("<module>", "/srv/shop/__init__.py", 9, 7))
    'shop.<module>'
    """
    if not frame.file or frame.file.startswith("<"):
        return frame.name
    path = PurePath(frame.file)
    module = path.parent.name if path.stem == "__init__" else path.stem
    return f"{module}.{frame.name}" if module else frame.name


def _mapping(binary: int) -> bytes:
    # One, with a range that holds every address, and told to have functions, files and lines
    # (7, 8, 9): else the tool says that it misses the binary, and asks /symbol.
    out = bytearray()
    for field, value in ((1, 1), (2, 1), (3, 1 << 40), (5, binary), (7, 1), (8, 1), (9, 1)):
        _whole(out, field, value)
    return bytes(out)


def _pair(first: int, second: int) -> bytes:
    out = bytearray()
    _whole(out, 1, first)
    _whole(out, 2, second)
    return bytes(out)


def _varint(out: bytearray, value: int) -> None:
    value &= 0xFFFFFFFFFFFFFFFF  # less than nothing: ten bytes, as protobuf's int64 has it
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def _whole(out: bytearray, field: int, value: int) -> None:
    if value:
        out.append(field << 3)
        _varint(out, value)


def _nested(out: bytearray, field: int, content: bytes | bytearray) -> None:
    out.append(field << 3 | 2)
    _varint(out, len(content))
    out += content


def _packed(out: bytearray, field: int, values: Sequence[int]) -> None:
    if values:
        content = bytearray()
        for value in values:
            _varint(content, value)
        _nested(out, field, content)
