"""The engines that take profiles, and the profiler that runs one of them at a time."""

from __future__ import annotations

import _thread
import ctypes
import gc
import os
import signal
import struct
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest
import work
from servers.waiting import wait_until

from flask_expvar.exceptions import BusyError, UnavailableError, UnknownError
from flask_expvar.stacks import clocks, kernel, onduty, threads, walking
from flask_expvar.stacks.limits import bounded
from flask_expvar.stacks.profile import Frame, Profile, Sample, ThreadInfo
from flask_expvar.stacks.profiler import KEPT, Profiler, Running
from flask_expvar.stacks.spy import Spy, _Seen, find
from flask_expvar.stacks.weights import Weights

linux = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")


@pytest.fixture
def profiler() -> Iterator[Profiler]:
    found = Profiler()
    yield found
    if found.running is not None:
        found.running.stop()
        wait_until(lambda: found.running is None)


def at_work_in_main(running: Running) -> Profile:
    while not running.done:
        work.once()
    return running.wait()


def native_threads() -> int:
    return len(os.listdir("/proc/self/task")) if sys.platform == "linux" else _thread._count()


# -- what is seen ------------------------------------------------------------------------------


@linux
def test_cpu_time_of_a_thread_is_divided_as_it_was_spent(profiler: Profiler) -> None:
    taken: list[Profile] = []

    def take() -> dict[str, float]:
        taken.append(profiler.start(1.5, "cpu", "threads").wait())
        return work.spent(taken[-1])

    with work.at_work(1, asleep=3, once=work.once_and_wait):
        found = work.shares_in_all(take)

    assert work.are_true(found), found
    # What waits is charged with nothing: by the clock on the wall the shares are others.
    assert not work.are_true(work.shares(work.spent(taken[0], "wall_ns")))
    for profile in taken:
        busy = [info for info in profile.threads.values() if info.name == "busy"]
        spent = sum(each.cpu_ns for each in profile.samples)
        total = sum(info.cpu_ns for info in profile.threads.values())
        assert spent == pytest.approx(total, rel=0.01)
        assert busy[0].cpu_ns > 0.5 * total


@linux
def test_main_thread_is_interrupted_where_it_spends_its_time(profiler: Profiler) -> None:
    taken: list[Profile] = []

    def take() -> dict[str, float]:
        taken.append(at_work_in_main(profiler.start(1.5, "cpu", "signal")))
        return work.spent(taken[-1])

    found = work.shares_in_all(take)

    assert work.are_true(found), found
    for profile in taken:
        (info,) = profile.threads.values()
        assert info.native == os.getpid()
        assert sum(each.cpu_ns for each in profile.samples) <= info.cpu_ns
        assert profile.cpu_exact


@linux
def test_main_thread_is_not_interrupted_in_step_with_its_own_loops(profiler: Profiler) -> None:
    intervals: set[float] = set()
    running = profiler.start(60, "cpu", "signal")

    def look() -> bool:
        work.burn(0.005)
        intervals.add(signal.getitimer(signal.ITIMER_PROF)[1])
        return len(intervals - {0.0}) > 1

    wait_until(look)
    running.stop()

    assert all(0.003 < each < 0.009 for each in intervals - {0.0})


def test_wall_time_of_all_threads_is_the_time_that_passed(profiler: Profiler) -> None:
    with work.at_work(1, asleep=2):
        profile = profiler.start(0.4).wait()

    for key, info in profile.threads.items():
        total = sum(each.wall_ns for each in profile.samples if each.thread == key)
        assert total / 1e9 == pytest.approx(profile.seconds, rel=0.05), info
    asleep = [key for key, info in profile.threads.items() if info.name == "asleep"]
    assert len(asleep) == 2
    assert all(profile.threads[key].cpu_ns < 10**8 for key in asleep)


