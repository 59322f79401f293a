"""Bodies: those of requests, counted as they are read, and those of responses that are lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any


class Chunks(list[bytes]):
    """A body that is a list, with a close()."""

    __slots__ = ("close",)

    close: Callable[[], None]


class CountedInput:
    """A request body that counts what is read of it; the rest is the stream's own.

    :param count: called with how many bytes were read.
    """

    __slots__ = ("_count", "_stream")

    def __init__(self, stream: Any, count: Callable[[int], None]) -> None:
        self._stream = stream
        self._count = count

    def read(self, *size: Any) -> Any:
        data = self._stream.read(*size)
        self._count(len(data))
        return data

    def readline(self, *size: Any) -> Any:
        line = self._stream.readline(*size)
        self._count(len(line))
        return line

    def readlines(self, *hint: Any) -> Any:
        lines = self._stream.readlines(*hint)
        self._count(sum(map(len, lines)))
        return lines

    def __iter__(self) -> Iterator[Any]:
        for line in self._stream:
            self._count(len(line))
            yield line

    def _readinto(self, buffer: Any) -> Any:
        size = self._stream.readinto(buffer)
        self._count(size or 0)
        return size

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._stream, name)
        return self._readinto if name == "readinto" else found


def detour(body: Any, close: Callable[[], None]) -> Any:
    """Let *close* be called in place of *body*'s own.

    Returns what closes *body*, None if it lets nothing be changed: the one whose ``close()``
    now comes to *close* cannot be it.
    """
    rest = SimpleNamespace()
    if hasattr(body, "close"):
        rest.close = body.close
    try:
        body.close = close
    except (AttributeError, TypeError):
        return None
    return rest


def promised(headers: Any) -> int:
    """Return how many bytes the *headers* of a response announce, 0 if they do not say."""
    try:
        lengths = [int(v) for name, v in headers if name.lower() == "content-length"]
        return max(0, *lengths[:1], 0)
    except (ValueError, TypeError, AttributeError):
        return 0
