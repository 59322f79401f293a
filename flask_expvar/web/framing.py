"""What the frame of every page says of the page itself: how old, how dear, how to have it again."""

from __future__ import annotations

import hashlib
import shlex
from typing import Any

from flask import Request

from ..pages.links import query_string
from ..pages.moments import duration
from ..pages.page import Query, Scene

#: Seconds between refreshes that a page offers, and the limits of ``?refresh=``.
CHOICES = (0, 2, 5, 15, 60)
FASTEST, SLOWEST = 2, 300


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