def test_names_are_those_of_python(profiler: Profiler) -> None:
    class Shop:
        def get(self) -> None:
            end.wait()

    end = threading.Event()
    target = lambda: Shop().get()  # noqa: E731  # its name is what this is about
    thread = threading.Thread(target=target)
    thread.start()
    try:
        profile = profiler.start(0.1).wait()
    finally:
        end.set()
        thread.join()

    stacks = [
        each.stack for each in profile.samples if profile.threads[each.thread].name == thread.name
    ]
    names = [frame.name for frame in stacks[-1]]
    get = next(frame for frame in stacks[-1] if frame.name.endswith("get"))
    assert any(name.endswith("<lambda>") for name in names)
    assert get.file == __file__
    assert get.line == get.first + 1
    if sys.version_info >= (3, 11):
        assert get.name.endswith("Shop.get")


def test_what_a_thread_serves_is_told(profiler: Profiler) -> None:
    class Request:
        family = "GET /orders"

    with work.at_work(1):
        (busy,) = [each.ident for each in threading.enumerate() if each.name == "busy"]
        profiler.serving["a registry"] = lambda: {busy or 0: Request()}
        profile = profiler.start(0.2).wait()

    routes = {profile.threads[each.thread].name: each.route for each in profile.samples}
    assert routes["busy"] == "GET /orders"
    assert routes["MainThread"] == ""


# -- one at a time, and none left --------------------------------------------------------------


@linux
@pytest.mark.parametrize("engine", ["threads", "signal"])
def test_nothing_of_a_profile_is_there_when_it_is_done(profiler: Profiler, engine: str) -> None:
    profiler.start(0.05, "cpu", "threads").wait()  # what is learnt once
    interval, before = sys.getswitchinterval(), native_threads()

    at_work_in_main(profiler.start(0.3, "cpu", engine))

    wait_until(lambda: signal.getsignal(signal.SIGPROF) is signal.SIG_DFL)
    assert signal.getitimer(signal.ITIMER_PROF) == (0, 0)
    wait_until(lambda: native_threads() <= before)
    assert sys.getswitchinterval() == interval
    assert sys.getprofile() is None


@linux
def test_threads_that_only_compute_have_turns_as_long_as_ever(profiler: Profiler) -> None:
    before = sys.getswitchinterval()
    with work.at_work(2):
        running = profiler.start(60, "cpu", "threads")
        wait_until(lambda: sys.getswitchinterval() < before)
        wait_until(lambda: sys.getswitchinterval() == before)
        assert not running.done
        running.stop()
        running.wait()


@linux
def test_threads_that_wait_now_and_then_have_short_turns(profiler: Profiler) -> None:
    before, seen = sys.getswitchinterval(), set[float]()
    with work.at_work(2, once=lambda: work.once_and_wait(0.0002)):
        running = profiler.start(1, "cpu", "threads")
        wait_until(lambda: seen.add(sys.getswitchinterval()) or running.left < 0.3)
        assert max(seen) <= before
        assert before not in {sys.getswitchinterval() for _ in range(5)}
        running.wait()


def test_second_profile_is_told_when_the_first_will_be_done(profiler: Profiler) -> None:
    first = profiler.start(30)

    with pytest.raises(BusyError, match=r"will be done in \d+ s") as told:
        profiler.start(1)

    assert told.value.ends == pytest.approx(first.started + 30)


def test_profile_that_is_stopped_tells_what_was_seen(profiler: Profiler) -> None:
    running = profiler.start(60)
    running.stop()

    profile = running.wait()

    assert profile.seconds < 30
    assert running.left == 0
    assert profiler.running is None


def test_profile_ends_when_its_asker_does_not_come_back(profiler: Profiler) -> None:
    running = profiler.start(60)
    running.lease(0.05)

    assert running.wait().seconds < 30


def test_interrupted_wait_ends_the_profile(profiler: Profiler) -> None:
    running = profiler.start(60)

    def interrupt() -> bool:
        raise SystemExit

    with pytest.raises(SystemExit):
        running.wait(interrupt)

    wait_until(lambda: running.done)


def test_last_ten_profiles_are_kept(profiler: Profiler) -> None:
    taken = []
    for _ in range(KEPT + 2):
        taken.append(profiler.start(60))
        taken[-1].stop()
        taken[-1].wait()

    assert profiler.kept == taken[:1:-1]
    assert profiler.find(taken[-1].id) is taken[-1]
    with pytest.raises(UnknownError, match="its last 10"):
        profiler.find(taken[0].id)


