"""Registry: the variables of one application, in one process or over all its workers."""

from __future__ import annotations

import itertools
import logging
import os
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from typing import Any

from .._json import plain
from .._native import allocate_lock, allocate_rlock
from ..exceptions import BadKindError, NameTakenError
from . import names
from .interrupts import is_interrupt
from .kinds import Var
from .layout import Spec
from .maps import Map, Nesting, from_spec
from .namespace import V, check_free
from .plan import Plan
from .reading import Part, Row, Totals, nest
from .release import publish_release
from .said import Func, String
from .slot import Node, Slot, wrapped
from .store import LocalStore, Store

DROPPED = "expvar/dropped"

_log = logging.getLogger("flask_expvar")
_numbers = itertools.count(1)
_registries: weakref.WeakSet[Registry] = weakref.WeakSet()
_hooked: list[bool] = []


class Registry(Nesting):
    """A set of variables with unique names.

    Each declares, reads and shares by itself: two applications in one process, each with a
    registry of its own, never mix. A variable may be declared before or after the registry is
    shared, and before or after a fork: :meth:`attach` moves it.

    :param name: tells it from other registries of the same program; it must be the same in
        every worker. Without one the order in which registries are shared gives it.
    """

    __slots__ = (
        "__weakref__",
        "_claims",
        "_followers",
        "_logged",
        "_root",
        "_store",
        "_totals",
        "_vars",
        "growth",
        "lock",
        "name",
    )  # fmt: skip

    def __init__(self, name: str = "") -> None:
        if not isinstance(name, str):
            raise BadKindError("name", name, "a str, the same in every worker")
        self.name = name
        #: Guards every word of this process: taken for one addition, or for the few of a request.
        self.lock: Any = allocate_lock()
        self.growth: Any = allocate_rlock()
        self._vars: dict[str, Var] = {}
        self._claims: dict[str, str] = {}
        self._logged: set[tuple[str, str]] = set()
        self._followers: weakref.WeakSet[Any] = weakref.WeakSet()
        self._store: Store = LocalStore(os.getpid())
        self._root: Node = self._store.slot.node(None, Spec("registry", name))
        self._totals = Totals(name, self._declared)

    # What users call

    def unpublish(self, name: str) -> None:
        """Remove *name* and its count; another may take its place. Unknown names are fine.

        Whoever still has the variable counts in memory of its own.
        """
        with self.growth:
            gone = self._vars.pop(name, None)
            if gone is None:
                return
            self.delete(gone._node)
            gone._leave()
            self.left()
            for family in names.families(name, gone.kind):
                self._claims.pop(family, None)

    def publish_build_info(
        self, prefix: str, version: str | None = None, source_date: float | datetime | None = None
    ) -> None:
        """Publish ``PREFIX/version``, ``PREFIX/sourceDateStr`` and ``PREFIX/sourceDateTimestamp``.

        :param version: by default that of the installed distribution called *prefix*.
        :param source_date: seconds since the epoch, or a datetime; by default the variable
            ``SOURCE_DATE_EPOCH`` (reproducible-builds.org), else the age of the installation.
        :raises BadKindError: if one is not given and cannot be found, or is of a wrong kind.
        """
        publish_release(self, prefix, version, source_date)

    def snapshot(self) -> dict[str, Any]:
        """Return the values of all variables as plain data, sorted by name.

        Numbers are those of all workers; texts and functions are this process's own. A function
        that raises gives None, and so does NaN, or what else no JSON holds, at its place.
        """
        values = nest(self.rows())
        return {name: own_value(self._vars.get(name), value) for name, value in values.items()}

    def __iter__(self) -> Iterator[str]:
        """Yield the names of this process's variables, sorted."""
        return iter(sorted(self._vars))

    def __repr__(self) -> str:
        return f"<Registry {self.name!r} with {len(self._vars)} variables>"

    # What pages and hosts call

    def attach(self, store: Store, *, carry: bool = True) -> None:
        """Move every variable onto *store*, with what it has counted unless *carry* is false.

        Other threads may count meanwhile. Two registries of one name would count in the same
        words: whoever hands out the store sees to it that there is one, as joining a server's
        workers does.
        """
        _hook_forks()
        if not self.name:
            self.name = f"registry{next(_numbers)}"
        with self.growth:
            self._store = store
            self._root = store.slot.node(None, Spec("registry", self.name))
            self._totals = Totals(self.name, self._declared)
            for var in list(self._vars.values()):
                self._enter(var, carry)
        for follower in list(self._followers):
            follower.moved()

    def follow(self, follower: Any) -> None:
        """Let *follower* know what becomes of the variables that it remembers. Held weakly.

        ``moved()`` is called when their words have moved, ``left()`` when one was taken out.
        """
        self._followers.add(follower)

    def rows(self, parts: Sequence[Part] | None = None) -> list[Row]:
        """Return the variables of all workers in the order of their paths.

        :param parts: what :meth:`parts` has given just now, if it has.
        """
        return self._totals.rows(self._store.parts() if parts is None else parts)

    def plan(self, parts: Sequence[Part]) -> Plan:
        """Return where the words of everything are in *parts*, while none of them grows."""
        return self._totals.plan(parts)

    def rows_of(self, part: Part, only: str = "") -> list[Row]:
        """Return what one worker has counted, of one variable if one is named."""
        return self._totals.rows_of(part, only)

    def parts(self) -> Sequence[Part]:
        """Return the slots that there are, this process's own among them."""
        return self._store.parts()

    @property
    def store(self) -> Store:
        """Where the words are."""
        return self._store

    # What variables call: see kinds.Home

    @property
    def slot(self) -> Slot:
        """Where this process's words are."""
        return self._store.slot

    def exclusive(self) -> AbstractContextManager[object]:
        """Keep everybody else from setting or deleting meanwhile."""
        return self._store.exclusive()

    def total(self, node: Node) -> Any:
        """Return the value of *node* over all workers."""
        value = self._totals.value(node, self._store.parts())
        return own_value(self.at(node.path[1:]), value) if node.spec.kind == "map" else value

    def found(self, node: Node, key: str) -> Var | None:
        """Return what another worker has under *key* of the map *node*, now also here."""
        path = (*node.path[1:], key)
        for row in self.rows():
            made = from_spec(row.spec) if row.path == path else None
            above = self.at(path[:-1])
            if made is not None and isinstance(above, Map) and above._node is node:
                return above._welcome(made, self)
        return None

    def delete(self, node: Node) -> None:
        """Take *node*, and what is below it, out of the sum over all workers.

        Done by setting the total to zero through one's own share: nobody else's word is written.
        """
        path = node.path[1:]
        with self.exclusive():
            self._store.deleting()
            specs = {row.path: row for row in self.rows() if row.path[: len(path)] == path}
            self._erase(node, specs, path)

    def delete_key(self, node: Node, key: str) -> None:
        """Take out what only other workers have under *key* of the map *node*.

        Noted in this process's slot: it is back when somebody sets or publishes it later.
        """
        path = (*node.path[1:], key)
        for row in self.rows():
            if row.path == path:
                self.delete(self.slot.node(node, row.spec))

    def _erase(self, node: Node, rows: dict[tuple[str, ...], Row], path: tuple[str, ...]) -> None:
        row = rows.get(path)
        if row is not None:
            with self.lock:
                subtract(node, row.value)
        node.ints[node.stamp_at] = -time.time_ns()
        for below, child in rows.items():
            if below[:-1] == path:
                self._erase(self.slot.node(node, child.spec), rows, below)

    def revived(self) -> None:
        """Let readers look anew: what was deleted is back, perhaps in place of another kind."""
        self._store.deleting()

    def left(self) -> None:
        """Tell that a variable was taken out."""
        for follower in list(self._followers):
            follower.left()

    def drop(self, n: int, var: Var, error: Exception) -> None:
        """Count *n* lost counts of *var*, and log the first of each sort. Never raises."""
        try:
            if var.name != DROPPED:
                self.new_int(DROPPED, "counts that could not be counted where they belong").add(n)
            sort = (var.name, type(error).__name__)
            if sort not in self._logged and len(self._logged) < 1000:
                self._logged.add(sort)
                _log.warning("%r could not count as told (logged once): %s", var.name, error)
        except Exception:  # a full memory, a broken logging handler: the request goes on
            return

    # Inside

    def _check(self, name: str) -> str:
        name = names.check_name(name)
        if name.casefold() in names.RESERVED:
            raise NameTakenError(name, "a variable of the runtime", "yours")
        return name

    def _adopt(self, name: str, made: V) -> V:
        check_free(made)
        _hook_forks()
        _registries.add(self)
        for family in names.families(name, made.kind):
            owner = self._claims.get(family)
            if owner is not None:
                clash = f"{owner!r}, which Prometheus cannot tell from it,"
                raise NameTakenError(name, clash, f"a {made.kind} of its own")
            if names.is_builtin(family):
                raise NameTakenError(name, f"{family!r}, a figure of the process", "yours")
        self._claims.update(dict.fromkeys(names.families(name, made.kind), name))
        made._spec = replace(made._spec, name=name)
        self._vars[name] = made
        self._enter(made, carry=True)
        return made

    def _enter(self, var: Var, carry: bool) -> None:
        var._settle(self.slot.node(self._root, var._spec), self, carry)

    def at(self, path: tuple[str, ...]) -> Var | None:
        """Return what this process has at *path*, or None."""
        found: Var | None = None
        level: dict[str, Var] = self._vars
        for key in path:
            found = level.get(key)
            level = found._vars if isinstance(found, Map) else {}
        return found

    def _declared(self, path: tuple[str, ...]) -> Spec | None:
        var = self.at(path)
        return var._spec if var is not None else None

    def _after_fork(self) -> None:
        """Take new locks: threads of the parent may have held the old ones."""
        self.lock = allocate_lock()
        self.growth = allocate_rlock()
        if isinstance(self._store, LocalStore):
            self._store.after_fork(os.getpid())
        for var in list(self._vars.values()):
            var._relock(self.lock, self.growth)
        for follower in list(self._followers):
            follower.moved()


