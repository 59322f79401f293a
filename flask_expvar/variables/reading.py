"""Reading: many processes' words become one value for each variable.

What is where is worked out once and kept while no slot grows; a read is then little more than
one sum over the slots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

from .histogram import as_dict
from .layout import Spec
from .slot import Node, Nodes

Key = tuple[tuple[str, ...], tuple[object, ...]]
#: Tells what this process has declared at a path, if anything.
Own = Callable[[tuple[str, ...]], Spec | None]


@dataclass
class Part:
    """One slot as a reader sees it.

    :param live: whether its process holds the lease.
    :param worker: False for a process that only forks the workers.
    :param deletions: how often something was deleted through it.
    :param nodes: what it counts; grows at the end only.
    """

    slot: int
    pid: int
    started_ns: int
    live: bool
    worker: bool
    deletions: int
    nodes: Nodes
    problem: str = ""


class Row(NamedTuple):
    """One variable: its path below the registry, what it is, and its value.

    The value of a map, a string or a func is None: the first has rows of its own for its
    keys, the others are asked of the processes.
    """

    path: tuple[str, ...]
    spec: Spec
    value: Any


class Entry:
    """One variable in all slots: its nodes, and where its words begin among the sums."""

    __slots__ = ("first", "floats_at", "ints_at", "key", "nodes", "plain", "spec")

    def __init__(self, key: Key, spec: Spec) -> None:
        self.key = key
        self.spec = spec
        #: Whether the value is a single sum: true of most.
        self.plain = spec.kind == "int" and spec.mode is None
        self.nodes: list[tuple[int, Node]] = []
        self.ints_at = 0
        self.floats_at = 0

    def value(self, ints: list[int], floats: list[float], parts: Sequence[Part]) -> Any:
        """Return the value, given the sums of all words and who lives."""
        spec = self.spec
        if spec.mode is not None and spec.kind in ("int", "float"):
            return gauge(spec, [(node, parts[at].live) for at, node in self.nodes])
        if spec.kind == "int":
            return ints[self.ints_at]
        if spec.kind == "float":
            return floats[self.floats_at]
        if spec.kind == "histogram":
            counts = ints[self.ints_at : self.ints_at + spec.width - 1]
            return as_dict(spec.bounds, counts, floats[self.floats_at])
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
        """Return all sums, as they are now."""
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
    """Where everything of one registry stands in a given set of slots."""

    def __init__(self, root: str, parts: Sequence[Part], own: Own) -> None:
        self.entries: dict[Key, Entry] = {}
        for at, part in enumerate(parts):
            for node in part.nodes:
                if node.path[0] == root and len(node.path) > 1:
                    self._entry(node, own).nodes.append((at, node))
        self.order = sorted(_one_kind_each(self.entries, own), key=lambda entry: entry.key[0])
        self.paths = [entry.key[0] for entry in self.order]
        self.specs = [entry.spec for entry in self.order]
        self.ints = Sums()
        self.floats = Sums()
        for entry in self.order:
            self._place(entry)
        self.ints.settle()
        self.floats.settle()

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
        entry.ints_at, entry.floats_at = self.ints.size, self.floats.size
        counts = {"int": 1, "float": 0}.get(spec.kind, spec.width - 1)
        self.ints.size += counts
        self.floats.size += spec.width - counts
        for _, node in entry.nodes:
            for word in range(counts):
                self.ints.want(node.ints, node.at + word, entry.ints_at + word)
            if spec.width > counts:
                self.floats.want(node.floats, node.at + counts, entry.floats_at)


def _one_kind_each(entries: dict[Key, Entry], own: Own) -> list[Entry]:
    """Let each path be one thing: what this process declared, else what was declared last."""
    chosen: dict[tuple[str, ...], Entry] = {}
    for (path, identity), entry in entries.items():
        declared, rival = own(path), chosen.get(path)
        if rival is None or (
            declared.identity == identity
            if declared is not None
            else touched(entry.nodes) >= 0 or touched(rival.nodes) < 0
        ):
            chosen[path] = entry
    # What one worker has in a map is nowhere if the path of the map is something else here.
    maps = {(), *(path for path, entry in chosen.items() if entry.spec.kind == "map")}
    return [
        entry
        for path, entry in chosen.items()
        if all(path[:depth] in maps for depth in range(len(path)))
    ]


class Totals:
    """The values of one registry over all slots.

    :param root: the registry's name in the slots.
    :param own: what this process has declared at a path, if anything.
    """

    def __init__(self, root: str, own: Own) -> None:
        self._root = root
        self._own = own
        self._plan: tuple[object, Plan] | None = None

    def _planned(self, parts: Sequence[Part]) -> Plan:
        # The lists themselves are part of the key, so that none is freed and its id used again.
        # A deletion, and what comes back after one, may change which kind is shown.
        key = [(part.nodes, (len(part.nodes), part.deletions)) for part in parts]
        kept = self._plan
        if kept is not None and _same(kept[0], key):
            return kept[1]
        plan = Plan(self._root, parts, self._own)
        self._plan = (key, plan)
        return plan

    def rows(self, parts: Sequence[Part]) -> list[Row]:
        """Return all variables in the order of their paths, a map before its keys."""
        plan = self._planned(parts)
        ints, floats = plan.ints.read(), plan.floats.read()
        values = [
            ints[entry.ints_at] if entry.plain else entry.value(ints, floats, parts)
            for entry in plan.order
        ]
        rows = list(map(Row._make, zip(plan.paths, plan.specs, values)))
        if not any(part.deletions for part in parts):
            return rows
        return _shown(rows, [entry.nodes for entry in plan.order])

    def rows_of(self, part: Part) -> list[Row]:
        """Return what the process in one slot has counted itself."""
        nodes = [node for node in part.nodes if node.path[0] == self._root and len(node.path) > 1]
        nodes.sort(key=lambda node: node.path)
        rows = [Row(node.path[1:], node.spec, share(node)) for node in nodes]
        return _shown(rows, [[(0, node)] for node in nodes])

    def value(self, node: Node, parts: Sequence[Part]) -> Any:
        """Return the value of one variable over all slots; of a map, with all its keys."""
        path = node.path[1:]
        if node.spec.kind == "map":
            depth = len(path)
            rows = (row for row in self.rows(parts) if row.path[:depth] == path)
            return nest(row._replace(path=row.path[depth:]) for row in rows if row.path != path)
        entry = self._planned(parts).entries.get((path, node.spec.identity))
        if entry is None:
            return share(node)
        whole = [sum_words(part_node) for _, part_node in entry.nodes]
        ints = [sum(column) for column in zip(*(words[0] for words in whole))]
        floats = [sum(column) for column in zip(*(words[1] for words in whole))]
        lone = Entry(entry.key, entry.spec)
        lone.nodes = entry.nodes
        return lone.value(ints, floats, parts)


def _same(old: Any, new: list[Any]) -> bool:
    return len(old) == len(new) and all(a[0] is b[0] and a[1] == b[1] for a, b in zip(old, new))


def _shown(rows: list[Row], nodes: Sequence[Sequence[tuple[int, Node]]]) -> list[Row]:
    """Return the *rows* that are not deleted, and the maps that such rows are in."""
    found: list[Row] = []
    needed: set[tuple[str, ...]] = set()
    for row, each in zip(reversed(rows), reversed(nodes)):
        if row.path in needed or not deleted(each, row.value):
            found.append(row)
            needed.add(row.path[:-1])
    return found[::-1]


def sum_words(node: Node) -> tuple[list[int], list[float]]:
    """Return the value words of *node*: the integers, then the floats."""
    spec, at = node.spec, node.at
    if spec.kind == "histogram":
        end = at + spec.width - 1
        return list(node.ints[at:end]), [node.floats[end]]
    if spec.kind == "float":
        return [], [node.floats[at]]
    return list(node.ints[at : at + spec.width]), []


def gauge(spec: Spec, nodes: Iterable[tuple[Node, bool]]) -> Any:
    """Return the value of a gauge by its rule.

    A slot's base holds what its earlier processes left. What was set before the last deletion
    does not count.
    """
    found: list[tuple[int, Any]] = []
    gone = 0
    for node, live in nodes:
        words = node.floats if spec.kind == "float" else node.ints
        stamp, base_stamp = node.ints[node.stamp_at], node.ints[node.base_at + 1]
        gone = max(gone, -stamp, -base_stamp)
        if stamp >= 0 and (live or spec.mode != "livesum"):
            found.append((stamp, words[node.at]))
        if base_stamp > 0 and spec.mode != "livesum":
            found.append((base_stamp, words[node.base_at]))
    zero: Any = 0.0 if spec.kind == "float" else 0
    if spec.mode in ("sum", "livesum"):
        return sum((value for stamp, value in found if stamp > gone or not gone), zero)
    found = [(stamp, value) for stamp, value in found if stamp > gone]
    if not found:
        return zero
    if spec.mode == "mostrecent":
        return max(found)[1]
    return (max if spec.mode == "max" else min)(value for _, value in found)


def share(node: Node) -> Any:
    """Return what the process that has the slot now has counted itself."""
    spec = node.spec
    if spec.kind not in ("int", "float", "histogram"):
        return None
    ints, floats = sum_words(node)
    if spec.mode is not None:
        return (ints or floats)[0]
    start, end = node.base_at, node.base_at + spec.width
    base_ints = node.ints[start:end]
    ints = [count - base for count, base in zip(ints, base_ints)]
    floats = [total - node.floats[end - 1] for total in floats]
    if spec.kind == "histogram":
        return as_dict(spec.bounds, ints, floats[0])
    return (ints or floats)[0]


def touched(nodes: Iterable[tuple[int, Node]]) -> int:
    """Return when a variable was set or deleted last, in ns; negative if it was deleted."""
    return max((node.ints[node.stamp_at] for _, node in nodes), key=abs, default=0)


def deleted(nodes: Iterable[tuple[int, Node]], value: Any) -> bool:
    """Return whether the last who touched a variable deleted it, and none has counted since."""
    if touched(nodes) >= 0:
        return False
    if isinstance(value, float):
        # Shares that cancel each other out leave a rest in the last digits.
        return abs(value) <= 1e-12 * max(abs(node.floats[node.at]) for _, node in nodes)
    return not (value["count"] if isinstance(value, dict) else value)


def nest(rows: Iterable[Row]) -> dict[str, Any]:
    """Return *rows* as one object, the keys of a map inside it."""
    tree: dict[str, Any] = {}
    maps: dict[tuple[str, ...], dict[str, Any]] = {(): tree}
    for path, spec, value in rows:
        above = maps.get(path[:-1])
        if above is None:
            continue  # the map is gone, and with it what was in it
        if spec.kind == "map":
            value = maps[path] = {}
        above[path[-1]] = value
    return tree