def test_failed_engine_is_told_to_who_waits() -> None:
    class Broken:
        name = "threads"

        def obstacle(self, mode: str) -> str:
            return ""

        def run(self, order: object) -> Profile:
            raise OSError("no more files")

    profiler = Profiler([Broken()])

    with pytest.raises(UnavailableError, match="no more files"):
        profiler.start(1).wait()
    assert profiler.running is None


# -- what is not possible ----------------------------------------------------------------------


def test_interpreter_without_gil_is_refused(
    profiler: Profiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)

    with pytest.raises(UnavailableError, match="without its GIL"):
        profiler.start(1)


def test_refused_engine_says_which_are_possible(profiler: Profiler) -> None:
    with pytest.raises(
        UnavailableError, match=r"measures CPU time only; possible: engine=.*threads"
    ):
        profiler.start(1, "wall", "signal")


def test_no_clocks_mean_no_cpu_time(profiler: Profiler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "are_there", lambda: False)

    with pytest.raises(UnavailableError, match=r"no clocks .* mode=wall is possible"):
        profiler.start(1, "cpu", "")


def test_signal_of_the_program_is_left_alone(profiler: Profiler) -> None:
    before = signal.signal(signal.SIGPROF, signal.SIG_IGN)
    try:
        with pytest.raises(UnavailableError, match="the program handles SIGPROF itself"):
            profiler.start(1, "cpu", "signal")
        assert signal.getsignal(signal.SIGPROF) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGPROF, before)


@pytest.mark.parametrize(("mode", "engine"), [("time", ""), ("wall", "perf")])
def test_unknown_words_are_refused_with_those_that_are_known(
    profiler: Profiler, mode: str, engine: str
) -> None:
    with pytest.raises(ValueError, match=r"allowed are .*(wall|threads)"):
        profiler.start(1, mode, engine)


# -- the traps of CPython ----------------------------------------------------------------------


@linux
def test_clock_of_a_dead_thread_is_no_clock() -> None:
    ids: list[int] = []
    thread = threading.Thread(target=lambda: ids.append(threading.get_native_id()))
    thread.start()
    thread.join()

    wait_until(lambda: clocks.thread_cpu_ns(ids[0]) == -1)
    assert clocks.thread_cpu_ns(0) == -1
    assert clocks.thread_cpu_ns(2**70) == -1
    assert clocks.thread_cpu_ns(os.getpid()) > 0


def test_threads_that_come_and_go_are_told_apart(profiler: Profiler) -> None:
    running = profiler.start(0.5, "wall", interval=0.005)
    while not running.done:
        # The same identifier each time: one begins when the other has ended.
        thread = threading.Thread(target=work.burn, args=(0.02,), name="short")
        thread.start()
        thread.join()
    profile = running.wait()

    short = [key for key, info in profile.threads.items() if info.name == "short"]
    assert len(short) > 3
    assert all(profile.threads[key].cpu_ns < 10**9 for key in short)
    for key in short:
        assert sum(each.wall_ns for each in profile.samples if each.thread == key) < 5e8


@linux
def test_main_thread_of_a_forked_child_has_its_own_clock(profiler: Profiler) -> None:
    profiler.start(60)
    reader, writer = os.pipe()

    def fork() -> None:
        # From another thread: the child's main thread is known by a native id of the parent's.
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
            return
        try:
            running = Profiler().start(0.3, "cpu", "threads")
            work.burn(0.1)
            info = next(iter(running.wait().threads.values()))
            busy = profiler.running is not None
            os.write(writer, f"{info.native == os.getpid()} {info.cpu_ns > 0} {busy}".encode())
        finally:
            os._exit(0)

    thread = threading.Thread(target=fork)
    thread.start()
    thread.join()
    os.close(writer)
    with os.fdopen(reader) as told:
        assert told.read() == "True True False"


