"""The detector of what tests leave behind sees what it should."""

from __future__ import annotations

import _thread
import mmap
import signal
import sys
import threading
from pathlib import Path

import leftovers
import pytest
from servers import wait_until


def test_nothing_is_found_where_nothing_was_left(tmp_path: Path) -> None:
    (tmp_path / "closed").write_text("")

    assert leftovers.found(leftovers.threads(), tmp_path) == []


def test_thread_is_found_by_its_name_until_it_ends() -> None:
    before = leftovers.threads()
    release = threading.Event()
    thread = threading.Thread(target=release.wait, name="shop-sampler")
    thread.start()

    assert leftovers.found(before, None) == ["thread shop-sampler"]
    release.set()
    thread.join()
    wait_until(lambda: not leftovers.found(before, None))


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_thread_that_threading_does_not_know_is_found() -> None:
    before = leftovers.threads()
    gate = _thread.allocate_lock()
    gate.acquire()
    _thread.start_new_thread(gate.acquire, ())

    assert wait_until(lambda: leftovers.found(before, None))[0].startswith("native thread ")
    gate.release()
    wait_until(lambda: not leftovers.found(before, None))


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
def test_open_and_mapped_files_of_the_folder_are_found(tmp_path: Path) -> None:
    path = tmp_path / "slot"
    path.write_bytes(bytes(mmap.PAGESIZE))

    with path.open("r+b") as file:
        assert leftovers.found(leftovers.threads(), tmp_path) == [f"open file {path}"]
        mapping = mmap.mmap(file.fileno(), 0)
    assert f"mapped file {path}" in leftovers.found(leftovers.threads(), tmp_path)
    mapping.close()


def test_profilers_are_found() -> None:
    before = leftovers.threads()
    signal.setitimer(signal.ITIMER_PROF, 60)
    sys.setprofile(lambda *_: None)
    try:
        left = leftovers.found(before, None)
    finally:
        sys.setprofile(None)
        signal.setitimer(signal.ITIMER_PROF, 0)

    assert [words.partition(" ")[0] for words in left] == ["profiler", "a"]
