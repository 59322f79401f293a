"""Moments and time spans as pages have them."""

from __future__ import annotations

import time


def micro(seconds: float) -> float:
    """Return a time span rounded to microseconds, which clocks do not exceed."""
    return round(seconds, 6)


def when(stamp: float) -> str:
    """Return date and time of day to the microsecond, in the server's zone."""
    whole, part = divmod(round(stamp * 1e6), 1_000_000)
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(whole)) + f".{part:06}"


def iso(stamp: float) -> str:
    """Return the moment as HTML's element ``time`` wants it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(stamp))


def zone() -> str:
    """Return the server's time zone."""
    return time.strftime("%Z")


def offset(stamp: float) -> int:
    """Return how many seconds the server's clock is ahead of UTC at that moment."""
    return time.localtime(stamp).tm_gmtoff


def duration(value: float) -> str:
    """Return a time span in the two largest units.

    >>> duration(93784)
    '1 d 2 h'
    """
    left = int(value)
    parts: list[str] = []
    for size_, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size_)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])
