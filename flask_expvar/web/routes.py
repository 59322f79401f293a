"""Routes: under which name a request is filed, never its path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: Where an application may say, before the first byte, under which route it files the request.
ROUTE_KEY = "expvar.route"
NO_ROUTE = "(no route)"
#: The methods of RFC 9110, and PATCH of RFC 5789.
METHODS = frozenset(
    ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
)


def route_of(environ: WSGIEnvironment) -> Any:
    """Return the route of a request, as far as it is known by now."""
    route = environ.get(ROUTE_KEY)
    if route is not None:
        return route
    # Flask's request; one of Werkzeug alone has no rule, one that matched nothing has None.
    request = environ.get("werkzeug.request")
    if request is None:
        return NO_ROUTE
    try:
        return request.url_rule.rule
    except AttributeError:
        return NO_ROUTE
