"""Links to other views of a page."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote


def query_string(parameters: Mapping[str, object]) -> str:
    """Return the query string of *parameters*, without those that are empty."""
    # A program's names may hold what no URL does, but visible() has written that out.
    pairs = [
        f"{key}={quoted(value)}" for key, value in parameters.items() if value not in ("", None)
    ]
    return "?" + "&".join(pairs)


# A table of two hundred families links each of them a dozen times.
@lru_cache(maxsize=2048, typed=True)
def quoted(value: object) -> str:
    """Return *value* as a query string has it, as readable as it can be."""
    return quote(str(value), safe="!/:(),*", errors="replace")
