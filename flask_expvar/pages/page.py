"""What a page is, how it is asked, and whom it speaks for."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..exceptions import ParameterError, UnknownError
from ..variables.reading import Part
from ..variables.registry import Registry
from ..workers.membership import Membership, membership
from ..workers.sockets import DEADLINE
from .budget import said

_log = logging.getLogger("flask_expvar")

#: Longer parameters than this are refused: nobody means them.
LONGEST_PARAMETER = 256
#: A trace's id is the name of its family, which may be as long as that, and two numbers.
LONGEST_ID = 320

_SWITCHES = {
    **dict.fromkeys(("0", "f", "F", "false", "False", "FALSE"), False),
    **dict.fromkeys(("1", "t", "T", "true", "True", "TRUE"), True),
}
_WHOLE = re.compile("-?[0-9]+")
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(us|µs|ms|s|)")
_UNITS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "": 1.0}


class Query:
    """The parameters of a URL, typed and within limits.

    :param sensitive: whether who asks may see what is sensitive; never taken from the URL.
    :param speaks: whether this process is the one that tells what all workers share.
    :raises ParameterError: from each method, if the value is not allowed.
    """

    def __init__(
        self, given: Mapping[str, str], *, sensitive: bool = False, speaks: bool = True
    ) -> None:
        # Of a name that is given twice the first value counts.
        self.given = dict(given.items())
        lists = getattr(given, "lists", None)  # of a URL; a sibling is sent the first ones
        self._every = dict(lists()) if lists is not None else {}
        self.sensitive = sensitive
        self.speaks = speaks
        for name, value in self.given.items():
            most = LONGEST_ID if name in ("trace", "ref") else LONGEST_PARAMETER
            if len(value) > most:
                raise ParameterError(name[:40], value, f"at most {most} characters")

    def text(self, name: str, most: int = LONGEST_ID) -> str:
        """Return a text of at most *most* characters, empty if it is not given."""
        value = self.given.get(name, "")
        if len(value) > most:
            raise ParameterError(name, value, f"at most {most} characters")
        return value

    def every(self, name: str, most: int) -> list[str]:
        """Return all values that a parameter has, at most so many."""
        values = self._every.get(name, [self.given[name]] if name in self.given else [])
        if len(values) > most or any(len(value) > LONGEST_PARAMETER for value in values):
            allowed = f"at most {most} values of at most {LONGEST_PARAMETER} characters"
            raise ParameterError(name, f"{len(values)} values", allowed)
        return list(values)

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a yes or no, the default if it is not given.

        Go's words too: chasquid's links say ``all=true``.
        """
        value = self.given.get(name, "")
        if value and value not in _SWITCHES:
            raise ParameterError(name, value, "0 or 1, false or true")
        return _SWITCHES.get(value, default)

    def choice(self, name: str, *allowed: str) -> str:
        """Return one of some words, empty if it is not given."""
        value = self.given.get(name, "")
        if value and value not in allowed:
            raise ParameterError(name, value, ", ".join(allowed))
        return value

    def duration(self, name: str) -> float | None:
        """Return a time span in seconds, such as 0.25 or 250ms, None if it is not given."""
        value = self.given.get(name, "")
        if not value:
            return None
        match = _DURATION.fullmatch(value)
        if match is None:
            raise ParameterError(name, value, "seconds such as 0.25, or 250ms, or 90us")
        return float(match[1]) * _UNITS[match[2]]

    def whole(self, name: str, low: int, high: int) -> int | None:
        """Return a whole number from *low* to *high*, None if it is not given."""
        value = self.given.get(name, "")
        if not value:
            return None
        # int() takes more than people mean: blanks, underscores, other scripts' digits.
        if _WHOLE.fullmatch(value) is None or not low <= int(value) <= high:
            raise ParameterError(name, value, f"a whole number from {low} to {high}")
        return int(value)


@dataclass
class Scene:
    """All that a page works with: who there is, who is meant, and what they answered.

    :param answers: what each worker collected, by pid; this process's own among them.
    :param missing: live workers that did not answer, in time or at all.
    :param only: the worker that ``?worker=`` asks for.
    :param failed: what was raised in those of the missing ones that did answer.
    :param broken: the sections of the page that could not be made, and why.
    """

    registry: Registry
    query: Query
    parts: Sequence[Part]
    only: Part | None = None
    answers: dict[int, Any] = field(default_factory=dict)
    missing: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    now: float = field(default_factory=time.time)
    #: Which media types the client accepts, as HTTP has it.
    accept: str = ""

    @property
    def sensitive(self) -> bool:
        """Whether who asks may see what is sensitive, such as the messages of exceptions."""
        return self.query.sensitive

    def section(self, name: str, make: Callable[[], Any], otherwise: Any) -> Any:
        """Return what *make* returns; what it raises costs this section of the page alone.

        :param otherwise: what stands in the page then; the frame tells why.
        """
        try:
            return make()
        except (ParameterError, UnknownError):
            raise
        except Exception as error:
            self.broken[name] = told_of(error, self.sensitive)
            return otherwise

    @property
    def workers(self) -> list[Part]:
        """The live workers that this answer is about, by slot."""
        if self.only is not None:
            return [self.only]
        return sorted((p for p in self.parts if p.live and p.worker), key=lambda part: part.slot)


def told_of(error: Exception, sensitive: bool) -> str:
    """Return what a page tells of an error that nobody has foreseen, and log where it was."""
    _log.warning("a part of a debug page could not be made", exc_info=error)
    return said(error, sensitive)


