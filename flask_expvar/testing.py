"""Assertions on counters, for tests of programs that use this package."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .variables.registry import Registry, default_registry


class Changes(Mapping[str, Any]):
    """What changed in a registry: by how much numbers grew, and texts' new values.

    Whole once the ``with`` block that made it has ended; before, it is what has changed so
    far. A variable that stayed as it was is 0, or an empty map; only those that changed are
    listed, so the whole may be compared with a dict.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._before = registry.snapshot()
        self._after: dict[str, Any] | None = None

    def end(self) -> None:
        """Look no further."""
        self._after = self._registry.snapshot()

    def _now(self) -> dict[str, Any]:
        return self._after if self._after is not None else self._registry.snapshot()

    def __getitem__(self, name: str) -> Any:
        after = self._now()
        if name not in after and name not in self._before:
            near = difflib.get_close_matches(name, after, 3) or sorted(after)[:10]
            raise KeyError(f"no variable {name!r}; there are: {', '.join(near) or 'none'}")
        return difference(self._before.get(name), after.get(name))

    def __iter__(self) -> Iterator[str]:
        after = self._now()
        for name in sorted({*self._before, *after}):
            if difference(self._before.get(name), after.get(name)) not in (0, {}, None):
                yield name

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<Changes {dict(self)!r}>"


def difference(before: Any, after: Any) -> Any:
    """Return how *after* differs from *before*: numbers by how much, maps by key."""
    if isinstance(after, dict) or isinstance(before, dict):
        old = before if isinstance(before, dict) else {}
        new = after if isinstance(after, dict) else {}
        found = {key: difference(old.get(key), new.get(key)) for key in {**old, **new}}
        return {key: found[key] for key in found if found[key] not in (0, {}, None)}
    if _is_number(after) and (_is_number(before) or before is None):
        return after - (before or 0)
    if after is None and _is_number(before):
        return -before
    return None if after == before else after


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@contextmanager
def changes(registry: Registry = default_registry) -> Iterator[Changes]:
    """Yield what changes in *registry* meanwhile.

    ::

        with changes() as seen:
            client.get("/")
        assert seen["http/responseCodeCount"] == {"200": 1}
    """
    found = Changes(registry)
    try:
        yield found
    finally:
        found.end()
