"""Frames: what stands around every page."""

from __future__ import annotations

import hashlib
import shlex
import socket
import time
from collections.abc import Mapping
from typing import Any

from flask import Request, current_app, request

from ..pages.links import query_string
from ..pages.moments import duration, offset
from ..pages.own import own_pages
from ..pages.page import Page, Query, Scene
from ..variables.history import history_of
from ..variables.registry import Registry
from .actions import buttons, did
from .decision import Level
from .files import version
from .tickets import COOKIE

#: Seconds between refreshes that a page offers, and the limits of ``?refresh=``.
CHOICES = (0, 2, 5, 15, 60)
FASTEST, SLOWEST = 2, 300


class Frames:
    """Makes what stands around the pages of one registry."""

    def __init__(self, registry: Registry, pages: Mapping[str, Page]) -> None:
        self._registry = registry
        self._pages = pages
        #: Seconds of CPU time that looking has cost this worker.
        self.spent = 0.0

    def frame(
        self,
        title: str,
        page: Page | None,
        found: Scene | None,
        began: float,
        *,
        level: Level = Level.READ,
        allowed: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """Return the data of frame.html.

        :param page: None if it is none.
        :param found: what the page was made of, None if of nothing.
        :param began: when its making began, on time.perf_counter().
        :param level: what who asks may do.
        :param allowed: the words of ``EXPVAR_ACTIONS``.
        """
        name = page.name if page is not None else None
        done, undone = did(page)
        now = time.time()
        workers = found.workers if found else []
        rest = (request.view_args or {}).get("rest", "")
        base = "../" * rest.count("/")
        query = request.query_string.decode("latin-1")
        twin = f"{name or ''}.json{'?' + query if query else ''}" if found else ""
        return {
            **extras(request, found, twin),
            "title": title,
            "app": current_app.name,
            "host": socket.gethostname(),
            "base": base,
            "did": done,
            "actions": buttons(page, level, allowed, base),
            "pages": [
                {
                    "name": each.name or "overview",
                    "title": each.title,
                    "href": each.name or "./",
                    "current": each.name == name,
                    "off": each.off(self._registry) if hasattr(each, "off") else "",
                }
                for each in (*self._pages.values(), *own_pages(self._registry).values())
            ],
            "workers": [
                {"pid": part.pid, "uptime": duration(now - part.started_ns / 1e9)}
                for part in workers
            ],
            "missing": found.missing if found else [],
            "failed": list(found.failed) if found else [],
            "broken": broken(found) if found else {},
            "only": found.only.pid if found and found.only else None,
            "notes": [*(found.notes if found else []), *filter(None, [undone])],
            "version": version(),
            "logged_in": COOKIE in request.cookies,
            "offset": offset(now),
            "rendered": time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(now)),
            "render_ms": (time.perf_counter() - began) * 1000,
            "json": twin,
            "cost": self.spent + history_of(self._registry).cost,
        }


def broken(found: Scene) -> dict[str, str]:
    """Return what of a page could not be made, and why."""
    workers = {f"The part of worker {pid}": error for pid, error in found.failed.items()}
    return {**workers, **found.broken}


def refresh_of(query: Query) -> int:
    """Return how often the page is to be asked for again, in seconds; 0 for never.

    :raises ParameterError: if ``refresh`` is not allowed.
    """
    asked = query.whole("refresh", 0, SLOWEST) or 0
    return max(asked, FASTEST) if asked else 0


def extras(request: Request, found: Scene | None, json: str) -> dict[str, Any]:
    """Return what the frame needs beside names and links.

    :param json: the path of the twin below the pages, with its query string; empty for none.
    :raises ParameterError: if ``refresh`` is not allowed.
    """
    refresh = refresh_of(found.query) if found else 0
    worker = found.only.pid if found and found.only else ""
    oldest = min((part.started_ns for part in found.workers), default=0) if found else 0
    return {
        "refresh": refresh,
        "choices": [_choice(request, each, refresh) for each in CHOICES] if found else [],
        "keep": query_string({"worker": worker, "refresh": refresh or ""}).rstrip("?"),
        "also": f"&refresh={refresh}" if refresh else "",
        "uptime": duration(found.now - oldest / 1e9) if found and oldest else "",
        "curl": _curl(request, json) if json else "",
    }


def _choice(request: Request, seconds: int, current: int) -> dict[str, Any]:
    given = {**request.args.to_dict(), "refresh": seconds or ""}
    return {
        "text": f"{seconds} s" if seconds else "off",
        "href": query_string(given),
        "current": seconds == current,
    }


def _curl(request: Request, json: str) -> str:
    """Return the command that gets the same as JSON; the token by the name of a variable."""
    above = request.base_url
    rest = (request.view_args or {}).get("rest")
    name = rest if rest is not None else request.path.rpartition("/")[2]
    url = above[: len(above) - len(name)] + json if above.endswith(name) else ""
    if not url.startswith(("http://", "https://")):
        return ""
    return f'curl -sS -H "Authorization: Bearer $EXPVAR_TOKEN" {shlex.quote(url)}'


def fingerprint(body: str) -> str:
    """Return an entity tag of what a page says, whatever the time of day around it."""
    main = body.partition("<main")[2].rpartition("</main>")[0]
    return hashlib.blake2b(main.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
