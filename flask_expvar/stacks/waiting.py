"""Waiting: what a thread does, guessed from its innermost places and its system call."""

from __future__ import annotations

from .kernel import Call
from .walking import Stack

RUNNING, WAITING = "running", "waiting"
LOCK = "a lock"

#: By file and function; a place further out tells more than the one that it has called.
_PLACES = {
    ("threading.py", "wait"): "a condition or event",
    ("threading.py", "join"): "the end of a thread",
    ("threading.py", "_wait_for_tstate_lock"): "the end of a thread",
    ("threading.py", "acquire"): "a semaphore",
    ("queue.py", "get"): "something in a queue",
    ("queue.py", "put"): "room in a queue",
    ("queue.py", "join"): "the end of a queue's work",
    ("thread.py", "_worker"): "work (idle in a pool)",
    ("_base.py", "result"): "the result of a future",
    ("selectors.py", "select"): "input (select)",
    ("base_events.py", "_run_once"): "events (asyncio)",
    ("socket.py", "accept"): "a connection",
    ("socket.py", "readinto"): "input (socket)",
    ("ssl.py", "read"): "input (TLS)",
    ("ssl.py", "recv"): "input (TLS)",
    ("subprocess.py", "_try_wait"): "a child process",
    ("subprocess.py", "wait"): "a child process",
    ("subprocess.py", "communicate"): "a child process",
    ("connection.py", "_recv"): "input (multiprocessing)",
    ("hub.py", "run"): "events (gevent)",
    ("tasks.py", "sleep"): "the time (sleep)",
    ("locks.py", "acquire"): "a lock (asyncio)",
    ("locks.py", "wait"): "a condition or event (asyncio)",
    ("queues.py", "get"): "something in a queue",
    ("queues.py", "put"): "room in a queue",
    ("_socket3.py", "accept"): "a connection",
    ("_socket3.py", "recv"): "input (socket)",
    ("_socket3.py", "recv_into"): "input (socket)",
    ("hub.py", "sleep"): "the time (sleep)",
    ("_bootstrap", "acquire"): "the import of a module",
    ("sync.py", "wait"): "a request (idle worker)",
    ("sync.py", "accept"): "a request (idle worker)",
    ("gthread.py", "run"): "a request (idle worker)",
    ("sockets.py", "_serve"): "questions of other workers (flask_expvar)",
}
_CALLS = {
    "nanosleep": "the time (sleep)", "clock_nanosleep": "the time (sleep)",
    "epoll_wait": "input (epoll)", "epoll_pwait": "input (epoll)", "poll": "input (poll)",
    "ppoll": "input (poll)", "select": "input or time (select)",
    "pselect6": "input or time (select)", "recvfrom": "input (socket)",
    "recvmsg": "input (socket)", "read": "input (read)", "accept": "a connection",
    "accept4": "a connection", "connect": "a connection to be made", "write": "output (write)",
    "sendto": "output (socket)", "sendmsg": "output (socket)", "wait4": "a child process",
    "waitid": "a child process", "flock": "a lock of a file", "fsync": "the disk",
    "fdatasync": "the disk",
}  # fmt: skip
#: How far from the innermost place is looked, as long as every place waits.
_DEPTH = 4
#: Only idle if it is the innermost place: else it is about something.
_INNERMOST = frozenset({("thread.py", "_worker"), ("sockets.py", "_serve")})


def doing(stack: Stack, call: Call | None) -> tuple[str, str]:
    """Return :data:`RUNNING` or :data:`WAITING`, or nothing if that is not known, and on what.

    A guess: the places are known by names of files and functions of the standard library and
    of servers, the system calls are those of Linux.
    """
    if call is not None and call.name == "running":
        return RUNNING, ""
    place = _by_place(stack)
    if place:
        return WAITING, place
    if call is None:
        return "", ""
    if call.name == "futex":
        # Waiting for the interpreter has a time limit, which most locks have not.
        return (RUNNING, "or waits for the GIL") if call.timed else (WAITING, LOCK)
    return WAITING, _CALLS.get(call.name, f"the system (call {call.name})")


def _by_place(stack: Stack) -> str:
    found = ""
    for depth, place in enumerate(stack[:_DEPTH]):
        key = (_file(place.file), place.function.rpartition(".")[2])
        if key not in _PLACES or (depth and key in _INNERMOST):
            break
        found = _PLACES[key]
    return found


def _file(name: str) -> str:
    # Frozen modules are called <frozen importlib._bootstrap>.
    if name.startswith("<frozen "):
        return name[:-1].rpartition(".")[2]
    return name.replace("\\", "/").rpartition("/")[2]
