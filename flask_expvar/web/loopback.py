"""Does a request come from this very machine? Five rules on the raw WSGI environ.

They cannot see a proxy that adds no header: nginx with a bare ``proxy_pass`` makes the whole
internet look like loopback. So they are trusted only on Flask's own development server, on a
listener of our own, and where somebody asked for it with ``EXPVAR_ACCESS = "loopback"``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from .headers import text_of
from .origins import SAME_SITES, has_foreign_origin

_LOOPBACK_4 = ipaddress.ip_network("127.0.0.0/8")
_LOOPBACK_6 = ipaddress.IPv6Address("::1")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:[0-9]{1,5})?")
_LOCALHOST = re.compile(r"([a-z0-9_-]+\.)*localhost")

_FORWARDING = (
    "Forwarded",
    "Via",
    "X-Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Proto",
    "X-Forwarded-Server",
    "X-Real-IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "True-Client-IP",
    "CF-Connecting-IP",
    "CF-Ray",
    "Fastly-Client-IP",
    "Fly-Client-IP",
)
_FORWARDING_FAMILIES = ("X-Forwarded-", "X-Original-", "CF-", "X-Envoy-")


def refusing_rule(environ: Mapping[str, Any]) -> str | None:
    """Name the first of the five rules that refuses *environ*; None if all let it pass.

    Never raises, whatever the client sent. A name holds nothing that the client wrote but the
    name of a well-known header, so there are few of them and all are safe to log.
    """
    # ProxyFix has overwritten the peer with what a header claims.
    if "werkzeug.proxy_fix.orig" in environ:
        return "loopback:proxy-fix"
    if not is_loopback_peer(text_of(environ, "REMOTE_ADDR")):
        return "loopback:peer"
    if header := forwarding_header(environ):
        return f"loopback:forwarded-header {header}"
    return refusing_name_rule(environ)


def refusing_name_rule(environ: Mapping[str, Any]) -> str | None:
    """Apply rules 4 and 5 alone, those against DNS rebinding and other sites' pages."""
    if not is_loopback_host(text_of(environ, "HTTP_HOST")):
        return "loopback:host"
    site = text_of(environ, "HTTP_SEC_FETCH_SITE")
    if site is not None and site not in SAME_SITES:
        return "loopback:sec-fetch-site"
    if has_foreign_origin(environ):
        return "loopback:origin"
    return None


def is_loopback_peer(address: str | None) -> bool:
    """Tell whether the peer's *address* is loopback; an empty one, of a unix socket, is not."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    # Not is_loopback: what it says of ::ffff:127.0.0.1 depends on the version of Python.
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is None:
            return parsed == _LOOPBACK_6
        parsed = parsed.ipv4_mapped
    return parsed in _LOOPBACK_4


def is_loopback_host(host: str | None) -> bool:
    """Tell whether a Host header, with or without a port, names this machine's loopback.

    Own parser: Werkzeug 3.1's ``host_is_trusted`` refuses ``[::1]:5000`` and upper case.
    """
    found = _HOST.fullmatch((host or "").lower())
    if not found:
        return False
    name = found[1].removesuffix(".")
    if _LOCALHOST.fullmatch(name):
        return True
    try:
        if name.startswith("["):
            return ipaddress.IPv6Address(name[1:-1]) == _LOOPBACK_6
        return ipaddress.IPv4Address(name) in _LOOPBACK_4
    except ValueError:
        return False


def forwarding_header(environ: Mapping[str, Any]) -> str | None:
    """Name a header that only a proxy adds, if there is one, whatever its value."""
    for header in _FORWARDING:
        if _key(header) in environ:
            return header
    for family in _FORWARDING_FAMILIES:
        # The rest of the name is the client's invention: a log line for each could be forced.
        if any(key.startswith(_key(family)) for key in environ):
            return f"{family}*"
    return None


def _key(header: str) -> str:
    return "HTTP_" + header.upper().replace("-", "_")