class Page(Protocol):
    """One page, the same at ``/NAME`` for people and programs and at ``/NAME.json``."""

    name: str
    title: str
    about: str

    def wants(self, scene: Scene, part: Part) -> bool:
        """Return whether the process in *part* has to be asked."""

    def collect(self, registry: Registry, query: Query) -> Any:
        """Return what this process has to say to *query*, as plain data.

        :raises ParameterError: if a parameter is not allowed.
        """

    def machine(self, scene: Scene, twin: bool) -> tuple[str, str]:
        """Return the text for programs and its media type; *twin*: for ``/NAME.json``."""

    def html(self, scene: Scene) -> dict[str, Any]:
        """Return the data of the template NAME.html."""


class Acting(Page, Protocol):
    """A page that may change something in the processes: what is sent to it with POST."""

    #: The word of ``EXPVAR_ACTIONS`` that each action needs; empty if the level is enough.
    actions: Mapping[str, str]

    def act(self, registry: Registry, action: str, query: Query) -> Any:
        """Do *action* in this process; return what came of it as plain data.

        :raises ParameterError: if a field of the form is not allowed.
        """


def act_everywhere(
    page: Acting, registry: Registry, action: str, given: Mapping[str, str]
) -> tuple[dict[int, Any], list[int]]:
    """Do *action* in all workers, or in the one of ``worker=``.

    Returns what came of it, by pid, and the workers that did not answer in time.

    :raises ParameterError: if a field is not allowed: nothing was done then.
    :raises UnknownError: if the worker asked for is not there.
    """
    found = look(registry, given, sensitive=True)
    query, own = found.query, os.getpid()
    answers = {}
    # Here first: what is wrong in the form is found out before others are asked.
    if any(part.pid == own for part in found.workers):
        answers[own] = page.act(registry, action, query)
    asked = [part for part in found.workers if part.pid != own]
    request = {"page": page.name, "query": query.given, "action": action}
    told = membership(registry).ask(asked, request, DEADLINE)
    missing = []
    for part in asked:
        answer = told.get(part.slot)
        if isinstance(answer, dict) and "data" in answer:
            answers[part.pid] = answer["data"]
        else:
            missing.append(part.pid)
    return answers, missing


def scene(
    page: Page,
    registry: Registry,
    given: Mapping[str, str],
    *,
    sensitive: bool = False,
    accept: str = "",
) -> Scene:
    """Look who is there, and ask those whom *page* wants to ask.

    :param sensitive: whether who asks may see what is sensitive.
    :param accept: which media types the client accepts.
    :raises ParameterError: if a parameter is not allowed.
    :raises UnknownError: if the worker asked for is not there.
    """
    found = look(registry, given, sensitive=sensitive, accept=accept)
    shares = membership(registry)
    found.notes = [note for note in (shares.note, *(part.problem for part in found.parts)) if note]
    _ask(page, found, shares)
    return found


def look(
    registry: Registry,
    given: Mapping[str, str],
    *,
    sensitive: bool = False,
    accept: str = "",
) -> Scene:
    """Look who is there and who is meant, without asking anybody.

    :raises ParameterError: if a parameter is too long, or ``worker`` is no process id.
    :raises UnknownError: if the worker asked for is not there.
    """
    query = Query(given, sensitive=sensitive)
    pid = query.whole("worker", 1, 2**31)
    found = Scene(registry, query, registry.parts(), accept=accept)
    found.only = _worker(found, pid) if pid is not None else None
    return found


def _worker(found: Scene, pid: int) -> Part:
    for part in found.workers:
        if part.pid == pid:
            return part
    pids = ", ".join(str(part.pid) for part in found.workers)
    raise UnknownError(f"no worker {pid}; there are: {pids}")


def _ask(page: Page, found: Scene, shares: Membership) -> None:
    own = os.getpid()
    asked = [part for part in found.workers if part.pid != own and page.wants(found, part)]
    here = any(part.pid == own for part in found.workers)
    request = {
        "page": page.name,
        "query": found.query.given,
        "sensitive": found.query.sensitive,
        "speaker": own if here or not asked else asked[0].pid,
    }
    patience = getattr(page, "patience", None)
    answers = shares.ask(asked, request, patience(found.query) if patience else DEADLINE)
    for part in asked:
        answer = answers.get(part.slot)
        if isinstance(answer, dict) and "data" in answer:
            found.answers[part.pid] = answer["data"]
            continue
        found.missing.append(part.pid)
        if isinstance(answer, dict) and "failed" in answer:
            found.failed[part.pid] = str(answer["failed"])
    if here:
        try:
            found.answers[own] = page.collect(found.registry, found.query)
        except (ParameterError, UnknownError):
            raise
        except Exception as error:
            found.missing.append(own)
            found.failed[own] = told_of(error, found.sensitive)


def answer(pages: Mapping[str, Page], registry: Registry, request: Any) -> Any:
    """Return what a sibling's :func:`scene` asked of this process.

    A parameter that is not allowed is the sibling's to refuse; here it is no answer.
    """
    query = None
    try:
        query = Query(
            request.get("query", {}),
            sensitive=request.get("sensitive") is True,
            speaks=request.get("speaker") == os.getpid(),
        )
        page: Any = pages[request["page"]]
        if "action" in request:
            return {"data": page.act(registry, request["action"], query)}
        return {"data": page.collect(registry, query)}
    except (ParameterError, UnknownError) as error:
        return {"error": str(error)}
    except Exception as error:
        return {"failed": told_of(error, query is not None and query.sensitive)}
