"""Hanging up: whether the client of a request that waits is still there."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any

from .._native import original

#: Where servers keep the connection: gunicorn, Werkzeug.
_KEYS = ("gunicorn.socket", "werkzeug.socket")


def hung_up(environ: Mapping[str, Any]) -> bool:
    """Return whether the client of the request of *environ* has closed its connection.

    Where the server does not tell the connection, nobody has.
    """
    found: Any = next((environ[key] for key in _KEYS if key in environ), None)
    try:
        # A copy of the system's own kind: gevent's would wait, and one with TLS would decrypt.
        fd = os.dup(found.fileno())
    except (AttributeError, OSError):
        return False
    with original("socket", "socket")(fileno=fd) as copy:
        try:
            return bool(copy.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"")
        except BlockingIOError:
            return False
        except OSError:
            return True
