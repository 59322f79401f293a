"""What ``/debug/queue`` is asked."""

from __future__ import annotations

from dataclasses import dataclass

from .links import query_string
from .page import Query

#: Items of a page, and the last page: a source has to find its place in the queue.
USUAL, MOST, PAGES = 100, 1000, 10_000
#: Items of a queue that a search looks at.
SCANNED = 1000
LONGEST_TEXT = 200
NAMES = ("name", "q", "page", "limit")


@dataclass(frozen=True)
class Question:
    """The parameters, checked.

    :param name: of one queue, empty for all.
    """

    name: str
    text: str
    page: int
    limit: int
    given: dict[str, str]

    @property
    def offset(self) -> int:
        """How many items stand before the page."""
        return (self.page - 1) * self.limit

    def link(self, **changes: object) -> str:
        """Return the query string of another view, of the same worker; empty values go."""
        return query_string({"worker": self.given.get("worker", ""), **changes})

    def same(self, **changes: object) -> str:
        """Return the query string of this view with some parameters changed."""
        kept = {name: value for name, value in self.given.items() if name in NAMES}
        return self.link(**{**kept, **changes})


def question(query: Query) -> Question:
    """Return what *query* asks for.

    :raises ParameterError: if a parameter is not allowed.
    """
    return Question(
        name=query.text("name"),
        text=query.text("q", LONGEST_TEXT),
        page=query.whole("page", 1, PAGES) or 1,
        limit=query.whole("limit", 1, MOST) or USUAL,
        given=query.given,
    )
