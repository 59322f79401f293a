"""What Flask tells while it answers a request: routes found, templates rendered, exceptions."""

from __future__ import annotations

import sys
from typing import Any

from ..traces.trace import current
from .exchange import Exchange
from .requests import RequestTrace

_watching: list[bool] = []


def watch() -> None:
    """Listen to Flask, if the program has imported it and nobody listens yet. Never raises."""
    # Asked for, not imported: an application without Flask has no use for it.
    if _watching or "flask" not in sys.modules:
        return
    try:
        from flask import signals
    except ImportError:  # Flask is only half imported; the first request asks again
        return
    _watching.append(True)
    signals.got_request_exception.connect(_on_exception)
    signals.request_started.connect(_on_started)
    signals.before_render_template.connect(_on_render)
    signals.template_rendered.connect(_on_rendered)


def _on_exception(sender: object, exception: BaseException, **_: object) -> None:
    try:
        from flask import request

        exchange = Exchange.around(request.environ)
        while exchange is not None:
            exchange.fail(exception)
            exchange = exchange.parent
    except Exception:  # no request, or none that is like one: Flask goes on with the real error
        return


def _on_started(sender: object, **_: object) -> None:
    trace = current.get()
    try:
        while trace is not None:
            if type(trace) is RequestTrace:
                trace.match()
            trace = trace.outer
    except Exception:  # a request's rule that is none: the request goes on
        return


def _on_render(sender: object, template: Any, **_: object) -> None:
    _log("rendering %s", template)


def _on_rendered(sender: object, template: Any, **_: object) -> None:
    _log("rendered %s", template)


def _log(fmt: str, template: Any) -> None:
    trace = current.get()
    if trace is not None:
        trace.log(fmt, getattr(template, "name", None) or "a string")
