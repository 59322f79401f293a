"""What several workers say of the same thing: one row, and who of them says otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

#: Of one row so many workers' own answers are shown.
WORKERS = 20


def merged(
    answers: Mapping[int, Sequence[dict[str, Any]]],
    key: Callable[[dict[str, Any]], Any],
    order: Sequence[int],
) -> list[dict[str, Any]]:
    """Return the rows of all workers by *key*, as the first worker of *order* has them.

    A row on which they do not agree, or that one of them lacks, has ``workers``: what each of
    them says, None for one that lacks it.
    """
    said: dict[Any, dict[int, dict[str, Any]]] = {}
    for pid in order:
        for row in answers.get(pid, ()):
            said.setdefault(key(row), {})[pid] = row
    asked = [pid for pid in order if pid in answers]
    return [_row(by, asked) for by in said.values()]


def _row(by: Mapping[int, dict[str, Any]], asked: Sequence[int]) -> dict[str, Any]:
    first = next(iter(by.values()))
    if len(by) == len(asked) and all(row == first for row in by.values()):
        return first
    return {**first, "workers": {str(pid): by.get(pid) for pid in asked[:WORKERS]}}