def test_objects_of_a_thread_die_while_it_is_profiled(profiler: Profiler) -> None:
    class Thing:
        pass

    seen: list[bool] = []
    running = profiler.start(60, interval=0.005)

    def work_on() -> None:
        for _ in range(200):
            thing = Thing()
            known = weakref.ref(thing)
            work.burn(0.0005)
            del thing
            seen.append(known() is None)

    thread = threading.Thread(target=work_on)
    thread.start()
    thread.join()
    running.stop()
    profile = running.wait()

    assert seen == [True] * 200
    assert any(frame.name.endswith("work_on") for each in profile.samples for frame in each.stack)


def test_collector_is_kept_out_while_frames_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    enabled: list[bool] = []

    def current_frames() -> dict[int, FrameType]:
        enabled.append(gc.isenabled())
        return {}

    monkeypatch.setattr(sys, "_current_frames", current_frames)
    monkeypatch.setattr(walking, "_COLLECTS_INSIDE", True)

    walking.current_frames()

    assert enabled == [False]
    assert gc.isenabled()


@linux
def test_place_where_threads_wait_for_the_interpreter_is_found() -> None:
    found = next(filter(None, (onduty.gil_address() for _ in range(5))), 0)

    assert found
    with work.at_work(1):
        (tid,) = [each.native_id for each in threading.enumerate() if each.name == "busy"]
        duty = onduty.Duty(tid or 0, found)
        with threads.short_turns():
            assert wait_until(lambda: duty.state() == onduty.QUEUED)
        duty.close()


@linux
def test_thread_that_is_to_run_at_once_keeps_its_policy_and_nice_value() -> None:
    told: list[object] = []

    def run() -> None:
        got = ctypes.create_string_buffer(48)
        told.append(kernel.be_prompt())
        number = {"x86_64": 315, "aarch64": 275}[kernel.MACHINE]
        assert kernel.libc().syscall(number, 0, got, 48, 0) == 0
        told.extend(struct.unpack("IIQiIQQQ", got.raw))

    nice = os.getpriority(os.PRIO_PROCESS, 0)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()

    prompt, _, policy, _, was, _, slice_ns, _, _ = told
    assert (policy, was) == (os.SCHED_OTHER, nice)
    # Linux tells it from 6.12 on.
    assert not prompt or slice_ns in {0, 100_000}


@linux
def test_thread_that_sleeps_is_not_on_duty() -> None:
    gil = onduty.gil_address()
    with work.at_work(0, asleep=1):
        (thread,) = [each for each in threading.enumerate() if each.name == "asleep"]
        duty = onduty.Duty(thread.native_id or 0, gil)
        wait_until(lambda: duty.state() == onduty.WAITING)
        looks = [duty.state() for _ in range(20)]
        duty.close()

    assert set(looks) == {onduty.WAITING}
    assert not duty.state()


# -- limits ------------------------------------------------------------------------------------


def test_deep_stacks_are_cut_and_counted() -> None:
    weights = Weights(deepest=10)

    def dive(depth: int) -> tuple[int, ...]:
        return dive(depth - 1) if depth else weights.raw(sys._getframe())

    weights.add(1, dive(30), 5, 0)

    (sample,) = weights.samples()
    assert len(sample.stack) == 10
    assert weights.truncated == 1


def test_stacks_beyond_the_limit_are_counted_as_lost() -> None:
    weights = Weights(most=2)
    for number in range(5):
        weights.add(number, (), 1, 1)
    weights.add(0, (), 1, 1)

    assert weights.lost == 3
    assert [each.wall_ns for each in weights.samples()] == [2, 1]


def test_lines_are_those_that_python_tells() -> None:
    weights = Weights()
    frame = sys._getframe()
    raw, line = weights.raw(frame), frame.f_lineno
    weights.add(1, raw, 1, 1)

    (sample,) = weights.samples()

    assert sample.stack[0].line == line
    assert sample.stack[0].first == frame.f_code.co_firstlineno


def test_profile_is_cut_to_its_heaviest_samples() -> None:
    frames = [Frame(f"f{n}", "/srv/app.py", n, n) for n in range(1000)]
    samples = [Sample(1, (frame,), n, 0, 1) for n, frame in enumerate(frames)]
    info = {1: ThreadInfo("main", 1, False, 0)}
    whole = Profile(1, "threads", "wall", time.time(), 1.0, 0.01, 100, 0, 0, False)
    whole.threads, whole.samples = info, samples

    cut = bounded(whole, 5000)

    assert len(str(cut.plain())) < 6000
    assert cut.samples[0].wall_ns == 999
    assert cut.lost == 1000 - len(cut.samples)
    assert bounded(whole, 10**6) is whole


