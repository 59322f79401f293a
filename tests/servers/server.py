"""A server in a process of its own: its log, its requests, its end."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil

from .waiting import TIMEOUT, running, wait_until

T = TypeVar("T")
Address = str | tuple[str, int]  # the path of a unix socket, or host and port

# sun_path has 108 bytes, and gunicorn and the package add names of their own to the folder.
LONGEST_FOLDER = 60


@dataclass(frozen=True)
class Response:
    """One answer, read to its end."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        """Return the body as strict JSON: NaN and Infinity are errors."""

        def refuse(word: str) -> None:
            raise ValueError(f"{word} is not JSON")

        return json.loads(self.body, parse_constant=refuse)


def connect_to(address: Address, timeout: float = TIMEOUT) -> socket.socket:
    """Return a socket connected to *address*, closed again if it refuses."""
    if isinstance(address, tuple):
        return socket.create_connection(address, timeout)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(timeout)
        connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection


class Server:
    """A server in a session of its own, so that whatever it leaves behind is found and ended."""

    address: Address

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.log_path = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None
        self._short: Path | None = None

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def short_folder(self) -> Path:
        """Return a folder whose path leaves room for the name of a unix socket."""
        if len(str(self.folder)) <= LONGEST_FOLDER:
            return self.folder
        if self._short is None:
            self._short = Path(tempfile.mkdtemp(prefix="expvar-"))
        return self._short

    def launch(self, command: list[str], env: Mapping[str, str]) -> None:
        """Start *command* with everything it prints in the log."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    # -- the log ---------------------------------------------------------------------------

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def wait_for_log(
        self, regex: str, timeout: float = TIMEOUT, *, since: int = 0
    ) -> re.Match[str]:
        """Return the first match of *regex* in the log.

        :param since: where to begin, an earlier ``len(server.log)``, to wait for a new line.
        """

        def look() -> re.Match[str] | None:
            gone = not self.alive()
            found = re.compile(regex, re.MULTILINE).search(self.log, since)
            assert found or not gone, f"ended without a line like {regex!r}:\n{self.log}"
            return found

        found = self.wait_until(look, timeout, what=f"a line like {regex!r}")
        assert found is not None
        return found

    def wait_until(
        self, probe: Callable[[], T], timeout: float = TIMEOUT, *, what: str = "it came true"
    ) -> T:
        """Return the first true answer of *probe*; a failure shows the end of the log."""
        return wait_until(probe, timeout, failure=lambda: f"{what}. Log:\n{self.log[-4000:]}")

    # -- requests --------------------------------------------------------------------------

    def connect(self, timeout: float = TIMEOUT) -> socket.socket:
        """Return a connected socket; only a refused connection is tried again."""

        def attempt() -> socket.socket | None:
            gone = not self.alive()
            try:
                return connect_to(self.address, timeout)
            except (ConnectionRefusedError, FileNotFoundError):
                assert not gone, f"the server has ended:\n{self.log[-4000:]}"
                return None

        connection = self.wait_until(attempt, timeout, what=f"{self.address} answers")
        assert connection is not None
        return connection

    def get(
        self,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        method: str = "GET",
        body: bytes | str | None = None,
        timeout: float = TIMEOUT,
    ) -> Response:
        """Send one request on a connection of its own and read the whole answer."""
        client = http.client.HTTPConnection("localhost", timeout=timeout)
        client.sock = self.connect(timeout)
        try:
            client.request(method, path, body, {"Connection": "close", **(headers or {})})
            answer = client.getresponse()
            return Response(answer.status, answer.headers, answer.read())
        finally:
            client.close()

    def post(self, path: str, body: bytes | str = b"", **how: Any) -> Response:
        """Send one POST request; *how* as in :meth:`get`."""
        return self.get(path, method="POST", body=body, **how)

    def request_raw(self, data: bytes, timeout: float = TIMEOUT) -> bytes:
        """Send *data* as it is and return all that comes back until the server closes."""
        with self.connect(timeout) as connection:
            connection.sendall(data)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    # -- the end ---------------------------------------------------------------------------

    def main_pid(self) -> int | None:
        """Return the process id to send signals to."""
        return self.process.pid if self.process else None

    def alive(self) -> bool:
        """Say whether the process that signals go to is running."""
        pid = self.main_pid()
        if self.process is not None and self.process.pid == pid:
            return self.process.poll() is None
        return pid is not None and running(pid)

    def signal(self, sig: signal.Signals) -> None:
        """Send *sig* to the main process."""
        pid = self.main_pid()
        assert pid is not None, "not started"
        os.kill(pid, sig)

    def stop(self, timeout: float = 10) -> None:
        """End the server and everything it started: TERM, and KILL after *timeout*. Safe twice."""
        sessions = {self.process.pid} if self.process else set()
        if (pid := self.main_pid()) is not None and self.alive():
            sessions.add(os.getsid(pid))
            os.kill(pid, signal.SIGTERM)
        if sessions:
            with contextlib.suppress(AssertionError):
                wait_until(lambda: not self._members(sessions), timeout)
            for member in self._members(sessions):
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.kill()
            wait_until(lambda: not self._members(sessions), failure=lambda: "all processes end")
        if self.process is not None:
            self.process.wait(timeout)  # reaped, or its end is a warning in a later test
        if self._short is not None:
            shutil.rmtree(self._short, ignore_errors=True)

    def _members(self, sessions: set[int]) -> list[psutil.Process]:
        if self.process is not None:
            self.process.poll()  # reaps it, else it would stay a zombie
        found = []
        for member in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
                if os.getsid(member.pid) in sessions and running(member.pid):
                    found.append(member)
        return found
