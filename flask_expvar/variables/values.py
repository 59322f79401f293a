"""Values: what the words of one variable say, in one slot or in all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .histogram import as_dict
from .layout import Spec
from .slot import Node, wrapped


def total(spec: Spec, nodes: Iterable[tuple[Node, bool]]) -> Any:
    """Return the value over all slots, each *node* told with whether its process lives.

    None for what has no words: maps, texts and functions.
    """
    if spec.mode is not None and spec.kind in ("int", "float"):
        return gauge(spec, nodes)
    words = [sum_words(node) for node, _ in nodes]
    ints = [wrapped(sum(column)) for column in zip(*(each[0] for each in words))]
    floats = [sum(column) for column in zip(*(each[1] for each in words))]
    return _plain(spec, ints, floats)


def share(node: Node) -> Any:
    """Return what the process that has the slot now has counted itself."""
    spec = node.spec
    if spec.kind not in ("int", "float", "histogram"):
        return None
    ints, floats = sum_words(node)
    if spec.mode is None:
        base = node.ints[node.base_at : node.base_at + spec.width]
        ints = [wrapped(count - before) for count, before in zip(ints, base)]
        floats = [count - node.floats[node.base_at + spec.width - 1] for count in floats]
    return _plain(spec, ints, floats)


def _plain(spec: Spec, ints: list[int], floats: list[float]) -> Any:
    if spec.kind == "histogram":
        return as_dict(spec.bounds, ints, floats[0])
    if spec.kind in ("int", "float"):
        return (ints or floats)[0]
    return None


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
        gone = max(gone, -stamp, node.ints[node.gone_at])
        if stamp >= 0 and (live or spec.mode != "livesum"):
            found.append((stamp, words[node.at]))
        if base_stamp > 0 and spec.mode != "livesum":
            found.append((base_stamp, words[node.base_at]))
    if spec.mode in ("sum", "livesum"):
        shares = [value for stamp, value in found if stamp > gone or not gone]
        return sum(shares, 0.0) if spec.kind == "float" else wrapped(sum(shares))
    found = [(stamp, value) for stamp, value in found if stamp > gone]
    if not found:
        return 0.0 if spec.kind == "float" else 0
    if spec.mode == "mostrecent":
        return max(found)[1]
    return (max if spec.mode == "max" else min)(value for _, value in found)


def touched(nodes: Iterable[Node]) -> int:
    """Return when a variable was set or deleted last, in ns; negative if it was deleted."""
    return max((node.ints[node.stamp_at] for node in nodes), key=abs, default=0)


def deleted(nodes: Sequence[Node], value: Any) -> bool:
    """Return whether the last who touched a variable deleted it, and none has counted since."""
    if touched(nodes) >= 0:
        return False
    if isinstance(value, float):
        # Shares that cancel each other out leave a rest in the last digits.
        return abs(value) <= 1e-12 * max(abs(node.floats[node.at]) for node in nodes)
    return not (value["count"] if isinstance(value, dict) else value)
