"""Tree, table, flame graph and comparison of profiles."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from made import HANDLE, HOSTILE, MAIN, MS, PARSE, SUM, made

from flask_expvar.profiles.flame import MOST, flame
from flask_expvar.profiles.tree import Function, compare, table, tree, walk, way_to
from flask_expvar.stacks.profile import Frame, merged


def names(root: object) -> dict[str, tuple[int, int]]:
    return {n.function.name: (n.own // MS, n.total // MS) for n in walk(root)}  # type: ignore[arg-type]


def test_tree_recovers_the_shares() -> None:
    assert names(tree(merged([made()]))) == {
        "all threads": (0, 1000),
        "<module>": (0, 1000),
        "Shop.handle": (100, 1000),
        "Shop.parse": (700, 700),
        "add.<locals>.<lambda>": (200, 200),
    }


def test_threads_and_workers_can_stand_apart() -> None:
    root = tree(merged([made(worker=7), made(worker=8)]), by_thread=True)

    found = [(n.function.name, n.total // MS) for n in root.heaviest()]
    assert found == [("worker 7", 1000), ("worker 8", 1000)]
    assert [n.function.name for n in root.heaviest()[0].heaviest()] == ["MainThread", HOSTILE]


def test_every_node_is_found_by_its_number() -> None:
    root = tree(merged([made()]), by_thread=True)

    for node in walk(root):
        assert way_to(root, node.number)[-1] is node
    with pytest.raises(LookupError):
        way_to(root, 99)


def test_recursive_function_counts_once_in_its_total() -> None:
    rows = table(merged([made([(1, (PARSE, HANDLE, PARSE, MAIN), 50)])]))

    assert {(r.function.name, r.own // MS, r.total // MS, r.samples) for r in rows} == {
        ("Shop.parse", 50, 50, 5),
        ("Shop.handle", 0, 50, 5),
        ("<module>", 0, 50, 5),
    }


def test_table_has_what_was_spent_first() -> None:
    rows = table(merged([made()]))

    assert [row.function.name for row in rows] == [
        "Shop.parse", "add.<locals>.<lambda>", "Shop.handle", "<module>",
    ]  # fmt: skip


def test_boxes_stand_below_their_callers_side_by_side() -> None:
    boxes = flame(tree(merged([made()]))).boxes

    drawn = [(box.node.function.name, box.left, box.width, box.depth) for box in boxes if box.node]
    assert drawn == [
        ("all threads", 0, 1, 0),
        ("<module>", 0, 1, 1),
        ("Shop.handle", 0, 1, 2),
        ("Shop.parse", 0, 0.7, 3),
        ("add.<locals>.<lambda>", 0.7, 0.2, 3),
    ]


def test_boxes_of_less_than_a_thousandth_are_put_together() -> None:
    tiny = [(1, (Frame(f"f{n}", "/a.py", n, n), MAIN), 1) for n in range(60)]

    drawn = flame(tree(merged([made([(1, (PARSE, MAIN), 30_000 - 60), *tiny])])))

    small = [box for box in drawn.boxes if box.node is None]
    assert [(box.merged, round(box.width, 5)) for box in small] == [(60, 0.002)]
    assert drawn.hidden == 60


def test_no_more_boxes_than_the_limit_and_the_largest_of_them() -> None:
    pick = random.Random(7)
    frames = [Frame(f"f{n}", "/a.py", n, n) for n in range(40)]
    rows = [(1, tuple(pick.choices(frames, k=12)), pick.randrange(1, 9)) for _ in range(900)]

    drawn = flame(tree(merged([made(rows)])), least=0.0)

    assert len(drawn.boxes) == MOST
    assert drawn.hidden > 0
    depths = Counter(box.depth for box in drawn.boxes)
    assert depths[0] == 1
    for box in drawn.boxes:
        above = [b for b in drawn.boxes if b.depth == box.depth - 1 and b.left <= box.left + 1e-9]
        assert box.depth == 0 or above[-1].left + above[-1].width >= box.left + box.width - 1e-9


def test_comparison_tells_what_grew_and_what_shrank() -> None:
    before = made()
    after = made([(1, (PARSE, HANDLE, MAIN), 200), (1, (SUM, HANDLE, MAIN), 1800)])

    found = {c.function.name: round(c.grew, 3) for c in compare(merged([before]), merged([after]))}

    assert found == {
        "add.<locals>.<lambda>": 0.7,
        "Shop.parse": -0.6,
        "Shop.handle": -0.1,
        "<module>": 0,
    }
    assert list(found) == ["add.<locals>.<lambda>", "Shop.parse", "Shop.handle", "<module>"]


def test_function_that_moved_is_the_same_in_a_comparison() -> None:
    moved = PARSE._replace(line=90, first=88)

    changes = compare(merged([made([(1, (PARSE,), 10)])]), merged([made([(1, (moved,), 10)])]))

    assert [(c.function, c.grew) for c in changes] == [
        (Function("Shop.parse", "/srv/shop/views.py", 0), 0)
    ]


def test_nothing_can_be_drawn_and_compared_too() -> None:
    nothing = merged([])

    assert len(flame(tree(nothing)).boxes) == 1
    assert (table(nothing), compare(nothing, nothing)) == ([], [])