def own_value(var: Var | None, value: Any) -> Any:
    """Return *value* with what this process's Strings and Funcs say filled in, at any depth.

    What JSON does not know is None at its place, as on the pages.
    """
    if isinstance(var, Map) and isinstance(value, dict):
        return {key: own_value(var.own(key), inner) for key, inner in value.items()}
    if not isinstance(var, (Func, String)):
        return value
    try:
        return plain(var.value)
    except BaseException as error:
        if is_interrupt(error):
            raise
        return None


def subtract(node: Node, value: Any) -> None:
    """Take *value*, as :meth:`Registry.rows` gave it, off the words of *node*."""
    spec = node.spec
    if spec.mode is not None or value is None:
        return
    if spec.kind == "int":
        node.ints[node.at] = wrapped(node.ints[node.at] - value)
    elif spec.kind == "float":
        node.floats[node.at] -= value
    elif spec.kind == "histogram":
        below = 0
        for word, count in enumerate(value["buckets"].values()):
            node.ints[node.at + word] = wrapped(node.ints[node.at + word] - count + below)
            below = count
        node.floats[node.at + spec.width - 1] -= value["sum"]


def _hook_forks() -> None:
    if not _hooked:
        _hooked.append(True)
        os.register_at_fork(after_in_child=_after_fork)


def _after_fork() -> None:
    for registry in list(_registries):
        registry._after_fork()


#: The registry of everything that names no other.
default_registry = Registry("default")
