"""Membership: this process among the workers of its server.

A process joins once for each folder. A forked child leaves its parent's slot and takes one of
its own before any of its code runs, with no hook of the server's.
"""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from .._native import allocate_rlock, original, start_thread
from ..exceptions import NameTakenError
from ..variables.history import history_of
from ..variables.reading import Part
from ..variables.registry import Registry
from ..variables.runtime import runtime
from ..variables.store import LocalStore
from . import folder, profiling, sockets, standstill
from .blackbox import BlackBox
from .flight import Flights, key_of
from .folder import Place
from .graves import Grave
from .shared import SharedStore
from .spent import spend
from .standstill import Stopped

Answer = Callable[[Any], Any]

ALONE = (
    "These are the figures of this process alone. If the server runs more than one,"
    " set EXPVAR_DIR to a folder that they share (in the environment: FLASK_EXPVAR_DIR)."
)

_log = logging.getLogger("flask_expvar")
_members: dict[Path, Member] = {}
_memberships: weakref.WeakKeyDictionary[Registry, Membership] = weakref.WeakKeyDictionary()
_lock = allocate_rlock()
_hooked: list[bool] = []


class Duty(Protocol):
    """What one of the workers that share a folder has to do, whichever it is."""

    def tick(self, folder: Path | None) -> None:
        """Do it, if nobody else does; called about once a second. Never raises.

        :param folder: what the workers share; None where there is but this process.
        """

    def close(self, *, forked: bool = False) -> None:
        """Do it no more; in a forked child let go of what is the parent's."""


class Member:
    """This process in one folder: its slot, its socket, and the registries that share there.

    :raises OSError: if no slot is to be had.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.registries: weakref.WeakValueDictionary[str, Registry] = weakref.WeakValueDictionary()
        self.answers: dict[str, Answer] = {}
        self.duties: list[Duty] = []
        self._answerer: sockets.Answerer | None = None
        self.note = ""
        self._take(place.worker)
        self._listen()

    def _take(self, worker: bool) -> None:
        self.store = SharedStore(self.place.path, os.getpid(), worker=worker)
        self.box = BlackBox(self.store)

    def _listen(self) -> None:
        if not self.store.worker:
            return  # a thread in a process that forks would make every fork a hazard
        try:
            path = self.socket_of(self.store.number)
            self._answerer = sockets.Answerer(path, self._answer, self._tick)
        except OSError as error:
            self.note = f"This worker cannot be asked by the others: {error}"
            _log.warning(self.note)

    def socket_of(self, slot: int) -> Path:
        """Return where the process in *slot* answers."""
        return self.place.path / f"socket-{slot}"

    def _answer(self, request: Any) -> Any:
        if "profile" in request:
            return profiling.answer(request["profile"], self.registries.get(request["registry"]))
        return self.answers[request["registry"]](request)

    def _tick(self) -> None:
        for registry in list(self.registries.values()):
            if registry is not runtime.registry:
                history_of(registry).tick()
        for duty in self.duties:
            duty.tick(self.place.path)

    def add(self, registry: Registry, answer: Answer) -> None:
        """Let *registry* share here.

        :raises NameTakenError: if another registry of this name does already.
        """
        known = self.registries.get(registry.name)
        if known is not None and known is not registry:
            raise NameTakenError(registry.name, "the name of another registry", "yours")
        registry.attach(self.store)
        self.registries[registry.name] = registry
        self.answers[registry.name] = answer

    def ask(self, parts: Sequence[Part], request: Any, seconds: float) -> dict[int, Any]:
        """Ask the processes in the slots of *parts*; return the answers by slot."""
        paths = {part.slot: self.socket_of(part.slot) for part in parts}
        return sockets.ask(paths, request, seconds)

    def after_fork(self) -> None:
        """Take a slot of one's own in a child; without one count in private memory."""
        if self._answerer is not None:
            self._answerer.close(forked=True)
            self._answerer = None
        for duty in self.duties:
            duty.close(forked=True)
        self.box.close()
        self.note = ""
        self.store.close()
        self.place = Place(self.place.path, True, self.place.owner)
        registries = list(self.registries.values())
        try:
            self._take(worker=True)
        except OSError as error:
            for registry in registries:
                registry.attach(LocalStore(os.getpid()), carry=False)
                membership(registry).leave(f"This worker counts by itself: {error}")
            return
        for registry in registries:
            registry.attach(self.store, carry=False)
        self._listen()


