"""Headers of a raw WSGI environ, as text that may be anything a client can send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def text_of(environ: Mapping[str, Any], key: str) -> str | None:
    """Return the value of *key*, or None where it is missing; what is no text counts as empty.

    Headers come as latin-1 characters of whatever bytes were sent, so nothing is decoded here.
    """
    value = environ.get(key)
    if value is None:
        return None
    return value if isinstance(value, str) else ""
