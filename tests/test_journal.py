"""The journal of a process that answers nobody: bounded, and read whatever the file holds."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from flask_expvar.pages.events_arbiter import arbiters_of
from flask_expvar.workers.journal import MOST, MOST_BYTES, MOST_FILES, Journal, journals


def test_a_journal_keeps_its_newest_entries_and_counts_all(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 7, clock=lambda: 1000.0)
    for number in range(MOST + 5):
        (journal.error if number % 2 else journal.log)(f"entry {number}" + "x" * 10_000)

    (told,) = journals(tmp_path)
    assert (told.pid, told.began, told.count, told.errors) == (7, 1000.0, 105, 52)
    assert [text[:9].strip("x") for _, _, text in told.entries] == [
        f"entry {number}" for number in range(5, MOST + 5)
    ]
    assert (tmp_path / "journal-7.json").stat().st_size < MOST_BYTES
    assert [each.name for each in tmp_path.iterdir()] == ["journal-7.json"]


def test_a_folder_keeps_the_newest_journals(tmp_path: Path) -> None:
    for pid in range(1, 9):
        Journal(tmp_path, pid).log("here")
        os.utime(tmp_path / f"journal-{pid}.json", (pid, pid))

    assert [told.pid for told in journals(tmp_path)] == [8, 7, 6, 5]
    assert len(list(tmp_path.iterdir())) == MOST_FILES


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2}, {"pid": -1}, {"pid": None}, {"pid": 2**40}, {"began": "x"}, {"began": 1e300},
        {"count": []}, {"entries": 3}, {"entries": [[1, True]]}, {"entries": [[-1, True, "a"]]},
        {"entries": [[1, True, "\ud800"]]}, {"entries": {"a": 1}},
    ],
)  # fmt: skip
def test_what_is_no_journal_is_left_out(tmp_path: Path, changes: dict[str, Any]) -> None:
    good = {"format": 1, "pid": 7, "began": 5.0, "count": 1, "errors": 0, "entries": [[6, 0, "a"]]}
    path = tmp_path / "journal-7.json"
    path.write_text(json.dumps(good))
    assert len(journals(tmp_path)) == 1

    path.write_text(json.dumps({**good, **changes}))
    assert journals(tmp_path) == []


def test_a_pipe_and_garbage_are_left_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "journal-1.json")
    (tmp_path / "journal-2.json").write_bytes(b"[" * 100_000)
    (tmp_path / "journal-3.json").symlink_to("/etc/passwd")

    assert journals(tmp_path) == []
    assert journals(tmp_path / "none") == []


def test_a_journal_is_an_event_log_at_its_own_times(tmp_path: Path) -> None:
    times = iter([1000.0, 1001.0, 1003.0])
    journal = Journal(tmp_path, 7, clock=lambda: next(times))
    journal.log("100% there")
    journal.error("gone")

    logs = arbiters_of(tmp_path, wall=lambda: 1013.0)[7]
    (log,) = logs.families()[0].logs()
    assert (log.title, log.started, log.seconds, log.error_age) == ("arbiter 7", 1000, 13, 10)
    assert [(each.when, each.kind, each.text) for each in log.entries] == [
        (1001.0, "log", "100% there"),
        (1003.0, "error", "gone"),
    ]
    (again,) = arbiters_of(tmp_path)[7].families()[0].logs()
    assert again.id == log.id
