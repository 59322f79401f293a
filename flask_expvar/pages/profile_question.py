"""Question: what is asked of the page of profiles, and with which words a profile is taken."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..exceptions import ParameterError
from ..stacks.profile import ENGINES, MODES
from .links import query_string
from .page import Query

#: A profile takes so many seconds unless one says, and at most.
USUAL, LONGEST = 5.0, 120.0
#: What a finished profile can be had as: pyinstrument's renderings first.
FORMATS = ("html", "text", "json", "speedscope", "pprof", "folded", "threads", "session")
SORTS = ("self", "total", "samples", "name")
GROUPS = ("thread",)
#: Of the table, so many functions are shown.
ROWS, MOST_ROWS = 100, 1000

_ID = re.compile(r"[0-9a-zA-Z_.-]+")


@dataclass(frozen=True)
class Question:
    """The parameters, checked: also those that the view asked for does not use.

    :param id: the profile that is shown, and *before*: the one that it is compared with.
    :param focus: the number of the function whose calls are drawn.
    """

    id: str
    before: str
    focus: int
    by_thread: bool
    sort: str
    limit: int
    given: dict[str, str]

    def link(self, **changes: object) -> str:
        """Return the query string of another view, of the same worker; empty values go."""
        return query_string({"worker": self.given.get("worker", ""), **changes})

    def same(self, **changes: object) -> str:
        """Return the query string of this view with some parameters changed."""
        names = ("id", "before", "focus", "by", "sort", "limit")
        kept = {name: self.given[name] for name in names if name in self.given}
        return self.link(**{**kept, **changes})


@dataclass(frozen=True)
class Wish:
    """A profile that is to be taken."""

    seconds: float
    mode: str
    engine: str
    format: str


def question(query: Query) -> Question:
    """Return what *query* asks for.

    :raises ParameterError: if a parameter is not allowed.
    """
    return Question(
        id=_id(query, "id"),
        before=_id(query, "before"),
        focus=query.whole("focus", 0, 10**7) or 0,
        by_thread=bool(query.choice("by", *GROUPS)),
        sort=query.choice("sort", *SORTS) or SORTS[0],
        limit=query.whole("limit", 1, MOST_ROWS) or ROWS,
        given=query.given,
    )


def _id(query: Query, name: str) -> str:
    value = query.text(name, 64)
    if value and _ID.fullmatch(value) is None:
        raise ParameterError(name, value, "the id of a profile, as the page links it")
    return value


def wish(query: Query, *, seconds: float = USUAL, mode: str = "wall", format: str = "text") -> Wish:
    """Return the profile that *query* asks to take; what it does not say is as given.

    :raises ParameterError: if a parameter is not allowed.
    """
    asked = query.duration("seconds")
    if "seconds" in query.given and (asked is None or not 0 < asked <= LONGEST):
        allowed = f"more than 0 and at most {LONGEST:g}, such as 5 or 500ms"
        raise ParameterError("seconds", query.given["seconds"], allowed)
    return Wish(
        seconds=seconds if asked is None else asked,
        mode=one_of(query, "mode", MODES) or mode,
        engine=one_of(query, "engine", ENGINES),
        format=one_of(query, "format", FORMATS) or format,
    )


def one_of(query: Query, name: str, allowed: tuple[str, ...]) -> str:
    """Return one of some words; empty only if it is not given."""
    if name in query.given and not query.given[name]:
        raise ParameterError(name, "", ", ".join(allowed))
    return query.choice(name, *allowed)
