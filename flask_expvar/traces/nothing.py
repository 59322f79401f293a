"""NoTrace: what stands for the current trace where there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from .event import Event

F = TypeVar("F", bound=Callable[..., Any])


class NoTrace:
    """What :func:`~flask_expvar.current_trace` gives outside of a trace; false, does nothing."""

    __slots__ = ()

    id = family = title = traceparent = w3c_id = ""
    parent = failed = None
    running = False
    seconds = started = 0.0
    dropped = late = 0
    events: tuple[Event, ...] = ()

    def __bool__(self) -> bool:
        return False

    def log(self, fmt: str, *args: object) -> None:
        """Do nothing."""

    def error(self, fmt: str | BaseException, *args: object) -> None:
        """Do nothing."""

    def link(self, other: object, msg: str = "") -> None:
        """Do nothing."""

    def child(self, family: str, title: str) -> NoTrace:
        """Return an object that does nothing either."""
        return self

    def finish(self) -> None:
        """Do nothing."""

    def __enter__(self) -> NoTrace:
        return self

    def __exit__(self, *error: object) -> None:
        """Do nothing."""

    def __call__(self, func: F) -> F:
        return func

    def __repr__(self) -> str:
        return "<NoTrace>"


NO_TRACE = NoTrace()
