"""The JSON that every page is made of: Go's own text, and valid whatever is put in."""

from __future__ import annotations

import enum
import json
import math
from collections import OrderedDict, UserDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from decimal import Decimal
from itertools import count
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_expvar import _json


def fail(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is not JSON")


def strict(text: str) -> Any:
    text.encode()
    return json.loads(text, parse_constant=fail)


# Printed by Go: strconv.FormatFloat(f, 'g', -1, 64) and json.Marshal(f).
GO_FLOATS = [
    (0.0, "0", "0"),
    (-0.0, "-0", "-0"),
    (1.0, "1", "1"),
    (100.0, "100", "100"),
    (999999.0, "999999", "999999"),
    (999999.5, "999999.5", "999999.5"),
    (1e6, "1e+06", "1000000"),
    (1234567.0, "1.234567e+06", "1234567"),
    (1.5, "1.5", "1.5"),
    (0.1, "0.1", "0.1"),
    (1e-4, "0.0001", "0.0001"),
    (0.00012345, "0.00012345", "0.00012345"),
    (1e-5, "1e-05", "0.00001"),
    (-1.25e-5, "-1.25e-05", "-0.0000125"),
    (1e-6, "1e-06", "0.000001"),
    (9.99e-7, "9.99e-07", "9.99e-7"),
    (1e-7, "1e-07", "1e-7"),
    (-2.5e-8, "-2.5e-08", "-2.5e-8"),
    (1.5e-10, "1.5e-10", "1.5e-10"),
    (3000.0, "3000", "3000"),
    (1e15, "1e+15", "1000000000000000"),
    (1e16, "1e+16", "10000000000000000"),
    (12345678901234567890.0, "1.2345678901234567e+19", "12345678901234567000"),
    (123456789012345680000.0, "1.2345678901234568e+20", "123456789012345680000"),
    (1e20, "1e+20", "100000000000000000000"),
    (1e21, "1e+21", "1e+21"),
    (1.5e300, "1.5e+300", "1.5e+300"),
    (5e-324, "5e-324", "5e-324"),
    (1.7976931348623157e308, "1.7976931348623157e+308", "1.7976931348623157e+308"),
]


@pytest.mark.parametrize(("value", "in_var", "in_func"), GO_FLOATS)
def test_floats_are_printed_as_go_prints_them(value: float, in_var: str, in_func: str) -> None:
    assert _json.number(value) == in_var
    assert _json.compact(value) == in_func


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_floats_that_json_cannot_hold_are_null(value: float) -> None:
    assert _json.number(value) == "null"
    assert _json.compact({"a": [value]}) == '{"a":[null]}'


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_read_back_exactly(value: float) -> None:
    for text in (_json.number(value), _json.compact(value)):
        assert float(text) == value
        assert math.copysign(1, float(text)) == math.copysign(1, value)


class Level(enum.IntEnum):
    HIGH = 7


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (-5, "-5"), (True, "true"), (False, "false"), (Level.HIGH, "7"), (12**5, "248832")],
)
def test_ints_are_plain_decimals(value: int, text: str) -> None:
    assert _json.number(value) == text
    assert _json.compact(value) == text


def test_int_with_more_digits_than_readers_take_is_null_or_printed() -> None:
    assert _json.number(10**5000) in ("null", "1" + "0" * 5000)


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("", '""'),
        ("shop/orders", '"shop/orders"'),
        ('say "hi" \\ bye', r'"say \"hi\" \\ bye"'),
        ("a\nb\rc\td", r'"a\nb\rc\td"'),
        ("\x00\x01\x08\x0b\x0c\x1f", r'"\u0000\u0001\u0008\u000b\u000c\u001f"'),
        ("x<y & y>x", r'"x\u003cy \u0026 y\u003ex"'),
        ("\u2028\u2029", r'"\u2028\u2029"'),
        ("/ and \x7f stay", '"/ and \x7f stay"'),
        ("grün 日本 🐍", '"grün 日本 🐍"'),
        ("\ud800 alone \udcff", '"\ufffd alone \ufffd"'),
        ('all <"\\\n\x02', r'"all \u003c\"\\\n\u0002"'),
    ],
)
def test_strings_are_quoted_as_go_quotes_them(text: str, quoted: str) -> None:
    assert _json.quote(text) == quoted


@given(st.text())
def test_quoted_text_reads_back(text: str) -> None:
    plain = "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
    assert strict(_json.quote(text)) == plain
    assert not set(_json.quote(text)) & set("<>&\u2028\u2029")


class Loud(str):
    """A str whose own methods must not be asked."""

    def __str__(self) -> str:
        raise AssertionError("__str__ was called")

    __repr__ = __str__


