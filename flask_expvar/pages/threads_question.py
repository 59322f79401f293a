"""Question: what is asked of the page of threads."""

from __future__ import annotations

from dataclasses import dataclass

from ..exceptions import ParameterError
from .links import query_string
from .page import Query

#: The longest time between two looks, in seconds: no more than a worker is waited for.
LONGEST = 1.0


@dataclass(frozen=True)
class Question:
    """The parameters, checked.

    :param each: whether the text is to have each thread by itself rather than groups.
    :param seconds: how long after the first look a second one follows; 0 for none.
    """

    each: bool
    seconds: float
    given: dict[str, str]

    def link(self, **changes: object) -> str:
        """Return the query string of another view, of the same worker; empty values go."""
        return query_string({"worker": self.given.get("worker", ""), **changes})


def question(query: Query) -> Question:
    """Return what *query* asks for.

    :raises ParameterError: if a parameter is not allowed.
    """
    each = query.choice("debug", "1", "2") == "2"
    seconds = query.duration("seconds") or 0.0
    if seconds > LONGEST:
        raise ParameterError("seconds", query.given["seconds"], "at most 1, such as 0.5 or 500ms")
    return Question(each, seconds, query.given)
