"""The calls of a profile as one tree, and as a table of functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ..stacks.profile import Merge
from .readable import stack_of, thread_name


class Function(NamedTuple):
    """What is one line of a table, and one colour: a function, whatever its line."""

    name: str
    file: str
    first: int


THREAD, WORKER = "<thread>", "<worker>"


@dataclass
class Node:
    """One function below the ones that called it."""

    function: Function
    total: int = 0
    own: int = 0
    number: int = 0  # in the order of the tree, from its root, which is 0
    children: dict[Function, Node] = field(default_factory=dict)

    def child(self, function: Function) -> Node:
        """Return the node of *function* called from here, made if there is none."""
        found = self.children.get(function)
        if found is None:
            found = self.children[function] = Node(function)
        return found

    def heaviest(self) -> list[Node]:
        """Return the children, the heaviest first; in the same order each time."""
        return sorted(self.children.values(), key=lambda node: (-node.total, node.function))


def tree(merge: Merge, *, by_thread: bool = False) -> Node:
    """Return the root of all calls.

    :param by_thread: whether each thread is a function below the root, by its name.
    """
    root = Node(Function("all threads", "", 0))
    several = len(merge.profiles) > 1
    functions: dict[object, Function] = {}
    for seen in merge:
        weight = merge.weight(seen.sample)
        if not weight:
            continue
        node = root
        node.total += weight
        if by_thread:
            roots = [Function(f"worker {seen.worker}", WORKER, 0)] if several else []
            for each in (*roots, Function(thread_name(seen), THREAD, 0)):
                node = node.child(each)
                node.total += weight
        for frame in reversed(stack_of(seen.sample)):
            function = functions.get(frame)
            if function is None:
                function = functions[frame] = Function(frame.name, frame.file, frame.first)
            node = node.child(function)
            node.total += weight
        node.own += weight
    number(root)
    return root


def number(root: Node) -> None:
    """Give each node its number: the heavier of two is the lower one."""
    for count, node in enumerate(walk(root)):
        node.number = count


def walk(root: Node) -> Iterator[Node]:
    """Return each node before those it called, the heaviest first."""
    # No recursion: a stack may be as deep as an engine lets it be.
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(node.heaviest()))


def way_to(root: Node, wanted: int) -> list[Node]:
    """Return the nodes from the root to the one with the number *wanted*, which is the last.

    :raises LookupError: if there is none.
    """
    way = [root]
    while way[-1].number != wanted:
        # Numbers rise along the tree: the last child that is not beyond is the one above it.
        found = [node for node in way[-1].children.values() if node.number <= wanted]
        if not found:
            raise LookupError(wanted)
        way.append(max(found, key=lambda node: node.number))
    return way


@dataclass
class Row:
    """One function of the table: what it spent itself, and with all that it called."""

    function: Function
    own: int = 0
    total: int = 0
    samples: int = 0


def table(merge: Merge) -> list[Row]:
    """Return all functions, by what they spent themselves; a recursive one counts once."""
    rows: dict[Function, Row] = {}
    for seen in merge:
        weight, count = merge.weight(seen.sample), seen.sample.count
        functions = [Function(f.name, f.file, f.first) for f in stack_of(seen.sample)]
        for function in dict.fromkeys(functions):
            row = rows.get(function)
            if row is None:
                row = rows[function] = Row(function)
            row.total += weight
            row.samples += count
        rows[functions[0]].own += weight
    return sorted(rows.values(), key=lambda row: (-row.own, -row.total, row.function))


class Change(NamedTuple):
    """What one function spent in two profiles, as shares of all that was spent."""

    function: Function
    before: float
    after: float
    total_before: float
    total_after: float

    @property
    def grew(self) -> float:
        """By how much its own share grew; less than nothing if it shrank."""
        return self.after - self.before


def compare(before: Merge, after: Merge) -> list[Change]:
    """Return what grew and what shrank, the largest changes first.

    Shares, because two profiles hardly ever took the same time.
    """
    first, last = _shares(table(before), before.total()), _shares(table(after), after.total())
    nothing = (0.0, 0.0)
    changes = []
    for function in {**first, **last}:
        (own0, all0), (own1, all1) = first.get(function, nothing), last.get(function, nothing)
        changes.append(Change(function, own0, own1, all0, all1))
    return sorted(
        changes,
        key=lambda c: (-abs(c.grew), -abs(c.total_after - c.total_before), c.function),
    )


def _shares(rows: Iterable[Row], whole: int) -> dict[Function, tuple[float, float]]:
    if not whole:
        return {}
    # First lines move when code above them changes: a function is known by name and file.
    found: dict[Function, tuple[float, float]] = {}
    for row in rows:
        key = Function(row.function.name, row.function.file, 0)
        own, total = found.get(key, (0.0, 0.0))
        found[key] = (own + row.own / whole, total + row.total / whole)
    return found
