"""Wrapping: functions of which each call is a trace of its own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Protocol


class Block(Protocol):
    """What a call runs in: a trace."""

    def __enter__(self) -> Any:
        """Begin to be the current one."""

    def __exit__(self, *error: Any) -> None:
        """End."""

    def error(self, fmt: BaseException) -> None:
        """Note a failure."""

    def finish(self) -> None:
        """End."""


Begin = Callable[[], Block]


def wrapped(func: Any, begin: Begin) -> Any:
    """Return *func* so that each call runs in a trace that *begin* has begun.

    That of a generator lasts until it ends or is closed.
    """
    if isinstance(func, (classmethod, staticmethod)):
        return type(func)(wrapped(func.__func__, begin))
    if inspect.iscoroutinefunction(func):
        made = _coroutine(func, begin)
    elif inspect.isasyncgenfunction(func):
        made = _async_generator(func, begin)
    elif inspect.isgeneratorfunction(func):
        made = _generator(func, begin)
    else:
        made = _function(func, begin)
    return functools.wraps(func)(made)


def _coroutine(func: Any, begin: Begin) -> Any:
    async def made(*args: Any, **kwargs: Any) -> Any:
        with begin():
            return await func(*args, **kwargs)

    return made


def _async_generator(func: Any, begin: Begin) -> Any:
    async def made(*args: Any, **kwargs: Any) -> Any:
        trace, steps = begin(), func(*args, **kwargs)
        step, sent = steps.asend, None
        # "async for" would not hand on what is sent and thrown in.
        try:
            while True:
                item = await step(sent)
                try:
                    step, sent = steps.asend, (yield item)
                except GeneratorExit:
                    await steps.aclose()
                    raise
                except BaseException as error:
                    step, sent = steps.athrow, error
        except StopAsyncIteration:
            return
        except BaseException as error:
            fail(trace, error)
            raise
        finally:
            trace.finish()

    return made


def _generator(func: Any, begin: Begin) -> Any:
    def made(*args: Any, **kwargs: Any) -> Any:
        # Not the current trace: whoever takes from the generator would be in it as well.
        trace = begin()
        try:
            return (yield from func(*args, **kwargs))
        except BaseException as error:
            fail(trace, error)
            raise
        finally:
            trace.finish()

    return made


def _function(func: Any, begin: Begin) -> Any:
    def made(*args: Any, **kwargs: Any) -> Any:
        with begin():
            return func(*args, **kwargs)

    return made


def fail(trace: Block, error: BaseException) -> None:
    """Note that *trace* was left by *error*; closing a generator early is no failure."""
    if not isinstance(error, GeneratorExit):
        trace.error(error)
