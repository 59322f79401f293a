"""Question: what is asked of the page of memory."""

from __future__ import annotations

from dataclasses import dataclass

from .links import query_string
from .page import Query


@dataclass(frozen=True)
class Question:
    """The parameters, checked.

    :param types: whether to count objects by type, and *top*: whether to look where memory was
        allocated; both take a while.
    :param heap: whether every place is told, for the heap profile, and *collect*: after a
        collection.
    """

    types: bool
    top: bool
    heap: bool
    collect: bool
    given: dict[str, str]

    def link(self, **changes: object) -> str:
        """Return the query string of another view, of the same worker; empty values go."""
        return query_string({"worker": self.given.get("worker", ""), **changes})


def question(query: Query) -> Question:
    """Return what *query* asks for.

    :raises ParameterError: if a parameter is not allowed.
    """
    return Question(
        types=query.flag("types"),
        top=query.flag("top"),
        heap=query.flag("heap"),
        collect=query.flag("gc"),
        given=query.given,
    )