class Membership:
    """How one registry shares, and with whom."""

    def __init__(self, registry: Registry) -> None:
        self._registry = weakref.ref(registry)
        self.member: Member | None = None
        self._alone = ALONE
        self._spent: list[str] = []

    @property
    def note(self) -> str:
        """What people should know of this sharing, empty if all is well."""
        if self.member is None:
            return self._alone
        return " ".join(filter(None, [self.member.note, self.member.box.note]))

    @property
    def key(self) -> int:
        """What stands for the registry where requests are noted, once it has a name."""
        registry = self._registry()
        return 0 if registry is None else key_of(registry.name)

    def prepare(self) -> None:
        """See to it that :attr:`flights` is there if it can be; for each request to call."""
        member = self.member
        if member is not None and not member.box.prepared:
            member.box.prepare()

    @property
    def flights(self) -> Flights | None:
        """Where this process notes its requests; None if it cannot, or is not prepared."""
        member = self.member
        return None if member is None else member.box.flights

    @property
    def stacks_note(self) -> str:
        """Why there will be no stacks if this process dies, empty if there will."""
        return "" if self.member is None else self.member.box.stacks_note

    def graves(self) -> list[Grave]:
        """Return what dead workers were doing, newest first, with this registry's requests."""
        if self.member is None:
            return []
        found = [grave.of(self.key) for grave in self.member.box.graveyard.graves()]
        return [grave for grave in found if grave.requests or grave.stack]

    def undertake(self, duty: Duty) -> None:
        """See to it that one of the workers does *duty*; this process if it is alone."""
        if self.member is not None:
            self.member.duties.append(duty)
        else:
            start_thread(_alone, weakref.ref(duty))

    def spend(self, number: str, lasting: float) -> bool:
        """Tell whether *number*, good for so many seconds, is used for the first time.

        By all workers; by this process alone where they do not share.
        """
        if self.member is not None:
            try:
                return spend(self.member.place.path, number, lasting)
            except OSError:
                _log.warning("what was used once is known to this process alone", exc_info=True)
        if number in self._spent:
            return False
        self._spent = [*self._spent, number][-1000:]
        return True

    def join(self, directory: str | None, environ: Mapping[str, str], answer: Answer) -> None:
        """Share with the other workers of this server, if it can be told which they are.

        Joining again is fine. What stands in the way is logged once and shown on every page.

        :raises NameTakenError: if another registry of this name shares there already.
        """
        registry = self._registry()
        if registry is None:
            return
        with _lock:
            try:
                place = folder.find(directory, environ)
                if place is None or (self.member and self.member.place.path == place.path):
                    return
                member = _member(place)
            except NameTakenError:
                raise
            except Exception as error:
                # Whatever it is: a worker that counts by itself is better than none.
                self.leave(f"This worker counts by itself: {error}")
                return
            member.add(registry, answer)
            self.member = member

    def watch(self, path: Path) -> None:
        """Look at the workers that share *path*, without being one of them.

        :raises StoreError: if the folder is not there, or is not ours.
        """
        registry = self._registry()
        if registry is not None:
            with _lock:
                member = _member(Place(folder.existing(path), False))
                member.add(registry, lambda request: {})
                self.member = member

    def leave(self, note: str) -> None:
        """Count by oneself from now on, and say why."""
        if note != self.note:
            _log.warning(note)
        self.member = None
        self._alone = note

    def ask(self, parts: Sequence[Part], request: Any, seconds: float) -> dict[int, Any]:
        """Ask the processes in the slots of *parts*; return the answers by slot."""
        registry = self._registry()
        if self.member is None or registry is None or not parts:
            return {}
        return self.member.ask(parts, {**request, "registry": registry.name}, seconds)

    def stopped(self, parts: Sequence[Part]) -> list[Stopped]:
        """Return the main threads' stacks of the processes of *parts*, which did not answer."""
        if self.member is None or not parts:
            return []
        box = self.member.box
        return standstill.ask({box.standstill_file(part.slot): part for part in parts})


def membership(registry: Registry) -> Membership:
    """Return how *registry* shares; always the same object."""
    with _lock:
        found = _memberships.get(registry)
        if found is None:
            found = _memberships[registry] = Membership(registry)
        return found


def _member(place: Place) -> Member:
    found = _members.get(place.path)
    if found is None:
        if not _hooked:
            _hooked.append(True)
            os.register_at_fork(after_in_child=_after_fork)
        found = Member(place)
        _members[place.path] = found
        if runtime.registry.name not in found.registries:
            found.add(runtime.registry, dict)
    return found


def _after_fork() -> None:
    global _lock
    _lock = allocate_rlock()
    for member in _members.values():
        try:
            member.after_fork()
        except Exception:
            # A child that cannot be counted with the others must live all the same.
            _log.exception("a forked process could not join its siblings")


def _alone(duty: weakref.ref[Duty]) -> None:
    """Let a process that is alone do its duty as long as anybody has it."""
    sleep = original("time", "sleep")
    while (found := duty()) is not None:
        found.tick(None)
        del found
        sleep(1)


def leave_all() -> None:
    """Give back every slot of this process and stop answering; for tests and orderly ends."""
    with _lock:
        for member in _members.values():
            if member._answerer is not None:
                member._answerer.close()
            for duty in member.duties:
                duty.close()
            member.box.close()
            for registry in list(member.registries.values()):
                registry.attach(LocalStore(os.getpid()))
                membership(registry).leave(ALONE)
            member.store.close()
        _members.clear()
