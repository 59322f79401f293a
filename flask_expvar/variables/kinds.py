"""The kinds of variables that are numbers, Int and Float, and what all kinds have in common.

A variable holds no value: its words do, in a slot that may be shared with other processes.
The verbs of the hot path never raise: what cannot be counted is counted in ``expvar/dropped``.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from .._native import allocate_rlock
from . import names
from .layout import Spec, words_of
from .slot import Node, Slot, views, wrapped

N = TypeVar("N", int, float)


class Home(Protocol):
    """What a published variable needs of its registry."""

    lock: Any
    growth: Any

    @property
    def slot(self) -> Slot:
        """Where this process's words are."""

    def exclusive(self) -> AbstractContextManager[object]:
        """Keep other workers from setting or deleting meanwhile."""

    def total(self, node: Node) -> Any:
        """Return the value of *node* over all workers."""

    def found(self, node: Node, key: str) -> Var | None:
        """Return what another worker has under *key* of the map *node*."""

    def delete(self, node: Node) -> None:
        """Take *node* and its count out of the sum over all workers."""

    def delete_key(self, node: Node, key: str) -> None:
        """Take out what only other workers have under *key* of the map *node*."""

    def revived(self) -> None:
        """Note that something is back that was deleted."""

    def left(self) -> None:
        """Tell those who remember variables that one was taken out."""

    def drop(self, n: int, var: Var, error: Exception) -> None:
        """Count what *var* could not count, and say so once in the log."""


class Var:
    """A variable, published or not.

    Until it is published it counts in memory of its own; then it moves, with what it has
    counted, into the words of its registry.
    """

    kind: ClassVar[str]
    __slots__ = ("__weakref__", "_at", "_floats", "_home", "_ints", "_lock", "_node", "_spec")

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._home: Home | None = None
        # Re-entrant until it is published: a signal handler may count while it moves.
        self._lock: Any = allocate_rlock()
        self._bind(_private(spec))

    @property
    def name(self) -> str:
        """The name under which it is published, or the key in its map."""
        return self._spec.name

    @property
    def help(self) -> str:
        """What it means, for people."""
        return self._spec.help

    @property
    def value(self) -> Any:
        """The value over all workers, as the pages show it."""
        raise NotImplementedError

    def _bind(self, node: Node) -> None:
        self._node = node
        self._ints = node.ints
        self._floats = node.floats
        self._at = node.at

    def _settle(self, node: Node, home: Home, carry: bool) -> None:
        """Go on in the words of *node*; *carry* what was counted so far along.

        A thread that waits for the old lock meanwhile counts in the new words.
        """
        with self._lock:
            old = self._node
            back = node.ints[node.stamp_at] < 0
            if back:
                _revive(node)
            self._home = home
            self._bind(node)
            if carry and old is not node:
                _carry(old, node)
        self._lock = home.lock
        if back:
            home.revived()

    def _leave(self) -> None:
        """Go on from zero in memory of its own: it was taken out of its registry."""
        with self._lock:
            self._home = None
            self._bind(_private(self._spec))
        self._lock = allocate_rlock()

    def _relock(self, lock: Any, growth: Any) -> None:
        """Use other locks: the new ones of a forked child, or those of the map above."""
        self._lock = lock

    def _lost(self, n: int, error: Exception) -> None:
        if self._home is not None:
            self._home.drop(n, self, error)

    def __eq__(self, other: object) -> bool:
        """Equal to itself, and to a number or text that equals its value."""
        if isinstance(other, Var):
            return self is other
        return bool(self.value == other)

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self.value!r}>"


def _private(spec: Spec) -> Node:
    return Node(None, spec, *views(bytearray(8 * words_of(spec.width))), 0)


def _revive(node: Node) -> None:
    if node.spec.mode is not None and node.spec.width == 1:
        # All bits zero: the float 0.0 as well. When it was deleted is kept, or the other
        # workers' old values would come back with it.
        node.ints[node.at] = node.ints[node.base_at] = node.ints[node.base_at + 1] = 0
        node.ints[node.gone_at] = -node.ints[node.stamp_at]
    node.ints[node.stamp_at] = time.time_ns()


def _carry(old: Node, new: Node) -> None:
    if new.spec.kind == "ring":
        for word in range(new.spec.width):
            # The newest, not the sum: these are moments, and the slot may hold older ones.
            new.ints[new.at + word] = old.ints[old.at + word] or new.ints[new.at + word]
    elif new.spec.mode in (None, "livesum", "sum"):
        for word in range(new.spec.width):
            if _is_float(new.spec, word):
                new.floats[new.at + word] += old.floats[old.at + word]
            else:
                total = new.ints[new.at + word] + old.ints[old.at + word]
                new.ints[new.at + word] = wrapped(total)
        new.ints[new.stamp_at] = new.ints[new.stamp_at] or old.ints[old.stamp_at]
    elif old.ints[old.stamp_at] > new.ints[new.stamp_at]:
        new.ints[new.at] = old.ints[old.at]  # the bits of a float as well
        new.ints[new.stamp_at] = old.ints[old.stamp_at]


def _is_float(spec: Spec, word: int) -> bool:
    return spec.kind == "float" or (spec.kind == "histogram" and word == spec.width - 1)


