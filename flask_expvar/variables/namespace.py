"""Namespaces: variables under names, made when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..exceptions import BadKindError, NameTakenError
from . import names
from .histogram import DEFAULT_BUCKETS, Histogram
from .kinds import Float, Int, Var
from .layout import Spec
from .said import Func, String

V = TypeVar("V", bound=Var)


class Namespace:
    """What a registry and a map have in common, but for the maps: variables by name.

    Declaring the same name again gives the same variable; as another kind it raises.
    """

    __slots__ = ()

    _vars: dict[str, Var]
    growth: Any

    def new_int(self, name: str, help: str = "", *, multiprocess_mode: str | None = None) -> Int:
        """Return the :class:`Int` called *name*, made if need be.

        :param multiprocess_mode: None for a counter; see :class:`~flask_expvar.Int`.
        :raises BadNameError: if no variable can have that name.
        :raises NameTakenError: if it is something else already.
        """
        return self._declare(name, Int(help, multiprocess_mode=multiprocess_mode))

    def new_float(
        self, name: str, help: str = "", *, multiprocess_mode: str | None = None
    ) -> Float:
        """Return the :class:`Float` called *name*, made if need be; raises as :meth:`new_int`."""
        return self._declare(name, Float(help, multiprocess_mode=multiprocess_mode))

    def new_string(self, name: str, help: str = "") -> String:
        """Return the :class:`String` called *name*, made if need be; raises as :meth:`new_int`."""
        return self._declare(name, String(help))

    def new_histogram(
        self, name: str, help: str = "", buckets: Sequence[float] = DEFAULT_BUCKETS
    ) -> Histogram:
        """Return the :class:`Histogram` called *name*, made if need be; raises as :meth:`new_int`.

        :param buckets: the upper bounds, growing, in seconds if it counts durations.
        """
        return self._declare(name, Histogram(help, buckets))

    def publish(self, name: str, var: Var | Callable[[], Any], help: str = "") -> Var:
        """Publish *var* as *name*; a function becomes a :class:`Func`, called at each read.

        A name that holds a Func already takes the new function, so that a module may be
        loaded twice; any other second use raises.

        :raises BadNameError: if no variable can have that name.
        :raises NameTakenError: if another variable has it.
        :raises BadKindError: if *var* is neither a variable nor to be called.
        """
        made = var if isinstance(var, Var) else Func(var, help)
        if isinstance(made, Func):
            return self._replace(name, made)
        found = self._declare(name, made)
        if found is not made:
            raise NameTakenError(name, f"another {found.kind}", f"this {made.kind}")
        return made

    def get(self, name: str) -> Var | None:
        """Return the variable called *name* in this process, or None."""
        return self._vars.get(name)

    def _declare(self, name: str, made: V) -> V:
        name = self._check(name)
        with self.growth:
            known = self._vars.get(name)
            if known is None:
                return self._adopt(name, made)
            if known is not made:
                _check_same(name, known, made)
            return known  # type: ignore[return-value]  # the check says that they are of one type

    def _replace(self, name: str, made: Func) -> Func:
        known = self._vars.get(self._check(name))
        if isinstance(known, Func):
            known.become(made)
            return known
        return self._declare(name, made)

    def _check(self, name: str) -> str:
        return names.check_name(name)

    def _adopt(self, name: str, made: V) -> V:
        raise NotImplementedError


def _check_same(name: str, known: Var, made: Var) -> None:
    old, new = describe(known._spec), describe(made._spec)
    if old != new:
        raise NameTakenError(name, old, new)


def check_free(var: Var) -> None:
    """Raise :class:`BadKindError` if *var* is published already: it counts in one place."""
    if var._home is not None:
        raise BadKindError("the variable", var, f"one that is not published as {var.name!r} yet")


def describe(spec: Spec) -> str:
    """Return what a variable is, in words for an error.

    >>> describe(Spec("map", "shop/orders", label="status"))
    "map by 'status'"
    """
    words = spec.kind
    if spec.mode and spec.kind != "func":
        words += f" ({spec.mode})"
    if spec.label:
        words += f" by {spec.label!r}"
    if spec.bounds:
        words += f" with bounds {list(spec.bounds)}"
    return words
