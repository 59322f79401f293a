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
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

from .settings import Settings
from .workers import folder
from .workers.ledger import Ledger

Hook = Callable[..., Any]

if TYPE_CHECKING:
    child_exit: Hook
    nworkers_changed: Hook
    on_exit: Hook
    on_reload: Hook
    on_starting: Hook
    pre_fork: Hook
    when_ready: Hook

__all__ = [
    "child_exit", "nworkers_changed", "on_exit", "on_reload", "on_starting", "pre_fork",
    "when_ready",
]  # fmt: skip

_MARK = "__flask_expvar__"
_log = logging.getLogger("flask_expvar")


class View:
    """What the arbiter sees, from the first hook to the last."""

    def __init__(self) -> None:
        self._ledgers: dict[int, Ledger | None] = {}
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
            ledger = self._ledger()
            while self._waiting:
                each = self._waiting.popleft()
                if ledger is not None:
                    each(ledger)
        finally:
            self._busy = False

    def _ledger(self) -> Ledger | None:
        pid = os.getpid()
        if pid not in self._ledgers:
            self._ledgers = {pid: None}  # tried once
            settings = Settings.load({}, os.environ)
            place = folder.find(settings.directory, os.environ)
            if place is not None:
                self._ledgers[pid] = Ledger(place.path, pid)
        return self._ledgers[pid]


_view = View()
#: Hooks that are running, with what they were given: who calls ours in their own counts once.
_running: set[tuple[object, ...]] = set()
_complained: set[str] = set()


def _on_starting(server: Any) -> None:
    _view.note(lambda ledger: None)  # takes the slot before the workers do


def _when_ready(server: Any) -> None:
    pass


def _on_reload(server: Any) -> None:
    _view.note(lambda ledger: ledger.reloads.add())


def _pre_fork(server: Any, worker: Any) -> None:
    _view.note(lambda ledger: ledger.starts.add())


def _child_exit(server: Any, worker: Any) -> None:
    timeout, reason = bool(getattr(worker, "aborted", False)), reason_of(_status())
    reason = "timeout" if timeout else reason

    def ended(ledger: Ledger) -> None:
        ledger.exits.add(reason)
        ledger.timeouts.add(int(timeout))

    _view.note(ended)


def _nworkers_changed(server: Any, new_value: Any, old_value: Any) -> None:
    pass


def _on_exit(server: Any) -> None:
    pass


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


def _mend(server: Any) -> None:
    """Join what the configuration has in place of our hooks with them; anew after each reload."""
    for name in _OURS:
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
