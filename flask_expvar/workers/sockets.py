"""Asking: each process answers the others on a socket of its own in the shared folder.

One native thread answers, so a process does so while its request threads are all busy.
Requests and answers are JSON, each after its length in four bytes; never pickles.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .._native import original, start_thread

#: How long a whole round may take, in seconds.
DEADLINE = 1.0
_LONGEST = 64 * 2**20
_PATIENCE = 5.0


@contextlib.contextmanager
def address(path: Path) -> Iterator[str]:
    """Yield an address for *path* that fits in a socket's 108 bytes however long the path is."""
    if len(os.fsencode(path)) < 100:
        yield str(path)
        return
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{path.name}"
    finally:
        os.close(fd)


class Answerer:
    """Answers on the socket *path* with what *answer* returns for a request.

    :param answer: called in a thread of its own, with and for plain data; what it raises is
        answered as ``{"error": …}``.
    :param tick: called in the same thread about once a second, when it is not answering.
    :raises OSError: if the socket cannot be made.
    """

    def __init__(
        self,
        path: Path,
        answer: Callable[[Any], Any],
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        self._answer = answer
        self._tick = tick
        # Not gevent's: its sockets wait in a hub that is busy just when this matters.
        self._socket: socket.socket = original("socket", "socket")(socket.AF_UNIX)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        with address(path) as short:
            self._socket.bind(short)
        if os.geteuid() == 0:
            owner = os.stat(path.parent)
            os.chown(path, owner.st_uid, owner.st_gid)
        self._socket.listen(64)
        start_thread(self._serve)

    def _serve(self) -> None:
        while True:
            try:
                # All workers at the same moments: their rows add up to points of one chart.
                self._socket.settimeout(1.001 - time.time() % 1)
                peer, _ = self._socket.accept()
            except TimeoutError:
                self._tick()
                continue
            except OSError:
                return  # closed
            with contextlib.suppress(Exception):
                self._handle(peer)
            peer.close()
            self._tick()  # asked again and again, it would find no time for that

    def _handle(self, peer: socket.socket) -> None:
        peer.settimeout(_PATIENCE)
        request = json.loads(_receive(peer, time.monotonic() + _PATIENCE))
        try:
            answer = self._answer(request)
        except BaseException as error:
            # Nobody throws into this thread from outside, and without it this worker is mute.
            answer = {"error": type(error).__name__}
        peer.sendall(_frame(answer))

    def close(self, *, forked: bool = False) -> None:
        """Stop answering; in a forked child only let go of what is the parent's."""
        if not forked:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def _frame(data: Any) -> bytes:
    body = json.dumps(data).encode()
    return len(body).to_bytes(4, "big") + body


def _receive(peer: Any, deadline: float) -> bytes:
    head = _exactly(peer, 4, deadline)
    length = int.from_bytes(head, "big")
    if length > _LONGEST:
        raise OSError(f"an answer of {length} bytes is too long")
    return _exactly(peer, length, deadline)


def _exactly(peer: Any, count: int, deadline: float) -> bytes:
    got = bytearray()
    while len(got) < count:
        # At least a moment: what has arrived already is taken, however late it is.
        peer.settimeout(max(deadline - time.monotonic(), 0.001))
        piece = peer.recv(min(count - len(got), 1 << 20))
        if not piece:
            raise ConnectionError("hung up")
        got += piece
    return bytes(got)


def ask(paths: Mapping[int, Path], request: Any, seconds: float = DEADLINE) -> dict[int, Any]:
    """Ask the sockets of *paths* all at once; return the answers that came within *seconds*.

    Under gevent other greenlets run meanwhile.
    """
    deadline = time.monotonic() + seconds
    body = _frame(request)
    answers: dict[int, Any] = {}
    with contextlib.ExitStack() as stack:
        asked = {}
        for key, path in paths.items():
            peer = stack.enter_context(socket.socket(socket.AF_UNIX))
            with contextlib.suppress(OSError), address(path) as short:
                peer.settimeout(max(deadline - time.monotonic(), 0.001))
                peer.connect(short)
                peer.sendall(body)
                asked[key] = peer
        for key, peer in asked.items():
            with contextlib.suppress(OSError, ValueError):
                answers[key] = json.loads(_receive(peer, deadline))
    return answers
