"""What a program's Strings and Funcs say, without the secrets in it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..redaction import is_secret_name, redact_named, redact_text
from ..redaction_argv import MAX_ITEMS, redact_argv

#: A text is shown whole up to here: looking at more would take too long.
LONGEST = 32_768


@lru_cache(maxsize=4096)
def help_text(text: str) -> str:
    """Return what a variable says of itself, without secrets; it is the same again and again."""
    return redact_text(text)


def without_secrets(name: str, value: Any) -> Any:
    """Return *value*, plain data that goes by *name*, with its secrets hidden.

    Numbers stay: what counts sessions is no session. Of a variable the part of its name after
    the last slash counts.
    """
    if isinstance(value, str):
        name = name.rpartition("/")[2]
        return redact_named(name, value) if is_secret_name(name) else redact_text(value, LONGEST)
    if isinstance(value, list):
        if value and len(value) <= MAX_ITEMS and all(isinstance(each, str) for each in value):
            # It may be a command line, where the word before tells what the next one is.
            value = redact_argv(value)
        return [without_secrets(name, each) for each in value]
    if isinstance(value, dict):
        return {redact_text(key): without_secrets(key, each) for key, each in value.items()}
    return value
