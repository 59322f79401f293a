"""A flame graph as rectangles: what is drawn of a tree of calls, and where."""

from __future__ import annotations

import heapq
from typing import NamedTuple

from .tree import Node

#: So many rectangles are drawn at most, and none under this share of the width.
MOST, LEAST = 2000, 0.001


class Box(NamedTuple):
    """One rectangle: left edge and width as shares of the whole width, and how deep it is."""

    node: Node | None  # None: several small ones together
    left: float
    width: float
    depth: int
    merged: int = 0


class Flame(NamedTuple):
    """The rectangles of a graph, and how many functions are not drawn by themselves."""

    boxes: list[Box]
    hidden: int


def flame(root: Node, most: int = MOST, least: float = LEAST) -> Flame:
    """Return the heaviest rectangles of the calls below *root*; small ones stand together."""
    whole = root.total or 1
    boxes: list[Box] = []
    hidden = 0
    # The heaviest first, so that what is left out when there are too many is the smallest. A
    # caller weighs at least what it called, and its number is lower.
    waiting = [(-root.total, root.number, 0.0, 0, root)]
    while waiting:
        _, _, left, depth, node = heapq.heappop(waiting)
        if len(boxes) >= most:
            hidden += 1
            continue
        boxes.append(Box(node, left, node.total / whole, depth))
        small: list[Node] = []
        for child in node.heaviest():
            if child.total / whole < least:
                small.append(child)
                continue
            heapq.heappush(waiting, (-child.total, child.number, left, depth + 1, child))
            left += child.total / whole
        hidden += len(small)
        width = sum(child.total for child in small) / whole
        if width >= least and len(boxes) < most:
            boxes.append(Box(None, left, width, depth + 1, len(small)))
    boxes.sort(key=lambda box: (box.depth, box.left))
    return Flame(boxes, hidden)
