"""Showing: a page as a browser gets it, with links that go on refreshing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flask import Response, request

from .files import render
from .frames import fingerprint

_LINK = re.compile(r'(<a [^>]*?href=")([^"#]*)((?:#[^"]*)?")')
_SEARCH = re.compile(r'<form [^>]*?role="search"[^>]*>')
#: A profile is taken when one asks for it, and other forms than HTML are not morphed.
_STILL = re.compile(r"(?:^|/)profile(?:\?|$)|[?&;](?:refresh|format)=")


def html_response(template: str, data: Mapping[str, Any], frame: Mapping[str, Any]) -> Response:
    """Return a page, or that it says the same as the one that the browser has."""
    body = render(template, data=data, frame=frame)
    if frame["refresh"]:
        body = keep_refresh(body, frame["refresh"], {page["href"] for page in frame["pages"]})
    response = Response(body, mimetype="text/html")
    response.set_etag(fingerprint(body), weak=True)
    response.make_conditional(request)
    return response


def keep_refresh(body: str, seconds: int, pages: set[str]) -> str:
    """Return a page whose links to pages, and whose searches, ask for ``refresh`` as well.

    In one place for all templates: one link that forgets it ends what somebody watches.

    :param pages: where pages are, as the frame links to them.
    """

    def link(match: re.Match[str]) -> str:
        before, address, after = match.groups()
        path, mark, query = address.partition("?")
        own = not path and mark  # another view of this page
        if not (own or path in pages) or (not path and still) or _STILL.search(address):
            return match[0]
        kept = f"{query}&amp;" if query else ""
        return f"{before}{path}?{kept}refresh={seconds}{after}"

    start, opening, rest = body.partition("<main")
    main, closing, end = rest.rpartition("</main>")
    still = request.path.endswith("/profile")
    field = rf'\g<0><input type="hidden" name="refresh" value="{seconds}">'
    return start + opening + _SEARCH.sub(field, _LINK.sub(link, main)) + closing + end
