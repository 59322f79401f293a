"""Was a request made by a page of another site in the operator's browser?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .headers import text_of

SAME_SITES = frozenset({"same-origin", "none"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def is_foreign(environ: Mapping[str, Any], *, navigation: bool = True) -> bool:
    """Tell whether another site's page makes the browser ask; never raises.

    A link that somebody follows is let through, as long as it only reads and opens in a tab
    of its own; with ``navigation=False`` not even that, for a GET that starts work. What sends
    no ``Sec-Fetch-Site`` and no ``Origin`` is no browser. Same-site is foreign too: a sibling
    subdomain, or another port of localhost, may belong to somebody else.
    """
    reads = text_of(environ, "REQUEST_METHOD") in SAFE_METHODS
    site = text_of(environ, "HTTP_SEC_FETCH_SITE")
    if site in SAME_SITES:
        return False
    if site is None:
        # Go's rule: an old browser, or one on plain HTTP, says Origin with what it posts.
        return not reads and has_foreign_origin(environ)
    return not (navigation and reads and _is_navigation(environ))


def has_foreign_origin(environ: Mapping[str, Any]) -> bool:
    """Tell whether there is an ``Origin`` and it is not the host that was asked."""
    origin = text_of(environ, "HTTP_ORIGIN")
    if origin is None:
        return False
    scheme, _, host = origin.lower().partition("://")
    asked = (text_of(environ, "HTTP_HOST") or "").lower()
    return scheme not in ("http", "https") or not host or host != asked


def _is_navigation(environ: Mapping[str, Any]) -> bool:
    return (
        text_of(environ, "HTTP_SEC_FETCH_MODE") == "navigate"
        and text_of(environ, "HTTP_SEC_FETCH_DEST") == "document"
    )
