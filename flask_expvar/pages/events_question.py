"""Question: what is asked of the page of event logs, by the parameters of x/net/trace and more."""

from __future__ import annotations

from dataclasses import dataclass

from ..traces.events import COLUMNS
from .links import query_string
from .page import Query

#: Logs of a page. Each worker has to tell of all pages before the one that is shown.
USUAL, MOST, PAGES = 50, 50, 10
LONGEST_TEXT = 200

MATRIX, LIST, LOG = "matrix", "list", "log"
#: The parameters that links keep.
NAMES = ("fam", "b", "id", "exp", "q", "page", "limit")


@dataclass(frozen=True)
class Question:
    """The parameters, checked: also those that the view asked for does not use.

    :param column: one of the columns of the matrix; the first one has all logs.
    :param expanded: whether logs are listed with more entries, opened.
    """

    family: str
    column: int
    log: str
    expanded: bool
    text: str
    page: int
    limit: int
    given: dict[str, str]

    @property
    def view(self) -> str:
        """What is to be shown."""
        if self.log:
            return LOG
        return LIST if self.family or self.text else MATRIX

    @property
    def wanted(self) -> int:
        """How many logs a worker has to tell of, so that the page can be put together."""
        return self.page * self.limit

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
        family=query.text("fam"),
        column=query.whole("b", 0, len(COLUMNS) - 1) or 0,
        log=query.text("id"),
        expanded=query.flag("exp"),
        text=query.text("q", LONGEST_TEXT),
        page=query.whole("page", 1, PAGES) or 1,
        limit=query.whole("limit", 1, MOST) or USUAL,
        given=query.given,
    )
