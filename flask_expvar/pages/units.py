"""Units: numbers as charts and tiles have them."""

from __future__ import annotations

from collections.abc import Callable

from .vars_table import seconds


def size(count: float) -> str:
    """Return a number of bytes with a binary unit.

    >>> size(43201331)
    '41.2 MiB'
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024 or unit == "GiB":
            return f"{count:.1f} {unit}" if unit != "B" else f"{count:.0f} B"
        count /= 1024
    return ""


def number(value: float) -> str:
    """Return a number short enough for an axis.

    >>> number(12345678)
    '12.3 M'
    """
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            factor = limit if letter != "k" else 1e3
            return f"{value / factor:.3g} {letter}"
    return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def percent(value: float) -> str:
    """Return a share of one in per cent.

    >>> percent(0.0125)
    '1.2%'
    """
    return f"{100 * value:.2g}%"


#: How the numbers of a chart are written, by its unit.
UNITS: dict[str, Callable[[float], str]] = {
    "": number,
    "/s": lambda value: f"{number(value)}/s",
    "s": seconds,
    "B": size,
    "%": percent,
}
