"""TraceHandler: what the program logs in the course of a request, in its trace.

Traces want the records below a logger's level too, which are not even made. So the level is
lowered, and a filter before every other handler keeps from them what they did not get before.
"""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Iterable, Iterator

from .event import RECORD
from .texts import message, place, text_of
from .trace import current, innermost

# The records that are in a trace already, where more than one handler gets them. Not an attribute
# of the record: formatters that write JSON would show it.
_seen: weakref.WeakSet[logging.LogRecord] = weakref.WeakSet()
_guarded: weakref.WeakSet[logging.Handler] = weakref.WeakSet()


class _Lowered(int):
    """A level that was lowered; whoever sets another replaces what is known with it."""

    former: int

    def __new__(cls, level: int, former: int) -> _Lowered:
        lowered = super().__new__(cls, level)
        lowered.former = former
        return lowered


class TraceHandler(logging.Handler):
    """Adds the log records that are made inside a trace to it, and does nothing elsewhere.

    ::

        logging.getLogger().addHandler(expvar.TraceHandler())

    From the first request on, or the call of :func:`~flask_expvar.lower_loggers`, records below
    the logger's own level are in the trace as well; no other handler gets those. Records of
    loggers with a level of their own are made from that level on, as before. Never raises, and
    leaves to the standard library's handler of last resort what it would have printed.

    :meth:`close` gives the loggers back their levels.

    :param level: of the records that are wanted.
    """

    def __init__(self, level: int | str = logging.DEBUG) -> None:
        super().__init__(level)
        # Whether loggers are to be lowered for it: from the call until it is closed.
        self._lowers = False

    def handle(self, record: logging.LogRecord) -> bool:
        """Add *record* to the current trace. Without a lock: a trace needs none."""
        if record.levelno < _former_level(record.name):
            # Handlers may have been added since the loggers were lowered.
            _guard(_chain(record.name))
        elif record.levelno >= logging.WARNING:
            self._leave_to_last_resort(record)
        if current.get() is None:
            return False
        kept = self.filter(record)
        if kept:
            # Since Python 3.12 a filter may return another record.
            self.emit(kept if isinstance(kept, logging.LogRecord) else record)
        return bool(kept)

    def emit(self, record: logging.LogRecord) -> None:
        """Add *record* to the current trace, once, whatever is in it."""
        trace = innermost()
        if trace is None:
            return
        try:
            if record in _seen:
                return
            _seen.add(record)
            text, detail = _texts(record)
        except Exception as error:
            text, detail = f"(a log record that raises {type(error).__name__})", ""
        trace.add(RECORD, text, detail)

    def close(self) -> None:
        """Give back their levels to the loggers that were lowered for this handler."""
        self._lowers = False
        _set_levels()
        super().close()

    def _leave_to_last_resort(self, record: logging.LogRecord) -> None:
        # It prints warnings only where there is no handler at all, and now there is this one.
        last = logging.lastResort
        if last is None or record.levelno < last.level:
            return
        first = None
        for each in _chain(record.name):
            if not isinstance(each, TraceHandler):
                return
            if first is None and record.levelno >= each.level:
                first = each
        if first is self:
            last.handle(record)


def lower_loggers() -> None:
    """Let the loggers that hold a :class:`~flask_expvar.TraceHandler` make all that it wants.

    Called before the first request. Call it where there is no middleware, and again after the
    program has configured its logging anew. ``logger.isEnabledFor()`` and ``logger.level`` then
    answer with the lower level.
    """
    for logger in known_loggers():
        for handler in _trace_handlers(logger):
            handler._lowers = True
    _set_levels()


def own_level(logger: logging.Logger) -> int:
    """Return the level that the program has given *logger*, 0 if it has none of its own."""
    return _former(logger.level)


def set_level(logger: logging.Logger, level: int) -> None:
    """Give *logger* a level as the program would; its trace handlers get what they did before."""
    logger.setLevel(level)
    _set_levels()


