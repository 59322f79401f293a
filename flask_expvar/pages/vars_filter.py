"""Which variables ``/debug/vars`` shows, in each of its forms."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..exceptions import ParameterError
from .links import query_string
from .page import Query

#: How far back a change is looked for, by the words of ``since``.
AGES = {"1m": 60, "5m": 300, "15m": 900}
#: Beside the parameters of the page: what says which variables are shown.
NAMES = ("q", "under", "nonzero", "since")
_MOMENT = re.compile(r"[0-9]{10}(?:\.[0-9]{1,6})?")


@dataclass(frozen=True)
class Filter:
    """What is asked for.

    :param moment: what has not changed since then is left out; None if that does not matter.
    """

    q: str
    under: str
    nonzero: bool
    since: str
    moment: float | None
    worker: str

    @property
    def given(self) -> dict[str, str]:
        """The parameters that ask for the same."""
        nonzero = "1" if self.nonzero else ""
        # By the clock, so that a page which asks again means the same moment.
        since = f"{self.moment:.0f}" if self.since == "now" and self.moment else self.since
        return {"q": self.q, "under": self.under, "nonzero": nonzero, "since": since}

    @property
    def narrows(self) -> bool:
        """Whether anything is left out."""
        return any(self.given.values())

    def link(self, **changes: str) -> str:
        """Return the query string of another part of the same."""
        return query_string({**self.given, "worker": self.worker, **changes})

    def below(self, names: Iterable[str]) -> list[str]:
        """Return those of the *names* that begin with the prefix."""
        return [name for name in names if name.startswith(self.under)]

    def names(
        self, names: Iterable[str], values: Mapping[str, Any], changed: set[str] | None
    ) -> list[str]:
        """Return those of the *names* that are shown.

        :param changed: the only ones that may be, None for all.
        """
        low = self.q.lower()
        return [
            name
            for name in self.below(names)
            if low in name.lower()
            and (changed is None or name in changed)
            and not (self.nonzero and is_zero(values.get(name)))
        ]


def filter_of(query: Query, now: float) -> Filter:
    """Return what *query* asks for.

    :raises ParameterError: if a parameter is not allowed.
    """
    since = query.text("since")
    moment = now if since == "now" else now - AGES[since] if since in AGES else None
    if since and moment is None:
        if _MOMENT.fullmatch(since) is None:
            allowed = f"{', '.join(AGES)}, now, or seconds since 1970 such as {now:.0f}"
            raise ParameterError("since", since, allowed)
        moment = float(since)
    return Filter(
        q=query.text("q"),
        under=query.text("under"),
        nonzero=query.flag("nonzero"),
        since=since,
        moment=moment,
        worker=query.text("worker"),
    )


def is_zero(value: Any) -> bool:
    """Return whether there is nothing in *value*; null, which is an error, is something.

    >>> is_zero({"a": {"b": 0}, "c": ""}), is_zero(None), is_zero(False)
    (True, False, False)
    """
    if isinstance(value, dict):
        if "buckets" in value and "count" in value:
            return bool(value["count"] == 0)
        return all(map(is_zero, value.values()))
    return value is not None and not isinstance(value, bool) and value in (0, "", [])


def clock(moment: float) -> str:
    """Return the time of day, with the date if that is another one."""
    then = time.localtime(moment)
    today = time.strftime("%Y-%m-%d", then) == time.strftime("%Y-%m-%d")
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S", then)
