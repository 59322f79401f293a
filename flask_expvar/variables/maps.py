"""Maps: variables by key, and the namespaces in which they can be declared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from .._native import allocate_rlock
from ..exceptions import BadKindError
from . import names
from .histogram import Histogram
from .kinds import Float, Home, Int, Var
from .layout import Spec
from .namespace import Namespace, V, check_free
from .said import String
from .slot import Node

#: Where counts go whose key is one too many.
OTHER = "(other)"
#: How many keys a map has, unless it is told otherwise.
MAX_KEYS = 1000
LONGEST_KEY = 256


class Nesting(Namespace):
    """A namespace that may have maps in it, and they others."""

    __slots__ = ()

    def new_map(
        self,
        name: str,
        label: str = "key",
        help: str = "",
        *,
        multiprocess_mode: str | None = None,
        max_keys: int = MAX_KEYS,
    ) -> Map:
        """Return the :class:`Map` called *name*, made if need be; raises as :meth:`new_int`.

        :param label: what the keys are, as the name of a Prometheus label.
        :param multiprocess_mode: the rule for the numbers in it.
        :param max_keys: what is over goes to ``(other)`` and is counted in ``expvar/dropped``.
        """
        made = Map(label, help, multiprocess_mode=multiprocess_mode, max_keys=max_keys)
        return self._declare(name, made)


class Map(Nesting, Var):
    """Variables by key: mostly counters, made by the first :meth:`add`.

    At most *max_keys* keys; counts for others go to ``(other)``. The verbs never raise, and
    are safe to use from threads, greenlets and signal handlers.

    :param label: what the keys are, as the name of a Prometheus label.
    :raises BadKindError: if *label*, *multiprocess_mode* or *max_keys* is not allowed.
    """

    kind = "map"
    __slots__ = ("_hot", "_max_keys", "_vars", "growth")

    def __init__(
        self,
        label: str = "key",
        help: str = "",
        *,
        multiprocess_mode: str | None = None,
        max_keys: int = MAX_KEYS,
    ) -> None:
        if not isinstance(max_keys, int) or not 1 <= max_keys <= 100_000:
            raise BadKindError("max_keys", max_keys, "a whole number from 1 to 100000")
        mode = names.check_mode(multiprocess_mode)
        self.growth = allocate_rlock()
        self._vars = {}
        self._max_keys = max_keys
        # Where each plain counter's word is: one look-up on the hot path.
        self._hot: dict[str, tuple[Any, int]] = {}
        Var.__init__(self, Spec(self.kind, "", help, names.check_label(label), mode))

    @property
    def label(self) -> str:
        """What the keys are."""
        return self._spec.label or "key"

    def add(self, key: str, n: float = 1) -> None:
        """Add *n* to the number under *key*, which is made if need be: a Float if *n* is one.

        Never raises.
        """
        try:
            # A key that is new fails here: Python 3.10 lets a signal handler, which may count and
            # wait for the lock, in between an exception and the end of the block.
            _ = self._hot[key]
            # Looked up inside, so that words which have moved meanwhile get nothing any more.
            with self._lock:
                words, at = self._hot[key]
                words[at] += n
        except Exception:
            self._add_slowly(key, n)

    def _add_slowly(self, key: object, n: float) -> None:
        try:
            child = self._vars.get(text(key)) or self._make(text(key), _number(n, self._spec.mode))
            if isinstance(child, (Int, Float)):
                child.add(n)  # type: ignore[arg-type]  # what it cannot add, it drops
            else:
                self._lost(1, TypeError(f"{key!r} is a {child.kind}"))
        except Exception as error:
            self._lost(1, error)

    def set(self, key: str, value: Any) -> None:
        """Put a number, a text or a variable under *key*, in place of what was there.

        Never raises; what is none of these is dropped.
        """
        try:
            if isinstance(value, Var):
                self._put(text(key), value)
                return
            made = String() if isinstance(value, str) else _number(value, self._spec.mode)
            child = self._vars.get(text(key))
            if child is None or child.kind != made.kind:
                child = self._put(text(key), made)
            child.set(value)  # type: ignore[attr-defined]  # all three of them have it
        except Exception as error:
            self._lost(1, error)

    def get(self, key: str) -> Var | None:
        """Return the variable under *key*, or None.

        Also a number or a map that only another worker has; not its texts and functions.
        """
        key = text(key)
        found = self._vars.get(key)
        if found is None and self._home is not None:
            return self._home.found(self._node, key)
        return found

    def delete(self, key: str) -> None:
        """Remove *key* and its count, in all workers, whoever has it.

        A number begins at zero if it comes back; a text is back when a worker sets it again,
        and a function when one publishes it again. Never raises.
        """
        try:
            key = text(key)
            with self.growth:
                self._hot.pop(key, None)
                gone = self._vars.pop(key, None)
                if self._home is not None and gone is not None:
                    self._home.delete(gone._node)
                elif self._home is not None:
                    self._home.delete_key(self._node, key)
                if gone is not None:
                    gone._leave()
                    if self._home is not None:
                        self._home.left()
        except Exception as error:
            self._lost(1, error)

    def __iter__(self) -> Iterator[str]:
        """Yield the keys of all workers, sorted."""
        return iter(sorted(self.value))

    @property
    def value(self) -> dict[str, Any]:
        """The values by key over all workers, sorted."""
        if self._home is not None:
            return self._home.total(self._node)  # type: ignore[no-any-return]  # a map's is a dict
        return {key: self._vars[key].value for key in sorted(self._vars)}

    def own(self, key: str) -> Var | None:
        """Return what this process has under *key*, or None."""
        return self._vars.get(key)

    def _welcome(self, child: Var, home: Home) -> Var:
        """Return *child*, which another worker has, as one's own; kept if there is room."""
        with self.growth:
            known = self._vars.get(child.name)
            if known is None:
                self._enter(child, home, carry=False)
                if len(self._vars) < self._max_keys:
                    self._vars[child.name] = child
                else:
                    self._hot.pop(child.name, None)
            return known or child

    def _leave(self) -> None:
        with self.growth:
            with self._lock:
                self._hot.clear()
            super()._leave()
            self.growth = allocate_rlock()
            for child in list(self._vars.values()):
                child._leave()
                child._relock(self._lock, self.growth)
                self._remember(child)

    def _relock(self, lock: Any, growth: Any) -> None:
        super()._relock(lock, growth)
        self.growth = growth
        for child in list(self._vars.values()):
            child._relock(lock, growth)

    def _put(self, key: str, made: Var) -> Var:
        with self.growth:
            if self._vars.get(key) is not made:
                self.delete(key)
                return self._make(key, made)
            return made

    def _make(self, key: str, made: Var) -> Var:
        with self.growth:
            if key not in self._vars and len(self._vars) >= self._max_keys:
                self._lost(1, OverflowError(f"more than {self._max_keys} keys"))
                key = OTHER
            return self._vars.get(key) or self._adopt(key, made)

    def _check(self, name: str) -> str:
        return text(name)

    def _adopt(self, name: str, made: V) -> V:
        if len(self._vars) >= self._max_keys and name != OTHER:
            self._lost(1, OverflowError(f"more than {self._max_keys} keys"))
            return self._declare(OTHER, made)
        check_free(made)
        made._spec = replace(made._spec, name=name)
        self._vars[name] = made
        if self._home is not None:
            self._enter(made, self._home, carry=True)
        else:
            made._relock(self._lock, self.growth)
            self._remember(made)
        return made

    def _enter(self, child: Var, home: Home, carry: bool) -> None:
        child._settle(home.slot.node(self._node, child._spec), home, carry)
        self._remember(child)

    def _remember(self, child: Var) -> None:
        if type(child) is Int:
            self._hot[child.name] = (child._ints, child._at)

    def _settle(self, node: Node, home: Home, carry: bool) -> None:
        with self.growth:
            with self._lock:
                self._hot.clear()  # until the keys have moved: counts go to them one by one
            super()._settle(node, home, carry)
            for found in home.slot.children(node):
                made = from_spec(found.spec)
                if made and found.spec.name not in self._vars and found.ints[found.stamp_at] >= 0:
                    self._vars[found.spec.name] = made
            for child in list(self._vars.values()):
                self._enter(child, home, carry)
            self.growth = home.growth


def from_spec(spec: Spec) -> Var | None:
    """Return a variable for what a slot says that it counts, None for what cannot be shared."""
    made: Var
    if spec.kind == "int":
        made = Int(multiprocess_mode=spec.mode)
    elif spec.kind == "float":
        made = Float(multiprocess_mode=spec.mode)
    elif spec.kind == "histogram":
        made = Histogram(buckets=spec.bounds)
    elif spec.kind == "map":
        made = Map(multiprocess_mode=spec.mode)
    else:
        return None
    made._spec = spec
    return made


def _number(value: object, mode: str | None) -> Int | Float:
    if isinstance(value, float):
        return Float(multiprocess_mode=mode)
    if not hasattr(value, "__index__"):
        raise TypeError(f"{type(value).__name__} is no number")
    return Int(multiprocess_mode=mode)


def text(key: object) -> str:
    """Return *key* as it can stand in JSON: valid Unicode, at most 256 characters."""
    if not isinstance(key, str):
        key = key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)
    if len(key) > LONGEST_KEY:
        key = key[: LONGEST_KEY - 1] + "…"
    return key if key.isascii() else key.encode("utf-8", "replace").decode("utf-8")
