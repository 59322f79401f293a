"""The stack of a process that cannot answer, and whom nobody may signal."""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from servers import running, wait_until

from flask_expvar.variables.reading import Part
from flask_expvar.variables.slot import Nodes
from flask_expvar.workers import standstill
from flask_expvar.workers.blackbox import BlackBox
from flask_expvar.workers.folder import identity
from flask_expvar.workers.shared import SharedStore
from flask_expvar.workers.standstill import NOTE, UNTOLD, spare_signal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs real-time signals")

WORKER = """
import os, re, signal, sys
from pathlib import Path
from flask_expvar.workers.standstill import Standstill, _masks, _has

told = Standstill(Path(sys.argv[1]), os.getpid())

def ready():
    print("ready", flush=True)

def hold():
    ready()
    re.match("(a+)+$", "a" * 60 + "b")

def idle():
    ready()
    sys.stdin.read()

def close():
    told.close()
    idle()

def fork():
    child = os.fork()
    if child == 0:
        told.close()
        handled = _masks(os.getpid())["SigCgt"]
        print("child handles it:", _has(handled, int(sys.argv[3])), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    idle()

globals()[sys.argv[2]]()
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return ``start(what)``: a process that does *what* and has said so."""
    with ExitStack() as stack:

        def start(what: str, *args: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-c", WORKER, str(tmp_path / "told"), what, *args],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


def lines_until_ready(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return list(iter(process.stdout.readline, "ready\n"))


def part(pid: int, live: bool = True) -> Part:
    return Part(0, pid, 1, live, True, 0, Nodes(), "")


def ask(path: Path, pid: int, live: bool = True) -> standstill.Stopped:
    (found,) = standstill.ask({path: part(pid, live)}, 5)
    return found


def test_a_process_that_is_held_in_c_tells_its_stack(start: Start, tmp_path: Path) -> None:
    process = start("hold")
    lines_until_ready(process)
    found = ask(tmp_path / "told", process.pid)
    again = ask(tmp_path / "told", process.pid)

    assert found.note == NOTE
    assert "in hold\n" in found.stack
    assert found.stack.count("most recent call first") == 1
    assert again.stack.count("most recent call first") == 1
    assert process.poll() is None


def test_a_file_that_has_grown_is_emptied_first(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start("hold")
    lines_until_ready(process)
    monkeypatch.setattr(standstill, "LONGEST", 100)
    sizes = []
    for _ in range(6):
        assert "in hold\n" in ask(tmp_path / "told", process.pid).stack
        sizes.append((tmp_path / "told").stat().st_size)

    # One stack each time, with or without the place in re.
    assert max(sizes) < 2 * min(sizes)


@pytest.mark.parametrize("head", ["", "x", "1-00000000 60\n", "{who} x\n", "{who} 999\n", "\udcff"])
def test_who_is_not_named_by_the_file_is_not_signalled(
    start: Start, tmp_path: Path, head: str
) -> None:
    # It handles no real-time signal, so that any would end it.
    process = start("close")
    lines_until_ready(process)
    head = head.format(who=identity(process.pid))
    (tmp_path / "told").write_bytes(os.fsencode(head))

    assert ask(tmp_path / "told", process.pid).note == UNTOLD
    assert running(process.pid)


def test_who_handles_it_but_is_another_than_named_is_not_signalled(
    start: Start, tmp_path: Path
) -> None:
    process = start("idle")
    lines_until_ready(process)
    path = tmp_path / "told"
    path.write_text(path.read_text().replace(identity(process.pid), f"{process.pid}-00000000"))

    assert ask(path, process.pid).note == UNTOLD
    assert "most recent call first" not in path.read_text()


def test_who_does_not_handle_the_signal_is_not_signalled(start: Start, tmp_path: Path) -> None:
    process = start("close")
    lines_until_ready(process)

    assert (tmp_path / "told").read_text().startswith(identity(process.pid))
    assert ask(tmp_path / "told", process.pid).note == UNTOLD
    assert running(process.pid)


def test_who_has_no_slot_any_more_is_not_signalled(start: Start, tmp_path: Path) -> None:
    process = start("idle")
    lines_until_ready(process)
    before = (tmp_path / "told").stat().st_size

    assert ask(tmp_path / "told", process.pid, live=False).note == UNTOLD
    assert ask(tmp_path / "none", process.pid).note == UNTOLD
    assert (tmp_path / "told").stat().st_size == before


def test_a_stopped_process_is_asked_once(start: Start, tmp_path: Path) -> None:
    process = start("idle")
    lines_until_ready(process)
    os.kill(process.pid, signal.SIGSTOP)
    wait_until(lambda: Path(f"/proc/{process.pid}/stat").read_text().split()[2] == "T")
    told = [standstill.ask({tmp_path / "told": part(process.pid)}, 0.1)[0] for _ in range(3)]
    os.kill(process.pid, signal.SIGCONT)
    path = tmp_path / "told"
    wait_until(lambda: "in <module>" in path.read_text())
    assert "in idle" in ask(path, process.pid).stack

    assert {each.note for each in told} == {standstill.SILENT}
    assert path.read_text().count("most recent call first") == 2


def test_a_forked_child_handles_it_no_more_and_its_parent_does(
    start: Start, tmp_path: Path
) -> None:
    process = start("fork", str(spare_signal(os.getpid())))
    assert lines_until_ready(process) == ["child handles it: False\n"]

    assert "in fork\n" in ask(tmp_path / "told", process.pid).stack


def test_a_signal_that_the_program_handles_is_not_taken() -> None:
    first = spare_signal(os.getpid())
    before = signal.signal(first, lambda *_: None)
    try:
        assert signal.SIGRTMIN < spare_signal(os.getpid()) < first
    finally:
        signal.signal(first, before)


def test_faulthandler_in_other_hands_is_left_alone(tmp_path: Path) -> None:
    store = SharedStore(tmp_path, os.getpid())
    box = BlackBox(store)
    box.prepare()
    try:
        assert faulthandler.is_enabled()  # by pytest
        assert not box.standstill_file(store.number).exists()
    finally:
        box.close()
        store.close()
