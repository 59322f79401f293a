"""Texts: what anything looks like in a trace. No function here raises, whatever it is given."""

from __future__ import annotations

from typing import Any, TypeGuard

#: A text is cut after so many characters, a name, and an exception's message.
LONGEST, LONGEST_NAME, LONGEST_MESSAGE = 4096, 256, 200


def text_of(fmt: Any, args: tuple[object, ...]) -> str:
    """Return *fmt* with *args* put in, whatever they are, as a text that is not too long."""
    try:
        return cut(fmt % args if args else fmt, LONGEST + 1)
    except Exception as error:
        what = fmt[:LONGEST] if type(fmt) is str else kind_of(fmt)
        return f"{what} (with arguments that raise {kind_of(error)})"


def name(given: object) -> str:
    """Return *given* as a name of a family or a title: a text that is not too long."""
    try:
        return cut(given, LONGEST_NAME)
    except Exception as error:
        return f"({kind_of(error)})"


def cut(given: object, most: int) -> str:
    """Return *given* as a plain text of at most *most* characters, the last one "…" if cut."""
    # Not by the methods of a subclass, and never one itself: it would be asked again and again.
    text = str.__getitem__(str(given), slice(most + 1))
    return text if len(text) <= most else text[: most - 1] + "…"


def kind_of(given: object) -> str:
    """Return the name of the class of *given*."""
    try:
        return cut(type(given).__name__, LONGEST_NAME)
    except Exception:  # a metaclass can make a name of anything
        return "(unknown)"


def is_error(given: object) -> TypeGuard[BaseException]:
    """Return whether *given* is an exception, without asking it: a proxy may raise."""
    return issubclass(type(given), BaseException)


def place(error: BaseException) -> str:
    """Return the class of an exception and where it was raised: no message, no locals."""
    kind = kind_of(error)
    try:
        traceback = error.__traceback__
        while traceback is not None and traceback.tb_next is not None:
            traceback = traceback.tb_next
        if traceback is None:
            return kind
        code = traceback.tb_frame.f_code
        found = f"{kind} at {code.co_filename}:{traceback.tb_lineno} in {code.co_name}"
        return cut(found, LONGEST)
    except Exception:  # a class can make a traceback of anything, too
        return kind


def message(error: BaseException) -> str:
    """Return the beginning of an exception's message."""
    try:
        return str.__getitem__(str(error), slice(LONGEST_MESSAGE))
    except Exception as failure:
        return f"(its message raised {kind_of(failure)})"
