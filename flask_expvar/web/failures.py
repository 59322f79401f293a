"""Exceptions that Flask turns into responses, told to the request in which they happened."""

from __future__ import annotations

import sys

from .exchange import Exchange

_watching: list[bool] = []


def watch() -> None:
    """Listen to Flask, if the program has imported it and nobody listens yet. Never raises."""
    # Asked for, not imported: an application without Flask has no use for it.
    if _watching or "flask" not in sys.modules:
        return
    try:
        from flask import got_request_exception
    except ImportError:  # Flask is only half imported; the first request asks again
        return
    _watching.append(True)
    got_request_exception.connect(_on_exception)


def _on_exception(sender: object, exception: BaseException, **_: object) -> None:
    try:
        from flask import request

        exchange = Exchange.around(request.environ)
        while exchange is not None:
            exchange.fail(exception)
            exchange = exchange.parent
    except Exception:  # no request, or none that is like one: Flask goes on with the real error
        return