class Number(Var, Generic[N]):
    """What :class:`Int` and :class:`Float` have in common.

    :param multiprocess_mode: None for a counter, whose workers' shares add up, the dead ones'
        included; a gauge names its rule: ``sum``, ``livesum`` (live workers only), ``max``,
        ``min`` or ``mostrecent``.
    :raises BadKindError: if the rule is none of these.
    """

    __slots__ = ()

    def __init__(self, help: str = "", *, multiprocess_mode: str | None = None) -> None:
        mode = names.check_mode(multiprocess_mode)
        super().__init__(Spec(self.kind, "", help, mode=mode))

    def set(self, value: N) -> None:
        """Make *value* the value.

        Of a counter: over all workers, whoever counted what; others may add at the same time.
        Of a gauge: this worker's share. Never raises.
        """
        try:
            if self._spec.mode is None:
                self._set_total(value)
            else:
                self._set_share(value)
        except Exception as error:
            self._lost(1, error)

    def _words(self) -> Any:
        raise NotImplementedError

    def _set_total(self, value: N) -> None:
        if self._home is None:
            with self._lock:
                self._words()[self._at] = value
            return
        with self._home.exclusive():
            words, at, node = self._words(), self._at, self._node
            others: Any = self.value - words[at]
            if others - others != 0:
                others = 0  # an overflow to infinity would stay for ever
            with self._lock:
                words[at] = value - others
            node.ints[node.stamp_at] = time.time_ns()

    def _set_share(self, value: N) -> None:
        now = time.time_ns()
        words, ints, stamp = self._words(), self._ints, self._node.stamp_at
        with self._lock:
            words[self._at] = value
            ints[stamp] = now

    def _add_share(self, n: N) -> None:
        now = time.time_ns()
        words, ints, stamp = self._words(), self._ints, self._node.stamp_at
        with self._lock:
            words[self._at] += n
            ints[stamp] = now

    @property
    def value(self) -> N:
        """The value over all workers, as the pages show it; reads the files of the others."""
        if self._home is None:
            return self._words()[self._at]  # type: ignore[no-any-return]  # of one kind or the other
        return self._home.total(self._node)  # type: ignore[no-any-return]


class Int(Number[int]):
    """A 64-bit integer: a counter, unless a *multiprocess_mode* makes it a gauge.

    Wraps around at 64 bits, as Go's does. Safe to use from threads, greenlets and signal
    handlers; after a fork the child counts in words of its own.
    """

    kind = "int"
    # Its word alone, so that to add needs one look where it is, not two.
    __slots__ = ("_cell",)

    def _bind(self, node: Node) -> None:
        super()._bind(node)
        self._cell = node.ints[node.at : node.at + 1]

    def __new__(cls, help: str = "", *, multiprocess_mode: str | None = None) -> Int:
        return object.__new__(_IntGauge if cls is Int and multiprocess_mode else cls)

    def add(self, n: int = 1) -> None:
        """Add *n*. Never raises."""
        try:
            # No call in this section: a signal handler that counts would wait for itself.
            with self._lock:
                self._cell[0] += n
        except Exception as error:
            self._add_odd(n, error)

    def _add_odd(self, n: int, error: Exception) -> None:
        if not isinstance(error, ValueError) or type(n) is not int:
            self._lost(1, error)
            return
        with self._lock:
            self._ints[self._at] = wrapped(self._ints[self._at] + n)
            self._ints[self._node.stamp_at] = time.time_ns()

    def _words(self) -> Any:
        return self._ints

    def __int__(self) -> int:
        return self.value

    __index__ = __int__


class _IntGauge(Int):
    """An Int whose rule asks when it was last changed."""

    __slots__ = ()

    def add(self, n: int = 1) -> None:
        try:
            self._add_share(n)
        except Exception as error:
            self._add_odd(n, error)


class Float(Number[float]):
    """A 64-bit float: a counter, unless a *multiprocess_mode* makes it a gauge.

    A NaN or an infinity cannot be added or set: it would never go away again.
    """

    kind = "float"
    __slots__ = ()

    def __new__(cls, help: str = "", *, multiprocess_mode: str | None = None) -> Float:
        return object.__new__(_FloatGauge if cls is Float and multiprocess_mode else cls)

    def add(self, n: float = 1.0) -> None:
        """Add *n*. Never raises."""
        try:
            if n - n != 0:
                raise ValueError(f"{n!r} is not finite")
            with self._lock:
                self._floats[self._at] += n
        except Exception as error:
            self._lost(1, error)

    def set(self, value: float) -> None:
        """Make *value* the value; see :meth:`Number.set`."""
        try:
            if value - value != 0:
                raise ValueError(f"{value!r} is not finite")
        except Exception as error:
            self._lost(1, error)
        else:
            super().set(value)

    def _words(self) -> Any:
        return self._floats

    def __float__(self) -> float:
        return self.value


class _FloatGauge(Float):
    """A Float whose rule asks when it was last changed."""

    __slots__ = ()

    def add(self, n: float = 1.0) -> None:
        try:
            if n - n != 0:
                raise ValueError(f"{n!r} is not finite")
            self._add_share(n)
        except Exception as error:
            self._lost(1, error)
