"""The text of ``/debug/vars``, as ``expvar.Handler`` of Go writes it.

A page of a thousand variables is the same at every read but for its numbers. So it is written
once with holes in place of them (:class:`Form`), and a read fills the holes in, as long as no
variable comes or goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from .. import _json
from ..variables.form import Holes, filler
from ..variables.names import RESERVED
from ..variables.plan import Entry, Path, Plan
from ..variables.reading import Row

#: What the page has beside the registry's variables.
GIVEN = tuple(sorted(RESERVED))


def written(rows: Iterable[Row], given: Mapping[str, str]) -> str:
    """Return the page of *rows*, and of what is *given* as text under each of :data:`GIVEN`."""
    texts = [(row.path, None if row.spec.kind == "map" else encode(row.value)) for row in rows]
    return _page(texts, given)


def encode(value: Any) -> str:
    """Return one value that is no map."""
    return _json.number(value) if isinstance(value, float) else _json.compact(value)


def _page(texts: Iterable[tuple[Path, str | None]], given: Mapping[str, str]) -> str:
    return _json.page(sorted([*given.items(), *_nested(texts)]))


def _nested(texts: Iterable[tuple[Path, str | None]]) -> list[tuple[str, str]]:
    """Return the top level as text, each map (None), which comes before its keys, on one line."""
    within: dict[Path, list[tuple[str, str]]] = {(): []}
    open_maps: list[Path] = []

    def close() -> None:
        path = open_maps.pop()
        within[path[:-1]].append((path[-1], _json.spaced(within[path])))

    for path, text in texts:
        while open_maps and path[: len(open_maps[-1])] != open_maps[-1]:
            close()
        if path[:-1] not in within:
            continue
        if text is None:
            open_maps.append(path)
            within[path] = []
        else:
            within[path[:-1]].append((path[-1], text))
    while open_maps:
        close()
    return within[()]


class Form:
    """The page of one plan with holes where the numbers go.

    The sums of integers go where they belong as they are; what is not one of them, a float, a
    gauge or a text, is looked at by itself and has a number after theirs.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._hole = Holes(len(plan.read()[0])).hole
        self._others: list[Entry] = []
        texts = [(entry.path, self._holes(entry)) for entry in plan.order]
        page = _page(texts, {name: self._hole() for name in GIVEN})
        self._fill = filler(page)

    def _holes(self, entry: Entry) -> str | None:
        if entry.spec.kind == "map":
            return None
        if entry.plain:
            return self._hole(entry.ints_at)
        self._others.append(entry)
        if entry.spec.kind != "histogram":
            return self._hole()
        names = [*map(str, entry.spec.bounds), "+Inf"]
        buckets = dict(zip(names, [self._hole() for _ in names]))
        inner = ",".join(f"{_json.quote(name)}:{buckets[name]}" for name in sorted(buckets))
        return f'{{"buckets":{{{inner}}},"count":{buckets["+Inf"]},"sum":{self._hole()}}}'

    def filled(
        self, live: Sequence[bool], said: Mapping[Path, Any], given: Mapping[str, str]
    ) -> str:
        """Return the page as it is now.

        :param live: which slots' processes live.
        :param said: the values of texts and functions.
        """
        ints, floats = self._plan.read()
        found: list[Any] = ints
        for entry in self._others:
            if entry.spec.kind == "histogram":
                found += accumulate(ints[entry.counts])
                found.append(_json.compact(floats[entry.floats_at]))
            elif entry.spec.kind in ("string", "func"):
                found.append(encode(said.get(entry.path)))
            else:
                found.append(encode(entry.value(ints, floats, live)))
        found += [given[name] for name in GIVEN]
        return self._fill(found)
