"""profile.proto, as the real ``go tool pprof`` reads it."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from made import HANDLE, HOSTILE, MAIN, PARSE, made
from servers.go import pprof

from flask_expvar.profiles.pprof import counted_proto, heap_proto, profile_proto
from flask_expvar.profiles.proto import Valued, dotted
from flask_expvar.stacks.profile import Frame, Profile, merged


def written(folder: Path, content: bytes, name: str = "profile.pb.gz") -> str:
    (folder / name).write_bytes(content)
    return name


def top(folder: Path, *arguments: str) -> dict[str, tuple[str, str]]:
    """Return flat and cumulative share of each function that ``-top`` shows."""
    rows = re.findall(
        r"^ *\S+ +(\S+%) +\S+% +\S+ +(\S+%)  (.+)$", pprof(folder, "-top", *arguments), re.M
    )
    return {name: (flat, cum) for flat, cum, name in rows}


def test_tool_recovers_the_shares_with_all_names_intact(tmp_path: Path) -> None:
    file = written(tmp_path, profile_proto(merged([made()])))

    assert top(tmp_path, file) == {
        "views.Shop.parse": ("70.00%", "70.00%"),
        "shop.add.<locals>.<lambda>": ("20.00%", "20.00%"),
        "views.Shop.handle": ("10.00%", "100%"),
        "app.<module>": ("0%", "100%"),
    }  # fmt: skip


def test_tool_tells_raw_what_was_written(tmp_path: Path) -> None:
    both = merged([made(worker=7), made(worker=8)])

    raw = pprof(tmp_path, "-raw", written(tmp_path, profile_proto(both)))

    assert "Comment: worker 8: engine threads, cpu time, 2.00 s" in raw
    assert "Comment: approximate: bursts under 3 ms show at the next wait" in raw
    assert "PeriodType: cpu nanoseconds\nPeriod: 10000000\n" in raw
    assert "Duration: 2s" in raw
    assert "samples/count cpu/nanoseconds[dflt]" in raw
    assert (
        "70  700000000: 1 2 3 \n                route:[GET /orders] thread:[MainThread] worker:[8]"
        in raw
    )
    assert f"thread:[{HOSTILE}]" in raw
    assert "1: 0x1 M=1 views.Shop.parse /srv/shop/views.py:22 s=20" in raw
    assert "[FN][FL][LN]" in raw


def test_tool_draws_it(tmp_path: Path) -> None:
    drawn = pprof(
        tmp_path,
        "-svg",
        "-output",
        "out.svg",
        written(tmp_path, profile_proto(merged([made(mode="wall")]))),
    )

    assert "out.svg" in drawn
    assert "parse" in (tmp_path / "out.svg").read_text()


def test_tool_reads_an_empty_profile(tmp_path: Path) -> None:
    file = written(tmp_path, profile_proto(merged([])))

    assert "accounting for 0, 0% of 0 total" in pprof(tmp_path, "-top", file)


def test_tool_counts_threads_and_memory(tmp_path: Path) -> None:
    waiting = Valued((PARSE, MAIN), (3,), {"worker": "7"})
    threads = written(tmp_path, counted_proto("goroutine", [waiting], started=1.7e9), "t.pb.gz")
    held = [(7, ((HANDLE, MAIN), 2, 3 << 20)), (8, ((PARSE,), 5, 1 << 20))]
    heap = written(tmp_path, heap_proto(held, started=1.7e9), "h.pb.gz")

    assert "Type: goroutine" in pprof(tmp_path, "-top", threads)
    assert top(tmp_path, threads)["views.Shop.parse"] == ("100%", "100%")
    assert "Type: inuse_space" in pprof(tmp_path, "-top", heap)
    assert top(tmp_path, heap)["views.Shop.handle"] == ("75.00%", "75.00%")
    assert top(tmp_path, "-sample_index=inuse_objects", heap)["views.Shop.parse"][0] == "71.43%"


def test_names_that_are_no_text_do_not_break_the_file() -> None:
    odd = Frame("f\ud800\x00", "/a\udcff.py", -1, -1)

    content = gzip.decompress(profile_proto(merged([made([(1, (odd, odd), 10), (1, (), 5)])])))

    assert b"f?\x00" in content
    assert b"(not attributed)" in content


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("/srv/shop/views.py", "views.f"),
        ("/srv/shop/__init__.py", "shop.f"),
        ("<frozen runpy>", "f"),
        ("", "f"),
    ],
)
def test_functions_are_named_with_their_module(file: str, name: str) -> None:
    assert dotted(Frame("f", file, 1, 1)) == name


def test_same_profile_is_written_the_same() -> None:
    profile: Profile = made()

    assert profile_proto(merged([profile])) == profile_proto(merged([profile]))
