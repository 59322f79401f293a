"""What an application registers for the pages: its queues, and pages of its own."""

from __future__ import annotations

import inspect
import re
import weakref
from collections.abc import Callable
from typing import Any

from ..exceptions import BadKindError, BadNameError, NameTakenError
from ..variables.registry import Registry, default_registry
from .budget import Bounded

#: Addresses below the prefix that are ours, now or soon: no page of an application's has them.
RESERVED = frozenset({
    "assets", "config", "events", "flags", "goroutine", "heap", "login", "logout", "memory",
    "metrics", "overview", "own", "pprof", "profile", "queue", "requests", "static", "threads",
    "traces", "vars",
})  # fmt: skip
LONGEST_NAME, LONGEST_SLUG = 100, 40
#: Queues and pages of one registry: what a loop registers by mistake must end somewhere.
MOST = 100

_SLUG = re.compile("[a-z][a-z0-9_-]*")


class Source:
    """A queue that is registered.

    :param paged: whether *fetch* takes ``limit`` and ``offset``.
    :param shared: whether all workers see the same queue.
    """

    def __init__(self, name: str, fetch: Callable[..., Any], paged: bool, shared: bool) -> None:
        self.name = name
        self.paged = paged
        self.shared = shared
        self.fetch = Bounded(f"expvar queue {name}", fetch)


class Own:
    """A page of the application's own that is registered.

    :param asks: whether *collect* takes the parameters of the URL.
    """

    def __init__(
        self, name: str, title: str, about: str, collect: Callable[..., Any], asks: bool
    ) -> None:
        self.name = name
        self.title = title
        self.about = about
        self.asks = asks
        self.collect = Bounded(f"expvar page {name}", collect)


class Registered:
    """The queues and pages of one registry, by name."""

    def __init__(self) -> None:
        # Replaced whole, never changed: who reads needs no lock, and no order is promised.
        self.queues: dict[str, Source] = {}
        self.pages: dict[str, Own] = {}


_kept: weakref.WeakKeyDictionary[Registry, Registered] = weakref.WeakKeyDictionary()


def registered(registry: Registry) -> Registered:
    """Return what is registered for *registry*; always the same object."""
    found = _kept.get(registry)
    return found if found is not None else _kept.setdefault(registry, Registered())


def register_queue(
    name: str,
    fetch: Callable[..., Any],
    *,
    shared: bool | None = None,
    registry: Registry | None = None,
) -> None:
    """Show a queue on ``/debug/queue``.

    ::

        def fetch(limit, offset):
            rows = database.mails(limit, offset)  # the oldest first
            return [QueueItem(row.id, row.created, sender=row.sender) for row in rows], count()

        expvar.register_queue("mail", fetch, shared=True)

    The same name again replaces the queue, so that an application factory may run twice.

    :param fetch: called as ``fetch(limit, offset)``, or without arguments if it takes none and
        returns everything. It returns the items, each a :class:`QueueItem` or a mapping with
        its names, and how many the queue holds; without arguments the items are enough. It is
        called in a thread of its own, outside of any request, and has 0.8 s.
    :param shared: whether all workers see one queue, in a database or a broker: then one of
        them is asked, else each. By default what the adapter says, else False: a shared queue
        that is listed by each worker is seen to be so, while of queues in the workers' memory
        all but one would be missing without a word.
    :raises BadNameError: unless *name* is a text of 1 to 100 printable characters.
    :raises BadKindError: if *fetch* cannot be called so.
    """
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise BadNameError(
            name,
            f"it is no text of 1 to {LONGEST_NAME} printable characters",
            what="a queue",
            instead="a short text such as 'mail'",
        )
    paged = _takes(fetch, 2)
    if not paged and not _takes(fetch, 0):
        raise BadKindError("fetch", fetch, "a function fetch(limit, offset), or fetch()")
    if shared is None:
        shared = getattr(fetch, "shared", False) is True
    made = Source(name, fetch, paged, bool(shared))
    home = registered(registry if registry is not None else default_registry)
    home.queues = _with(home.queues, name, made, "a queue")


def register_page(
    name: str,
    title: str,
    collect: Callable[..., Any],
    *,
    about: str = "",
    registry: Registry | None = None,
) -> None:
    """Show a page of the application's own at ``/debug/NAME``.

    ::

        expvar.register_page("caches", "Caches", lambda: {"entries": len(cache)})

    It gets the frame, the gate, the tables and ``/debug/NAME.json`` of the others; every worker
    is asked, and secrets are hidden by the same rules. It may be registered before or after the
    blueprint. The same name again replaces the page.

    :param name: its address: small letters, digits, ``-`` and ``_``, none of ours.
    :param collect: called as ``collect(query)`` with the parameters of the URL, or without
        arguments if it takes none, in a thread of its own and outside of any request; it has
        0.8 s. It returns plain data: a mapping of names to values, a list of mappings, which
        becomes a table, or a mapping of headings to either.
    :param about: a line for the overview.
    :raises BadNameError: if *name* is not such an address.
    :raises NameTakenError: if it is that of one of our pages.
    :raises BadKindError: if *collect* cannot be called so, or *title* is no text.
    """
    slug = _check_slug(name)
    if not isinstance(title, str) or not title or len(title) > LONGEST_NAME:
        raise BadKindError("title", title, f"a text of 1 to {LONGEST_NAME} characters")
    asks = _takes(collect, 1)
    if not asks and not _takes(collect, 0):
        raise BadKindError("collect", collect, "a function collect(), or collect(query)")
    made = Own(slug, title, about, collect, asks)
    home = registered(registry if registry is not None else default_registry)
    home.pages = _with(home.pages, slug, made, "a page")


def is_slug(name: str) -> bool:
    """Return whether a page of an application's may have this address."""
    return len(name) <= LONGEST_SLUG and _SLUG.fullmatch(name) is not None


def _check_slug(name: object) -> str:
    if not isinstance(name, str) or not is_slug(name):
        raise BadNameError(
            name,
            f"it is no address of at most {LONGEST_SLUG} characters",
            what="a page",
            instead="small letters, digits, - and _, a letter first, for example 'caches'",
        )
    if name in RESERVED:
        way_out = f"take another name, for example 'app-{name}'"
        raise NameTakenError(name, "a page of flask_expvar", "yours", way_out=way_out)
    return name


def _takes(function: Any, count: int) -> bool:
    """Return whether *function* can be called with so many arguments in a row."""
    if not callable(function):
        return False
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # one of C, which does not tell
        return True
    return True


def _with(found: dict[str, Any], name: str, made: Any, what: str) -> dict[str, Any]:
    if name not in found and len(found) >= MOST:
        instead = "fewer: what a loop makes belongs into one of them"
        raise BadNameError(name, f"there are {MOST} already", what=what, instead=instead)
    return {**found, name: made}