def _set_levels() -> None:
    # The lock of the logging module, which is whole again in a forked child.
    with logging._lock:  # type: ignore[attr-defined]  # it has no public name
        for logger in known_loggers():
            _set_level(logger)
        lowered = [each for each in known_loggers() if isinstance(_deciding_level(each), _Lowered)]
        if logging.lastResort is not None and lowered:
            _guard([logging.lastResort])
        for logger in lowered:
            _guard(_chain(logger.name))
        if not lowered:
            _release()


def _set_level(logger: logging.Logger) -> None:
    """Lower the level of *logger* to what its trace handlers want, or give back what it had."""
    former = _former(logger.level)
    above = logger.parent.getEffectiveLevel() if logger.parent is not None else 0
    # 0 means "as the parent" to a logger, and "all" to a handler and to the root.
    wanted = [max(each.level, 1) for each in _trace_handlers(logger) if each._lowers]
    level: int = former
    if wanted and min(wanted) < (former or above):
        level = _Lowered(min(wanted), former)
    if level != logger.level or type(level) is not type(logger.level):
        logger.setLevel(level)


def _trace_handlers(logger: logging.Logger) -> list[TraceHandler]:
    return [each for each in logger.handlers if isinstance(each, TraceHandler)]


def known_loggers() -> list[logging.Logger]:
    """Return all loggers of the program, each after those above it."""
    known = list(logging.root.manager.loggerDict.values())
    found = (each for each in known if isinstance(each, logging.Logger))
    return [logging.root, *sorted(found, key=lambda each: each.name)]


def _find(name: str) -> logging.Logger | None:
    if name == logging.root.name:
        return logging.root
    found = logging.root.manager.loggerDict.get(name)
    return found if isinstance(found, logging.Logger) else None


def _chain(name: str) -> Iterator[logging.Handler]:
    """Yield the handlers that get the records of a logger."""
    logger = _find(name)
    while logger is not None:
        yield from list(logger.handlers)
        logger = logger.parent if logger.propagate else None


def _deciding_level(logger: logging.Logger | None) -> int:
    """Return the level of the first logger, upwards, that has one."""
    while logger is not None and not logger.level:
        logger = logger.parent
    return logger.level if logger is not None else logging.NOTSET


def _former(level: int) -> int:
    return level.former if isinstance(level, _Lowered) else level


def _former_level(name: str) -> int:
    """Return the level from which on the logger's records would have been made.

    Of a name that has no logger it is none: such records are handed in from elsewhere.
    """
    logger = _find(name)
    while logger is not None:
        level = logger.level
        if type(level) is _Lowered:
            level = level.former
        if level:
            return level
        logger = logger.parent
    return logging.NOTSET


def _would_be_there(record: logging.LogRecord) -> bool:
    """Return whether *record* would have been made with the levels as they were: a filter."""
    # What another process has made was never asked for its level here.
    return record.levelno >= _former_level(record.name) or record.process not in (None, os.getpid())


def _guard(handlers: Iterable[logging.Handler]) -> None:
    for handler in handlers:
        if not isinstance(handler, TraceHandler) and _would_be_there not in handler.filters:
            # First: other filters may count or change what they see.
            handler.filters.insert(0, _would_be_there)
            _guarded.add(handler)


def _release() -> None:
    for handler in list(_guarded):
        while _would_be_there in handler.filters:
            handler.removeFilter(_would_be_there)
    _guarded.clear()


def _texts(record: logging.LogRecord) -> tuple[str, str]:
    """Return what is shown of *record*, and what of it may be sensitive."""
    try:
        said = record.getMessage()
    except Exception:
        said = text_of(record.msg, record.args)  # type: ignore[arg-type]  # a mapping does too
    text = f"{record.levelname} {record.name}: {said}"
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    if not isinstance(error, BaseException):
        return text_of(text, ()), ""
    return f"{text_of(text, ())} ({place(error)})", message(error)
