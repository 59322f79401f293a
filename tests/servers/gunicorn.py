"""A real gunicorn."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import signal
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import psutil

from .server import Address, Server
from .waiting import running, wait_until


class Gunicorn(Server):
    """A real gunicorn, ready when its workers have booted.

    :param app: the source of a module with a WSGI callable ``app``, the path of such a file
        (copied), or ``module:callable`` of something gunicorn can import.
    :param args: options of gunicorn's command line; without ``--bind`` a unix socket is used,
        ``"--bind", "127.0.0.1:0"`` takes a free port.
    :param env: variables on top of the test's own environment.
    :param config: the source of a ``gunicorn.conf.py``.
    """

    def __init__(
        self,
        app: str | Path,
        *args: str,
        folder: Path,
        env: Mapping[str, str] | None = None,
        config: str | None = None,
    ) -> None:
        super().__init__(folder)
        self.pidfile = folder / "pid"
        # Its script, as people start it: after USR2 "python -m gunicorn" would run as a file in
        # gunicorn's own folder, whose http package hides that of the standard library.
        script = Path(sys.executable).with_name("gunicorn")
        command = [str(script), "--pid", str(self.pidfile)]
        # A daemon gives up the streams it inherits, so the log is named too; both only append.
        command += ["--error-logfile", str(self.log_path)]
        if not any(re.match(r"-b|--bind", arg) for arg in args):
            command += ["--bind", f"unix:{self.short_folder() / 'socket'}"]
        if config is not None:
            path = folder / "gunicorn.conf.py"
            path.write_text(config)
            command += ["--config", str(path)]
        try:
            self.launch([*command, *args, self._target(app)], self._environment(env or {}))
            self._wait_ready(_workers_asked_for(args))
        except BaseException:
            self.stop()
            raise

    def _target(self, app: str | Path) -> str:
        if isinstance(app, str) and re.fullmatch(r"[\w.]+:\w+", app):
            return app
        source = app.read_text() if isinstance(app, Path) else app
        (self.folder / "app.py").write_text(source)
        return "app:app"

    def _environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        ours = re.compile("FLASK_EXPVAR_|GUNICORN_|PYTEST_|WEB_CONCURRENCY")
        env = {name: value for name, value in os.environ.items() if not ours.match(name)}
        env["PYTHONUNBUFFERED"] = "1"  # what the app prints is in the log at once
        # gunicorn 25 and later puts a control socket there, the same one for all by default.
        env["XDG_RUNTIME_DIR"] = str(self.short_folder())
        # The server has the package that the tests have: mostly the installed wheel.
        spec = importlib.util.find_spec("flask_expvar")
        home = Path(spec.origin).parent.parent if spec and spec.origin else None
        if home is not None and home != Path(sysconfig.get_path("purelib")):
            env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(home), env.get("PYTHONPATH")]))
        return {**env, **extra}

    def _wait_ready(self, workers: int) -> None:
        def booted() -> bool:
            ready = self.log.count("Booting worker with pid") >= workers
            assert ready or self._starting(), f"gunicorn did not start:\n{self.log}"
            return ready

        self.wait_until(booted, what=f"{workers} workers boot")
        self.wait_until(self._workers_listen, what="the workers handle signals")
        self.address = _parse(self.wait_for_log(r"Listening at: ([^\s,]+)").group(1))
        self.connect().close()

    def _workers_listen(self) -> bool:
        return all(map(_is_initialised, self.worker_pids()))

    def _starting(self) -> bool:
        # A daemon's first process ends with 0, having handed over to the one in the pidfile.
        assert self.process is not None
        return self.process.poll() in (None, 0)

    def main_pid(self) -> int | None:
        # The second is a new arbiter's, from when the old one has gone until it takes over.
        for file in (self.pidfile, self.pidfile.with_name(f"{self.pidfile.name}.2")):
            with contextlib.suppress(FileNotFoundError, ValueError):
                return int(file.read_text())
        return super().main_pid()

    @property
    def arbiter_pid(self) -> int:
        """The arbiter's process id, as in the pidfile: after USR2 the old one's until it ends."""
        pid = self.main_pid()
        assert pid is not None, "not started"
        return pid

    def stop(self, timeout: float = 10) -> None:
        # A worker that is asked to end before it handles signals goes on, and its arbiter waits.
        with contextlib.suppress(AssertionError):
            wait_until(self._workers_listen, timeout)
        super().stop(timeout)

    def worker_pids(self, arbiter: int | None = None) -> list[int]:
        """Return the living workers of *arbiter*, by default of the one in the pidfile."""
        # After USR2 the new arbiter is a child of the old one as well: only workers are booted.
        booted = {int(pid) for pid in re.findall(r"Booting worker with pid: (\d+)", self.log)}
        try:
            children = psutil.Process(arbiter or self.arbiter_pid).children()
        except psutil.NoSuchProcess:
            return []
        return sorted(pid for pid in booted & {c.pid for c in children} if running(pid))

    def wait_for_workers(self, count: int) -> None:
        """Return when *count* workers live and handle signals, which end them before that."""
        self.wait_until(
            lambda: len(self.worker_pids()) >= count and self._workers_listen(),
            what=f"{count} workers handle signals",
        )

    def kill_worker(self, pid: int, sig: signal.Signals = signal.SIGKILL) -> None:
        """Send SIGKILL to a worker, and return when it has gone."""
        assert pid in self.worker_pids(), f"{pid} is no worker: {self.worker_pids()}"
        os.kill(pid, sig)
        self.wait_until(lambda: not running(pid), what=f"worker {pid} goes")


def _is_initialised(worker: int) -> bool:
    try:
        status = Path(f"/proc/{worker}/status").read_text()
    except OSError:  # it has ended meanwhile, or there is no /proc to tell
        return True
    # SIGABRT is the last that a gunicorn worker sets a handler for, and its arbiter sets none.
    caught = int(re.search(r"^SigCgt:\s*(\w+)", status, re.MULTILINE)[1], 16)  # type: ignore[index]
    return bool(caught >> (signal.SIGABRT - 1) & 1)


def _workers_asked_for(args: tuple[str, ...]) -> int:
    found = re.search(r"(?:^|\s)(?:-w|--workers)[\s=]?(\d+)", " ".join(args))
    return int(found.group(1)) if found else 1


def _parse(listening: str) -> Address:
    if listening.startswith("unix:"):
        return listening.removeprefix("unix:")
    host, _, port = listening.removeprefix("http://").rpartition(":")
    return host, int(port)
