"""Item: one thing that a program was given, as it may be told."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Item(NamedTuple):
    """One name with its value, as it may leave the process.

    :param hidden: whether nothing of the value is shown.
    :param rule: what hid it, or a part of it; empty if it is as it is.
    """

    name: str
    value: bool | float | str | None
    kind: str = "str"
    size: str = ""
    hidden: bool = False
    rule: str = ""


#: Makes an item, of whose text so many characters are looked at.
Make = Callable[[int], Item]
