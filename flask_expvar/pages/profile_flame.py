"""The flame graph of ``/debug/profile``: rectangles that lead on, drawn without any script."""

from __future__ import annotations

from typing import Any

from ..exceptions import UnknownError
from ..profiles.flame import Box, flame
from ..profiles.tree import THREAD, WORKER, Node, way_to
from .profile_question import Question
from .vars_table import seconds, visible

#: Of a row, in pixels; and of the least width, in per cent, that has room for a name.
ROW, NARROWEST = 19, 1.5
#: Deeper calls are drawn when one comes nearer.
DEEPEST = 120
_LONGEST = 120


def flame_html(root: Node, asked: Question) -> dict[str, Any]:
    """Return the data of the drawing, of what is below the function in focus.

    :raises UnknownError: if there is no such function.
    """
    try:
        way = way_to(root, asked.focus)
    except LookupError:
        raise UnknownError(f"no function {asked.focus} in this profile") from None
    focus = way[-1]
    drawn = flame(focus)
    boxes = [box for box in drawn.boxes if box.depth < DEEPEST]
    whole = root.total or 1
    deeper = len(drawn.boxes) - len(boxes)
    return {
        "boxes": [_box(box, focus, whole, asked) for box in boxes],
        "height": ROW * (1 + max((box.depth for box in boxes), default=0)) + 1,
        "way": [
            {"name": name_of(node)[:_LONGEST], "href": asked.same(focus=node.number or "")}
            for node in way[:-1]
        ],
        "focus": name_of(focus)[:_LONGEST],
        "share": percent(focus.total / whole),
        "time": seconds(focus.total / 1e9),
        "showing": sum(box.node is not None for box in boxes),
        "hidden": drawn.hidden + deeper,
    }


def _box(box: Box, focus: Node, whole: int, asked: Question) -> dict[str, Any]:
    width = 100 * box.width
    place = {
        "x": f"{100 * box.left:.3f}",
        "width": f"{width:.3f}",
        "y": ROW * box.depth,
        "text": "",
        "href": "",
    }
    node = box.node
    if node is None:
        place["title"] = f"{box.merged:,} small functions, {percent(box.width)} of this view"
        place["class"] = "fm"
        return place
    name = name_of(node)
    where = f", {visible(short_file(node.function.file))}" if is_code(node) else ""
    place["title"] = (
        f"{name[:_LONGEST]}{where}: {seconds(node.total / 1e9)},"
        f" {percent(node.total / whole)} of all; itself {seconds(node.own / 1e9)}"
    )
    place["class"] = colour(node)
    if width >= NARROWEST:
        # About seven pixels a letter; the drawing may be 2,000 wide.
        place["text"] = name[: int(width * 3) + 1]
    if node is not focus:
        place["href"] = asked.same(focus=node.number)
    return place


def is_code(node: Node) -> bool:
    """Tell whether a node is a function, not a thread or a worker."""
    return node.function.file not in ("", THREAD, WORKER)


def name_of(node: Node) -> str:
    """Return what a node is called, with nothing invisible in it."""
    return visible(node.function.name)


def colour(node: Node) -> str:
    """Return the class of a node's colour: of the program, of a library, of Python itself."""
    if not is_code(node):
        return "fr"
    kind = kind_of(node.function.file)
    # Two shades, or neighbours would run into each other.
    return f"{kind}{sum(map(ord, node.function.name[:40])) % 2}"


def kind_of(file: str) -> str:
    """Return whose file that is: the program's, a library's, or Python's own.

    >>> kind_of("/srv/shop/views.py"), kind_of("/venv/lib/python3.11/site-packages/flask/app.py")
    ('fa', 'fl')
    """
    path = file.replace("\\", "/")
    if "/site-packages/" in path or "/dist-packages/" in path:
        return "fl"
    return "fp" if path.startswith("<") or "/lib/python3" in path else "fa"


def short_file(file: str) -> str:
    """Return the end of a file's name that tells which one it is.

    >>> short_file("/venv/lib/python3.11/site-packages/flask/app.py")
    'flask/app.py'
    """
    path = file.replace("\\", "/")
    for mark in ("/site-packages/", "/dist-packages/"):
        if mark in path:
            return path.rpartition(mark)[2][-100:]
    return "/".join(path.split("/")[-2:])[-100:]


def percent(share: float) -> str:
    """Return a share as people read it.

    >>> percent(0.1234), percent(0.00012), percent(0)
    ('12.3%', '0.012%', '0%')
    """
    value = 100 * share
    return f"{value:.1f}%" if abs(value) >= 1 else f"{value:.2g}%"