# -- py-spy ------------------------------------------------------------------------------------


@pytest.fixture
def spy(need: Callable[[object, str], None]) -> Spy:
    need(find(), "py-spy")
    found = Spy()
    obstacle = found.obstacle("cpu")
    if "may not read" in obstacle:
        pytest.skip(obstacle)  # not a matter of what is installed
    return found


def test_program_that_reads_this_process_sees_what_its_threads_do(spy: Spy) -> None:
    profiler = Profiler([spy])
    taken: list[Profile] = []

    def take() -> dict[str, float]:
        taken.append(profiler.start(2, "cpu", "py-spy").wait())
        return work.spent(taken[-1])

    with work.at_work(1, asleep=1):
        found = work.shares_in_all(take)

    assert work.are_true(found), found
    profile = taken[0]
    busy = [key for key, info in profile.threads.items() if info.name == "busy"]
    key = max(busy, key=lambda each: profile.threads[each].cpu_ns)
    spent = sum(each.cpu_ns for each in profile.samples if each.thread == key)
    assert spent == pytest.approx(profile.threads[key].cpu_ns, rel=0.01)
    assert 1.9 < profile.seconds < 6


def test_thread_that_has_ended_with_its_clock_is_charged_by_what_was_seen() -> None:
    seen = _Seen({7: 300}, 2.0)

    seen.read("thread (7): one;f (a.py:1) 40\nthread (8): ended;g (a.py:2) 50\n", 100)

    assert [(each.thread, each.cpu_ns) for each in seen.samples] == [(7, 300), (8, 10**9)]
    assert seen.guessed == 1
    assert seen.threads[8].cpu_ns == -1


def test_thread_that_the_program_knows_by_pythons_number_has_its_own_clock() -> None:
    seen = _Seen({7: 300}, 2.0, natives={0x7F2A: 7})

    seen.read("thread (0x7F2A): one;f (a.py:1) 1\nthread (7): one;f (a.py:1) 2\n", 100)

    assert [(each.thread, each.cpu_ns) for each in seen.samples] == [(7, 100), (7, 200)]
    assert seen.guessed == 0


def test_missing_program_is_named_with_the_way_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)

    assert Spy().obstacle("cpu") == "py-spy is not installed (pip install py-spy)"


def test_program_that_may_not_read_this_process_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refused = tmp_path / "py-spy"
    refused.write_text(
        "#!/bin/sh\necho 'Permission Denied: Try running again as root' >&2\nexit 1\n"
    )
    refused.chmod(0o700)
    monkeypatch.setattr("shutil.which", lambda *_, **__: str(refused))

    assert Spy().obstacle("cpu").endswith("Permission Denied: Try running again as root")


# -- who is charged ----------------------------------------------------------------------------


def charged(weights: Weights) -> dict[int, int]:
    weights.decide()
    return {stack[0]: each for stack, each in weights.cpu_by_stack().items() if each}


def test_who_has_waited_and_has_no_turn_yet_is_not_charged() -> None:
    weights = Weights()
    for _ in range(10):
        weights.add(1, (7, 0), 5, 0)
        weights.waits((7, 0))
        weights.add(1, (7, 0), 5, 0)
        weights.doubt(1, (7, 0), 5)
        weights.add(1, (8, 0), 5, 0)
        weights.doubt(1, (8, 0), 5)

    assert charged(weights) == {8: 50}


def test_who_has_no_processor_is_charged_only_if_hardly_seen_otherwise() -> None:
    weights = Weights()
    for _ in range(10):
        weights.add(1, (7, 0), 5, 5)
        weights.add(1, (8, 0), 5, 0)
        weights.doubt(1, (8, 0), 5, starved=True)
        weights.add(2, (9, 0), 5, 0)
        weights.doubt(2, (9, 0), 5, starved=True)

    assert charged(weights) == {7: 50, 9: 50}
