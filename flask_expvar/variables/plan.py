"""Plan: where the words of everything are, so that a read is little more than one sum."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any, TypeVar

from .histogram import as_dict
from .layout import Spec
from .slot import Node, wrapped
from .values import gauge, touched

T = TypeVar("T")
Path = tuple[str, ...]
Key = tuple[Path, tuple[object, ...]]
#: The root of what the server counts: part of every registry, for there is one server for all.
SERVER = "(server)"
#: Tells what this process has declared at a path, if anything.
Own = Callable[[Path], Spec | None]


class Entry:
    """One variable in all slots: its nodes, and where its words begin among the sums."""

    __slots__ = ("floats_at", "ints_at", "key", "nodes", "spec")

    def __init__(self, key: Key, spec: Spec) -> None:
        self.key = key
        self.spec = spec
        #: Each with the place of its slot.
        self.nodes: list[tuple[int, Node]] = []
        self.ints_at = 0
        self.floats_at = 0

    @property
    def path(self) -> Path:
        """Where it is below the registry."""
        return self.key[0]

    @property
    def counts(self) -> slice:
        """Which of the integers are its own."""
        return slice(self.ints_at, self.ints_at + self.spec.width - (self.spec.kind != "int"))

    @property
    def plain(self) -> bool:
        """Whether the value is a single sum of integers: true of most."""
        return self.spec.kind == "int" and self.spec.mode is None

    def value(self, ints: list[int], floats: list[float], live: Sequence[bool]) -> Any:
        """Return the value, given the sums of all words and which slots live."""
        spec = self.spec
        if spec.mode is not None and spec.kind in ("int", "float"):
            return gauge(spec, ((node, live[at]) for at, node in self.nodes))
        if spec.kind == "int":
            return ints[self.ints_at]
        if spec.kind == "float":
            return floats[self.floats_at]
        if spec.kind == "histogram":
            return as_dict(spec.bounds, ints[self.counts], floats[self.floats_at])
        return None


class Sums:
    """The sums of many words over many slots, as fast as Python can: one C call for each slot."""

    def __init__(self) -> None:
        self.size = 0
        self._places: dict[int, tuple[Any, list[int], list[int]]] = {}
        self._groups: list[tuple[range | tuple[int, ...], list[Any]]] = []

    def want(self, words: Any, at: int, place: int) -> None:
        """Add the word *at* of *words* to the sum *place* from now on."""
        _, places, ats = self._places.setdefault(id(words), (words, [], []))
        places.append(place)
        ats.append(at)

    def settle(self) -> None:
        """Prepare for reading: slots that hold the same variables are summed side by side."""
        groups: dict[tuple[int, ...], list[Any]] = {}
        for words, places, ats in self._places.values():
            # A single item would come back bare: ask for it twice and let zip leave one.
            get = itemgetter(*ats, ats[-1])
            groups.setdefault(tuple(places), []).append((get, words))
        whole = tuple(range(self.size))
        self._groups = [(range(self.size) if p == whole else p, g) for p, g in groups.items()]

    def read(self) -> list[Any]:
        """Return all sums, as they are now, in a new list."""
        sums: list[Any] = [0] * self.size
        for places, getters in self._groups:
            columns = [get(words) for get, words in getters]
            found: Iterable[Any] = map(sum, zip(*columns)) if len(columns) > 1 else columns[0]
            if type(places) is range and len(self._groups) == 1:
                sums = list(found)[: self.size]
            else:
                for place, value in zip(places, found):
                    sums[place] += value
        return sums


class Plan:
    """Where everything of one registry stands in a given set of slots.

    :param slots: the nodes of each.
    """

    def __init__(self, root: str, slots: Sequence[Sequence[Node]], own: Own) -> None:
        self.entries: dict[Key, Entry] = {}
        roots = (root, SERVER)
        for at, nodes in enumerate(slots):
            for node in nodes:
                if node.path[0] in roots and len(node.path) > 1:
                    self._entry(node, own).nodes.append((at, node))
        #: What is shown, by path: a map before its keys.
        self.order = sorted(_one_kind_each(self.entries, own), key=lambda entry: entry.path)
        self._ints, self._floats = Sums(), Sums()
        for entry in self.order:
            self._place(entry)
        self._ints.settle()
        self._floats.settle()
        self._made: dict[object, Any] = {}

    def _entry(self, node: Node, own: Own) -> Entry:
        key = (node.path[1:], node.spec.identity)
        entry = self.entries.get(key)
        if entry is None:
            declared = own(key[0])
            spec = declared if declared and declared.identity == key[1] else node.spec
            entry = self.entries[key] = Entry(key, spec)
        return entry

    def _place(self, entry: Entry) -> None:
        spec = entry.spec
        if spec.mode is not None or spec.kind not in ("int", "float", "histogram"):
            return
        entry.ints_at, entry.floats_at = self._ints.size, self._floats.size
        counts = entry.counts.stop - entry.counts.start
        self._ints.size += counts
        self._floats.size += spec.width - counts
        for _, node in entry.nodes:
            for word in range(counts):
                self._ints.want(node.ints, node.at + word, entry.ints_at + word)
            if spec.width > counts:
                self._floats.want(node.floats, node.at + counts, entry.floats_at)

    def read(self) -> tuple[list[int], list[float]]:
        """Return the sums of all words, as they are now, in new lists."""
        ints = self._ints.read()
        # Each share fits into a word, and their sum may not: it goes round as any Int does.
        if ints and not -(2**63) <= min(ints) <= max(ints) < 2**63:
            ints = list(map(wrapped, ints))
        return ints, self._floats.read()

    def once(self, make: Callable[[Plan], T]) -> T:
        """Return what *make* makes of this plan: made once, and kept as long as the plan holds."""
        if make not in self._made:
            self._made[make] = make(self)
        return self._made[make]  # type: ignore[no-any-return]  # what make has made


def _one_kind_each(entries: dict[Key, Entry], own: Own) -> list[Entry]:
    """Let each path be one thing: what this process declared, else what was declared last."""
    chosen: dict[Path, Entry] = {}
    for (path, identity), entry in entries.items():
        declared, rival = own(path), chosen.get(path)
        if rival is None or (
            declared.identity == identity
            if declared is not None
            else _touched(entry) >= 0 or _touched(rival) < 0
        ):
            chosen[path] = entry
    # What one worker has in a map is nowhere if the path of the map is something else here.
    maps = {(), *(path for path, entry in chosen.items() if entry.spec.kind == "map")}
    return [
        entry
        for path, entry in chosen.items()
        if all(path[:depth] in maps for depth in range(len(path)))
    ]


def _touched(entry: Entry) -> int:
    return touched(node for _, node in entry.nodes)
