"""Reading: many processes' words become one value for each variable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .layout import Spec
from .plan import Own, Path, Plan
from .slot import Node, Nodes
from .values import deleted, share, total


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

    path: Path
    spec: Spec
    value: Any


class Totals:
    """The values of one registry over all slots.

    :param root: the registry's name in the slots.
    :param own: what this process has declared at a path, if anything.
    """

    def __init__(self, root: str, own: Own) -> None:
        self._root = root
        self._own = own
        self._kept: tuple[list[Any], Plan] | None = None

    def plan(self, parts: Sequence[Part]) -> Plan:
        """Return where everything is: worked out once, and kept while no slot grows."""
        # The lists themselves are part of the key, so that none is freed and its id used again.
        # A deletion, and what comes back after one, may change which kind is shown.
        key = [(part.nodes, (len(part.nodes), part.deletions)) for part in parts]
        kept = self._kept
        if kept is not None and _same(kept[0], key):
            return kept[1]
        plan = Plan(self._root, [part.nodes for part in parts], self._own)
        self._kept = (key, plan)
        return plan

    def rows(self, parts: Sequence[Part]) -> list[Row]:
        """Return all variables in the order of their paths, a map before its keys."""
        plan = self.plan(parts)
        ints, floats = plan.read()
        live = [part.live for part in parts]
        rows = [
            Row(entry.path, entry.spec, entry.value(ints, floats, live)) for entry in plan.order
        ]
        if not any(part.deletions for part in parts):
            return rows
        return _shown(rows, [[node for _, node in entry.nodes] for entry in plan.order])

    def rows_of(self, part: Part, only: str = "") -> list[Row]:
        """Return what the process in one slot has counted itself.

        :param only: the variable that is meant, with all that is in it; empty for all.
        """
        nodes = [
            node
            for node in part.nodes
            if node.path[0] == self._root
            and len(node.path) > 1
            and (not only or node.path[1] == only)
        ]
        nodes.sort(key=lambda node: node.path)
        rows = [Row(node.path[1:], node.spec, share(node)) for node in nodes]
        return _shown(rows, [[node] for node in nodes])

    def value(self, node: Node, parts: Sequence[Part]) -> Any:
        """Return the value of one variable over all slots; of a map, with all its keys."""
        path = node.path[1:]
        if node.spec.kind == "map":
            depth = len(path)
            rows = (row for row in self.rows(parts) if row.path[:depth] == path)
            return nest(row._replace(path=row.path[depth:]) for row in rows if row.path != path)
        entry = self.plan(parts).entries.get((path, node.spec.identity))
        if entry is None:
            return share(node)
        return total(entry.spec, ((each, parts[at].live) for at, each in entry.nodes))


def _same(old: list[Any], new: list[Any]) -> bool:
    return len(old) == len(new) and all(a[0] is b[0] and a[1] == b[1] for a, b in zip(old, new))


def _shown(rows: list[Row], nodes: Sequence[Sequence[Node]]) -> list[Row]:
    """Return the *rows* that are not deleted, and the maps that such rows are in."""
    found: list[Row] = []
    needed: set[Path] = set()
    for row, each in zip(reversed(rows), reversed(nodes)):
        if row.path in needed or not deleted(each, row.value):
            found.append(row)
            needed.add(row.path[:-1])
    return found[::-1]


def nest(rows: Iterable[Row]) -> dict[str, Any]:
    """Return *rows* as one object, the keys of a map inside it."""
    tree: dict[str, Any] = {}
    maps: dict[Path, dict[str, Any]] = {(): tree}
    for path, spec, value in rows:
        above = maps.get(path[:-1])
        if above is None:
            continue  # the map is gone, and with it what was in it
        if spec.kind == "map":
            value = maps[path] = {}
        above[path[-1]] = value
    return tree
