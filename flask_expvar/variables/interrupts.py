"""Interrupts: exceptions that somebody else throws into whatever runs just then."""

from __future__ import annotations

import signal
import traceback
from types import CodeType

_GREENLETS = {"eventlet", "gevent", "greenlet"}


def is_interrupt(error: BaseException) -> bool:
    """Return whether *error* is meant for the whole request, not raised by a value's function.

    True of what ends a greenlet or its time, of Ctrl-C, and of what a handler of a signal has
    raised: gunicorn ends a worker by SystemExit. A function that calls ``sys.exit`` has failed
    like any other.
    """
    if isinstance(error, Exception):
        return False
    if {kind.__module__.partition(".")[0] for kind in type(error).__mro__} & _GREENLETS:
        return True
    if isinstance(error, KeyboardInterrupt):
        # Python's own handler leaves no frame behind.
        return signal.getsignal(signal.SIGINT) is signal.default_int_handler
    handlers = _handlers()
    return any(frame.f_code in handlers for frame, _ in traceback.walk_tb(error.__traceback__))


def _handlers() -> set[CodeType | None]:
    found = map(signal.getsignal, signal.valid_signals())
    return {getattr(each, "__code__", None) for each in found} - {None}