class Silent:
    """A leaf whose text must not be asked for."""

    def __str__(self) -> str:
        raise AssertionError("__str__ was called")

    __repr__ = __str__

    @property
    def __class__(self) -> type:
        raise AssertionError("__class__ was read")

    @__class__.setter
    def __class__(self, new: type) -> None:
        raise AssertionError("__class__ was written")


def test_str_subclass_is_its_plain_characters() -> None:
    assert _json.quote(Loud("a<b")) == r'"a\u003cb"'
    assert _json.compact({Loud("a"): Loud("b")}) == '{"a":"b"}'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        ("x<y", r'"x\u003cy"'),
        ([], "[]"),
        ({}, "{}"),
        ((1, "a", None), '[1,"a",null]'),
        (deque([1, 2.5]), "[1,2.5]"),
        ({3, 1, 2}, "[1,2,3]"),
        (frozenset({"b", "a"}), '["a","b"]'),
        ({1, "a", None}, '["a",1,null]'),
        ({"b": 1, "B": 2, "é": 3}, '{"B":2,"b":1,"é":3}'),
        ({"a": {"y": [], "x": {}}}, '{"a":{"x":{},"y":[]}}'),
        (UserDict({"k": 1}), '{"k":1}'),
        ({1: "a", 2.5: "b", 0: "c", None: "d"}, '{"0":"c","1":"a","2.5":"b","null":"d"}'),
        ({False: 0, 1e-7: 1, 3000.0: 2}, '{"1e-7":1,"3000":2,"false":0}'),
        ({(1, 2): "dropped", b"x": "dropped", math.nan: "dropped", "k": 1}, '{"k":1}'),
        ({1: "first", "1": "last"}, '{"1":"last"}'),
        ({"\ud800": 1, chr(0xDC00): 2}, '{"\ufffd":2}'),
        ([b"x", bytearray(b"y"), memoryview(b"z"), 1], "[null,null,null,1]"),
        ([datetime.now(timezone.utc), 1j, Decimal(1), 1], "[null,null,null,1]"),
        ([iter([1]), object, ..., 1], "[null,null,null,1]"),
    ],
)
def test_func_values_are_printed_as_go_prints_them(value: object, text: str) -> None:
    assert _json.compact(value) == text


def test_leaf_that_json_does_not_know_is_null_and_not_asked() -> None:
    assert _json.compact({"ok": 1, "bad": Silent(), "list": [Silent(), 2]}) == (
        '{"bad":null,"list":[null,2],"ok":1}'
    )


def test_cycle_is_null_where_it_closes() -> None:
    ring: list[Any] = [1]
    ring.append({"again": ring, "twice": [[], []]})

    assert _json.compact(ring) == '[1,{"again":null,"twice":[[],[]]}]'


def test_same_object_twice_side_by_side_is_no_cycle() -> None:
    shared = [1]
    assert _json.compact([shared, shared]) == "[[1],[1]]"


def test_nesting_deeper_than_64_is_null() -> None:
    deep: list[Any] = []
    for _ in range(200):
        deep = [deep]

    assert _json.compact(deep) == "[" * 64 + "null" + "]" * 64


def test_value_that_would_grow_without_end_is_null() -> None:
    laughs: list[Any] = ["ha"]
    for _ in range(40):
        laughs = [laughs, laughs]

    assert _json.compact(laughs) == "null"
    assert _json.compact(range(10**12)) == "null"
    assert _json.compact([EndlessSequence()]) == "null"


class BrokenMapping(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        raise RuntimeError(key)

    def __iter__(self) -> Iterator[str]:
        yield "a"
        raise RuntimeError("half way")

    def __len__(self) -> int:
        return 2


class BrokenSequence(Sequence[int]):
    def __getitem__(self, index: Any) -> Any:
        raise RuntimeError(index)

    def __len__(self) -> int:
        raise RuntimeError("no length")


class BrokenDict(dict[str, int]):
    def items(self) -> NoReturn:
        raise RuntimeError("no items")


class BrokenOrder(int):
    def __lt__(self, other: object) -> bool:
        raise TypeError("no order")


class BrokenHash(type):
    def __hash__(cls) -> int:
        raise RuntimeError("no hash")


class EndlessSequence(BrokenSequence):
    def __getitem__(self, index: Any) -> Any:
        return index


class OfBrokenHash(metaclass=BrokenHash):
    pass


def test_container_that_fails_when_read_is_null_alone() -> None:
    values = [BrokenMapping(), BrokenSequence(), BrokenDict(a=1), OfBrokenHash(), 1]
    assert _json.compact(values) == "[null,null,null,null,1]"


def test_set_that_cannot_be_sorted_is_sorted_by_its_text() -> None:
    assert _json.compact({BrokenOrder(2), BrokenOrder(10)}) == "[10,2]"


def test_almost_exhausted_stack_costs_the_value_not_the_page() -> None:
    def dive() -> str:
        try:
            return dive()
        except RecursionError:
            return _json.compact([[[[[[[[1]]]]]]]])

    strict(dive())


# Made one by one: a strategy prints what it samples from.
MAKERS: list[Callable[[], object]] = [
    lambda: Loud("x"),
    Silent,
    BrokenMapping,
    BrokenSequence,
    lambda: BrokenDict(a=1),
    OfBrokenHash,
    BrokenOrder,
    count,
    lambda: 10**5000,
]
WEIRD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.datetimes(),
    st.integers(0, len(MAKERS) - 1).map(lambda index: MAKERS[index]()),
)
KEYS = st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.binary())
NESTED = st.recursive(
    WEIRD,
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner).map(tuple),
        st.lists(inner).map(deque),
        st.frozensets(KEYS),
        st.dictionaries(KEYS, inner),
        st.dictionaries(KEYS, inner).map(OrderedDict),
        st.dictionaries(KEYS, inner).map(UserDict),
    ),
    max_leaves=30,
)


