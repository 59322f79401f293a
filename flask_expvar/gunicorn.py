"""Hooks for gunicorn's configuration file: what only the arbiter sees, counted and told.

::

    from flask_expvar.gunicorn import *

The file's own hooks are called as well, wherever in it they are defined: what is there before the
import is taken into what is imported, and what replaces one of these hooks later is joined with it
by the next that runs. Nothing here ever raises, or waits, in the arbiter.
"""

from __future__ import annotations

import functools
import logging
import os
import signal
import sys
import time
import weakref
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

from .settings import Settings
from .workers import folder
from .workers.folder import OLD_ARBITER
from .workers.ledger import Ledger

Hook = Callable[..., Any]

_MARK = "__flask_expvar__"
_log = logging.getLogger("flask_expvar")


class View:
    """What the arbiter sees, from the first hook to the last."""

    def __init__(self) -> None:
        self._pid = 0
        self._ledger: Ledger | None = None
        self._waiting: deque[Callable[[Ledger], None]] = deque()
        self._busy = False

    def note(self, what: Callable[[Ledger], None]) -> None:
        """Do *what* with the ledger.

        Older gunicorns call ``child_exit`` in a signal handler, which may be in the midst of
        another note: that one then sees to both, for a lock would wait for itself.
        """
        self._waiting.append(what)
        if self._busy:
            return
        self._busy = True
        try:
            self._open()
            while self._waiting:
                each = self._waiting.popleft()
                # In a fork of the arbiter the ledger is its parent's.
                if self._ledger is not None and self._pid == os.getpid():
                    each(self._ledger)
        finally:
            self._busy = False

    def _open(self) -> None:
        if self._pid:
            return  # tried once
        self._pid = os.getpid()
        settings = Settings.load({}, os.environ)
        place = folder.find(settings.directory, os.environ)
        if place is not None:
            self._ledger = Ledger(place.path, self._pid)


_view = View()
#: Hooks that are running, with what they were given: who calls ours in their own counts once.
_running: set[tuple[object, ...]] = set()
_complained: set[str] = set()
_began: weakref.WeakKeyDictionary[Any, float] = weakref.WeakKeyDictionary()
#: How a worker ends that was asked to.
IN_ORDER = ("code 0", "SIGTERM")


def _on_starting(server: Any) -> None:
    old = os.environ.get(OLD_ARBITER)
    text = f"arbiter {os.getpid()} starts" + (f" in place of {old} (USR2)" if old else "")
    # Takes the slot before a worker does.
    _view.note(lambda ledger: ledger.journal.log(text))


def _when_ready(server: Any) -> None:
    where = ", ".join(map(str, server.LISTENERS))
    _view.note(lambda ledger: ledger.journal.log(f"ready at {where}"))


def _on_reload(server: Any) -> None:
    def reloaded(ledger: Ledger) -> None:
        ledger.reloads.add()
        ledger.journal.log(f"reloaded (HUP): {server.cfg.workers} workers")

    _view.note(reloaded)


def _pre_fork(server: Any, worker: Any) -> None:
    _began[worker] = time.monotonic()

    def starts(ledger: Ledger) -> None:
        ledger.starts.add()
        ledger.journal.log(f"worker no. {worker.age} starts")

    _view.note(starts)


def _child_exit(server: Any, worker: Any) -> None:
    timeout, reason = bool(getattr(worker, "aborted", False)), reason_of(_status())
    reason = "timeout" if timeout else reason
    began = _began.get(worker)
    lived = "" if began is None else f" after {time.monotonic() - began:.1f} s"
    text = f"worker {worker.pid} (no. {worker.age}) ended{lived}: {reason}"

    def ended(ledger: Ledger) -> None:
        ledger.exits.add(reason)
        ledger.timeouts.add(int(timeout))
        journal = ledger.journal
        (journal.log if reason in IN_ORDER else journal.error)(text)

    _view.note(ended)


def _nworkers_changed(server: Any, new_value: Any, old_value: Any) -> None:
    if old_value not in (None, new_value):  # the first time, and at each reload
        text = f"{new_value} workers wanted, {old_value} before"
        _view.note(lambda ledger: ledger.journal.log(text))


def _on_exit(server: Any) -> None:
    why = getattr(sys.exc_info()[1], "reason", None)  # of gunicorn's HaltServer
    if why:
        _view.note(lambda ledger: ledger.journal.error(f"the arbiter ends: {why}"))
    else:
        _view.note(lambda ledger: ledger.journal.log("the arbiter ends"))


def _status() -> int | None:
    """Return how the child ended that gunicorn is just reaping: it passes that to no hook."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "reap_workers":
            found = frame.f_locals.get("status")
            return found if isinstance(found, int) else None
        frame = frame.f_back
    return None


def reason_of(status: int | None) -> str:
    """Return in words how a process ended, given what ``waitpid`` says of it."""
    if status is None:
        return "unknown"
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


# -- among the user's hooks ------------------------------------------------------------------------


def _ours(name: str, does: Hook) -> Hook:
    @functools.wraps(does)
    def hook(*args: Any) -> None:
        call = (name, *map(id, args))
        if call in _running:
            return
        try:
            _mend(args[0])
            does(*args)
        except Exception:
            if name not in _complained:
                _complained.add(name)
                _log.warning("gunicorn's %s is not told on the debug pages", name, exc_info=True)

    setattr(hook, _MARK, True)
    return hook


_OURS: dict[str, Hook] = {
    "child_exit": _ours("child_exit", _child_exit),
    "nworkers_changed": _ours("nworkers_changed", _nworkers_changed),
    "on_exit": _ours("on_exit", _on_exit),
    "on_reload": _ours("on_reload", _on_reload),
    "on_starting": _ours("on_starting", _on_starting),
    "pre_fork": _ours("pre_fork", _pre_fork),
    "when_ready": _ours("when_ready", _when_ready),
}


if TYPE_CHECKING:
    # For a type checker a hook of the user's by one of these names would be defined twice.
    __all__: list[str] = []
else:
    __all__ = sorted(_OURS)


def _mend(server: Any) -> None:
    """Join what the configuration has in place of our hooks with them; anew after each reload."""
    for name in _OURS.keys() & server.cfg.settings.keys():
        found = server.cfg.settings[name].get()
        if not hasattr(found, _MARK):
            server.cfg.set(name, _joined(name, found))


def _joined(name: str, theirs: Hook) -> Hook:
    """Return a hook that does ours and then *theirs*."""

    @functools.wraps(theirs)  # gunicorn looks at how many parameters it takes
    def hook(*args: Any) -> Any:
        call = (name, *map(id, args))
        _OURS[name](*args)
        _running.add(call)
        try:
            return theirs(*args)
        finally:
            _running.discard(call)

    setattr(hook, _MARK, True)
    return hook


def __getattr__(name: str) -> Any:
    """Return a hook, joined with that of the same name where it is being imported to."""
    if name not in _OURS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    asking = sys._getframe(1)
    # A hook of theirs that calls ours wants ours alone.
    theirs = asking.f_globals.get(name) if asking.f_code.co_name == "<module>" else None
    # A text that names a function is left to gunicorn, and joined when the arbiter runs.
    if theirs is None or hasattr(theirs, _MARK):
        return _OURS[name]
    return _joined(name, theirs) if callable(theirs) else theirs
