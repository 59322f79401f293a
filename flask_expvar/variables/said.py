"""String and Func: what each process says itself when a page is read; no words can hold it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ..exceptions import BadKindError
from . import names
from .kinds import Home, Var
from .layout import Spec
from .slot import Node


class String(Var):
    """A text. Over all workers: the one that was set last.

    It is kept by each process and asked for when a page is read, so :attr:`value` is this
    process's own. After a fork the child has what its parent had.
    """

    kind = "string"
    __slots__ = ("_text",)

    def __init__(self, help: str = "") -> None:
        super().__init__(Spec(self.kind, "", help))
        self._text: tuple[int, str] = (0, "")

    def set(self, value: str) -> None:
        """Make *value* the text. Never raises."""
        if isinstance(value, str):
            now = time.time_ns()
            self._text = (now, str.__str__(value))
            self._ints[self._node.stamp_at] = now  # back, if another worker has deleted it
        else:
            self._lost(1, TypeError(f"{type(value).__name__} is not str"))

    def _settle(self, node: Node, home: Home, carry: bool) -> None:
        if node.ints[node.stamp_at] < 0:
            # Declared again, which is later than what other workers said before the deletion.
            self._text = (time.time_ns(), self._text[1])
        super()._settle(node, home, carry)

    @property
    def value(self) -> str:
        """The text, as this process set it last."""
        return self._text[1]

    @property
    def when(self) -> int:
        """When the text was set, in ns since the epoch; 0 if never."""
        return self._text[0]

    def __str__(self) -> str:
        return self.value


class Func(Var):
    """A value that is worked out at each read by calling *func*.

    Over all workers numbers add up, maps do so key by key, and of anything else the first
    worker's is shown; *multiprocess_mode* (``livesum``, ``max``, ``min``, ``mostrecent``)
    names another rule for the numbers.

    :raises BadKindError: if *func* cannot be called, or the rule is not one of these.
    """

    kind = "func"
    __slots__ = ("_func", "_made")

    def __init__(
        self, func: Callable[[], Any], help: str = "", *, multiprocess_mode: str = "livesum"
    ) -> None:
        if not callable(func):
            raise BadKindError("func", func, "something to call without arguments")
        mode = names.check_mode(multiprocess_mode)
        super().__init__(Spec(self.kind, "", help, mode=mode))
        self._func = func
        self._made = time.time_ns()

    def become(self, other: Func) -> None:
        """Call *other*'s function from now on."""
        self._func = other._func
        self._ints[self._node.stamp_at] = self._made = other._made

    def _settle(self, node: Node, home: Home, carry: bool) -> None:
        super()._settle(node, home, carry)
        # Published after another worker has deleted it: it is back.
        node.ints[node.stamp_at] = max(node.ints[node.stamp_at], self._made)

    @property
    def value(self) -> Any:
        """What the function returns now, in this process.

        :raises Exception: what the function raises; the pages turn it into null.
        """
        return self._func()

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<Func {self.name!r}>"