@given(NESTED)
def test_anything_becomes_valid_json(value: object) -> None:
    strict(_json.compact(value))


def is_unicode(text: str) -> bool:
    return all(not "\ud800" <= char <= "\udfff" for char in text)


@given(st.dictionaries(st.text().filter(is_unicode), st.integers()))
def test_members_come_in_the_order_of_their_bytes(value: dict[str, int]) -> None:
    read = strict(_json.compact(value))

    assert read == value
    assert list(read) == sorted(value, key=lambda name: name.encode())


def by_bytes(text: str) -> bytes:
    """Return the sort key of Go's order: the bytes of UTF-8."""
    return text.encode("utf-8", "surrogatepass")


@given(st.lists(st.text()))
def test_order_of_bytes_is_the_plain_order_of_strings(names: list[str]) -> None:
    assert sorted(names) == sorted(names, key=by_bytes)


def test_map_is_one_line_with_spaces() -> None:
    sub = _json.spaced([("x<y", "1")])
    items = [("a", "2"), ("f", "1.5"), ("nil", "null"), ("sub", sub), ("z", "1")]

    assert sub == r'{"x\u003cy": 1}'
    assert _json.spaced(items) == r'{"a": 2, "f": 1.5, "nil": null, "sub": {"x\u003cy": 1}, "z": 1}'
    assert _json.spaced([]) == "{}"


def test_empty_page_is_the_one_of_go() -> None:
    assert _json.page([]) == "{\n\n}\n"


def test_whole_page_is_the_one_of_go() -> None:
    variables = {
        "ratio": _json.number(math.nan),
        "cmdline": _json.compact(["gunicorn", "-w", "4", "app:app"]),
        "Upper": _json.quote("R&D"),
        "é": _json.number(True),
        "by": _json.spaced([("200", _json.number(3)), ("total", _json.number(1e6))]),
        "info": _json.compact({"b": 3000.0, "a": (None, "x>y")}),
    }

    text = _json.page([(name, variables[name]) for name in sorted(variables)])

    assert text == (
        "{\n"
        '"Upper": "R\\u0026D",\n'
        '"by": {"200": 3, "total": 1e+06},\n'
        '"cmdline": ["gunicorn","-w","4","app:app"],\n'
        '"info": {"a":[null,"x\\u003ey"],"b":3000},\n'
        '"ratio": null,\n'
        '"é": true\n'
        "}\n"
    )
    assert list(strict(text)) == sorted(variables, key=by_bytes)


@given(st.dictionaries(st.text(max_size=8).filter(is_unicode), NESTED, max_size=5))
def test_page_of_anything_is_one_object_of_one_line_each(values: dict[str, object]) -> None:
    text = _json.page((name, _json.compact(values[name])) for name in sorted(values))

    assert list(strict(text)) == sorted(values)
    assert text.count("\n") == max(len(values), 1) + 2


FIGURES = st.recursive(
    st.integers() | st.booleans() | st.just(0.0) | st.floats(1e-4, 1e15) | st.just(3.0),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("aBc19Z"), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from("aBc19Z"), FIGURES))
def test_figures_are_printed_as_anything_is(value: dict[str, Any]) -> None:
    assert _json.figures(value) == _json.compact(value)
    assert strict(_json.figures(value, sort=False)) == value


@pytest.mark.parametrize("text", ["C:\\xampp", "\\\\x", "<\\x41>", "\\y", "\\"])
def test_no_backslash_stands_before_an_x(text: str) -> None:
    # prometheus-expvar-exporter makes a question mark of "\\x" and two bytes, wherever it is.
    written = _json.quote(text)

    assert "\\x" not in written
    assert json.loads(written) == text
