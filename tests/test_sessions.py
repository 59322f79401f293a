"""pyinstrument's renderings, speedscope's and collapsed stacks."""

from __future__ import annotations

import json
import re
from typing import Any

from made import HANDLE, HOSTILE, MAIN, PARSE, made
from pyinstrument.session import Session

from flask_expvar.profiles.folded import folded
from flask_expvar.profiles.sessions import (
    session,
    session_file,
    session_html,
    session_json,
    session_speedscope,
    session_text,
)
from flask_expvar.profiles.speedscope import speedscope
from flask_expvar.stacks.profile import Frame, merged


def shares(frame: dict[str, Any], found: dict[str, float]) -> dict[str, float]:
    name = ".".join(filter(None, (frame.get("class_name"), frame["function"])))
    found[name] = round(found.get(name, 0) + frame["time"], 6)
    for child in frame["children"]:
        shares(child, found)
    return found


def test_json_recovers_the_shares_with_all_names_intact() -> None:
    data = json.loads(session_json(merged([made()])))

    found = shares(data["root_frame"], {})
    assert found["MainThread"] == 0.9
    assert found[HOSTILE] == 0.1
    assert found["<module>"] == 1.0
    assert found["Shop.parse"] == 0.7
    assert found["<lambda>"] == 0.2
    assert (data["sample_count"], data["duration"]) == (100, 2.0)


def test_text_begins_with_what_is_to_be_known() -> None:
    text = session_text(merged([made(worker=7), made(worker=8)]))

    assert (
        "worker 8: engine threads, cpu time, 2.00 s, 100 samples in 180 looks, 90 a second" in text
    )
    assert "(100 asked)" in text
    assert "CPU approximate" in text
    assert "Shop.parse" in text


def test_equal_stacks_become_one_record_in_order() -> None:
    rows = [(1, (PARSE, MAIN), 10), (1, (HANDLE, MAIN), 10), (1, (PARSE, MAIN), 5)]

    records = session(merged([made(rows)])).frame_records

    assert [round(weight, 6) for _, weight in records] == [0.01, 0.015]
    assert [frames for frames, _ in records] == sorted(frames for frames, _ in records)


def test_saved_session_is_loaded_by_pyinstrument() -> None:
    loaded = Session.from_json(json.loads(session_file(merged([made()]))))

    root = loaded.root_frame()
    assert root is not None
    assert round(root.time, 6) == 1.0


def test_page_needs_nothing_from_elsewhere_and_runs_only_what_its_nonce_lets() -> None:
    page = "".join(session_html(merged([made()]), "n0nce"))

    assert "https://" not in page
    assert re.findall(r"<(?:script|style)\b[^>]*>", page) == [
        '<style nonce="n0nce">',
        '<script nonce="n0nce">',
        '<script nonce="n0nce">',
    ]


def test_names_cannot_leave_the_script_they_stand_in() -> None:
    evil = Frame(HOSTILE, f"/a/{HOSTILE}\u2028.py", 1, 1)
    profile = made([(2, (evil, Frame("a\x00b\x01h1", "\x00", 1, 1)), 10)])

    page = "".join(session_html(merged([profile]), "n", title=HOSTILE))

    assert page.count("<script") == 2
    assert page.count("</script") == 2
    data = re.search(r"const sessionData = (.*);\n", page)
    assert data is not None
    assert HOSTILE in json.dumps(json.loads(data[1]), ensure_ascii=False)
    assert "\u2028" not in page


def test_deep_stacks_are_rendered() -> None:
    deep = tuple(Frame(f"f{n}", "/a.py", n, n) for n in range(3000))
    merge = merged([made([(1, deep, 10)])])

    assert "f0" in session_json(merge)
    assert "f0" in "".join(session_html(merge, "n"))


def test_nothing_at_all_is_rendered_too() -> None:
    nothing = merged([])

    assert json.loads(session_json(nothing))["root_frame"] is None
    assert "No samples" in session_text(nothing)
    assert "sessionData" in "".join(session_html(nothing, "n"))
    assert folded(nothing) == ""
    assert json.loads(speedscope(nothing))["profiles"] == []


def test_pyinstruments_speedscope_is_json_too() -> None:
    data = json.loads(session_speedscope(merged([made()])))

    assert data["$schema"] == "https://www.speedscope.app/file-format-schema.json"


def test_speedscope_has_a_profile_for_each_thread() -> None:
    data = json.loads(speedscope(merged([made(worker=7), made(worker=8)]), "shop"))

    names = [frame["name"] for frame in data["shared"]["frames"]]
    assert [(each["name"], each["endValue"]) for each in data["profiles"]] == [
        ("MainThread, worker 7", 900_000_000),
        ("MainThread, worker 8", 900_000_000),
        (f"{HOSTILE}, worker 7", 100_000_000),
        (f"{HOSTILE}, worker 8", 100_000_000),
    ]
    first = data["profiles"][0]
    assert (first["type"], first["unit"], sum(first["weights"])) == (
        "sampled", "nanoseconds", first["endValue"],
    )  # fmt: skip
    assert [names[n] for n in first["samples"][0]] == ["<module>", "Shop.handle", "Shop.parse"]


def test_collapsed_stacks_have_one_line_for_each() -> None:
    assert folded(merged([made()])) == (
        f"{HOSTILE};app.<module>;views.Shop.handle 100000\n"
        "MainThread;app.<module>;views.Shop.handle;shop.add.<locals>.<lambda> 200000\n"
        "MainThread;app.<module>;views.Shop.handle;views.Shop.parse 700000\n"
    )


def test_names_cannot_end_a_line_or_a_frame_of_collapsed_stacks() -> None:
    evil = Frame("a;b\nc 5", "", 1, 1)

    assert folded(merged([made([(1, (evil,), 10)])])) == "MainThread;a:b\\u000ac 5 10000\n"
