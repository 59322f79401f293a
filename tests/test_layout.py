"""The format of a slot's file: what was written comes back, and garbage does no harm."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flask_expvar.variables import layout
from flask_expvar.variables.layout import Spec

BOUNDS = st.lists(st.floats(allow_nan=False), max_size=100).map(tuple)
SPECS = st.builds(
    Spec,
    st.sampled_from(["int", "float", "map", "string", "func"]),
    st.text(max_size=50),
    help=st.text(max_size=50),
    label=st.none() | st.text(min_size=1, max_size=9),
    mode=st.sampled_from([None, "sum", "max"]),
) | st.builds(Spec, st.just("histogram"), st.text(max_size=50), bounds=BOUNDS)


def written(specs: list[Spec]) -> bytes:
    """Return a file of *specs*, a filler after every third, all words zero."""
    data = bytes(layout.HEADER)
    for number, spec in enumerate(specs):
        head, words = layout.record(0, spec)
        data += head + bytes(8 * words)
        if number % 3 == 2:
            data += layout.filler(64) + bytes(64 - layout.SMALLEST)
    return data


def read(data: bytes) -> list[Spec]:
    found, end = layout.scan(memoryview(data), layout.HEADER, len(data))
    assert layout.HEADER <= end <= max(len(data), layout.HEADER)
    return [each.spec for each in found]


@given(SPECS)
def test_what_a_variable_is_comes_back_as_it_was(spec: Spec) -> None:
    assert layout.decode_spec(spec.encode()) == spec


@given(st.lists(SPECS, max_size=8))
def test_records_come_back_in_their_order(specs: list[Spec]) -> None:
    assert read(written(specs)) == specs


@given(st.binary(max_size=600), st.integers(-(2**63), 2**63 - 1))
def test_garbage_is_read_as_nothing_and_never_raises(data: bytes, used: int) -> None:
    layout.scan(memoryview(data), 0, used)
    layout.scan(memoryview(bytes(layout.HEADER) + data), layout.HEADER, used)
    layout.decode_spec(data)


@given(st.lists(SPECS, max_size=6), st.data())
def test_a_file_cut_short_gives_the_first_records(specs: list[Spec], data: st.DataObject) -> None:
    whole = written(specs)
    cut = data.draw(st.integers(0, len(whole)))

    found = read(whole[:cut])

    assert found == specs[: len(found)]


@given(st.lists(SPECS, min_size=1, max_size=6), st.data())
def test_a_damaged_byte_costs_only_what_follows(specs: list[Spec], data: st.DataObject) -> None:
    whole = bytearray(written(specs))
    at = data.draw(st.integers(layout.HEADER, len(whole) - 1))
    before = len(read(bytes(whole[:at])))
    whole[at] ^= data.draw(st.integers(1, 255))

    assert read(bytes(whole))[:before] == specs[:before]


def test_a_text_of_any_other_shape_is_no_variable() -> None:
    for text in (b"[]", b"7", b'{"k":1,"n":"x"}', b'{"k":"int"}', b"[" * 9999, b'{"k":[],"n":""}'):
        assert layout.decode_spec(text) is None
