"""What Flask tells while it answers a request: routes found, templates rendered, exceptions."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from ..traces.trace import current, innermost
from .exchange import Exchange
from .routes import ROUTE_KEY, route_of

#: Flask's request, once this module listens to Flask: an import for each would cost 1 µs.
_request: list[Any] = []


def listen() -> None:
    """Listen to Flask, if the program has imported it and nobody listens yet. Never raises."""
    # Asked for, not imported: an application without Flask has no use for it.
    if _request or "flask" not in sys.modules:
        return
    try:
        from flask import request, signals
    except ImportError:  # Flask is only half imported; the first request asks again
        return
    _request.append(request)
    signals.got_request_exception.connect(_on_exception)
    signals.before_render_template.connect(_on_render)
    signals.template_rendered.connect(_on_rendered)


def watch(app: object, traced: bool) -> None:
    """Listen, and learn the routes of what *app* answers. Never raises.

    :param traced: whether it is traced; where *app* is Flask's own, counting needs nothing.
    """
    listen()
    if not _request:
        return
    from flask import Flask, signals

    flask = getattr(app, "__self__", None)
    if not (isinstance(flask, Flask) and getattr(app, "__func__", None) is Flask.wsgi_app):
        signals.request_started.connect(_on_started)
    elif traced:
        # A receiver of the signal would cost each request 5 µs more, and other applications too;
        # one of before_request 2 µs. What runs there may wait for ever, so this comes first.
        inner = flask.preprocess_request
        if getattr(inner, "__code__", None) is not _CODE:
            flask.preprocess_request = _preprocessing(inner)  # type: ignore[method-assign]  # of this one


def _on_exception(sender: object, exception: BaseException, **_: object) -> None:
    try:
        exchange = Exchange.around(_request[0].environ)
        while exchange is not None:
            exchange.fail(exception)
            exchange = exchange._around
    except Exception:  # no request, or none that is like one: Flask goes on with the real error
        return


def _preprocessing(inner: Callable[..., Any]) -> Callable[..., Any]:
    """Return what notes the route before it does what Flask's *inner* does."""

    def preprocess_request(*arguments: Any) -> Any:
        try:
            # Mostly so: the current trace is this request's, which stands there as a reference,
            # and the request is Flask's and has a rule. Where one of this is not so, something
            # raises.
            mine: Any = current.get()
            trace = mine()
            environ = trace._environ
            rule = environ["werkzeug.request"].url_rule.rule
            if trace._around is None and trace._route is None and ROUTE_KEY not in environ:
                # RequestTrace.matched(), in place
                trace._route = rule
                recorder = trace._recorder
                clock = recorder.clock
                trace._matched_at = clock()
                notes = trace._notes
                if notes is not None:
                    notes.words[trace._note] = recorder.requests.places[trace._method, rule].note
            else:
                _on_request()
        except Exception:
            _on_request()
        return inner(*arguments) if arguments else inner()

    return preprocess_request


_CODE = _preprocessing(len).__code__


def _on_started(sender: object, **_: object) -> None:
    _on_request()


def _on_request() -> None:
    # Not by the current trace: this may be a request that a view makes to another application,
    # and the one around it has matched long ago.
    try:
        environ = _request[0].environ
        exchange = Exchange.around(environ)
        while exchange is not None:
            exchange.match(route_of(environ))
            exchange = exchange._around
    except Exception:  # a request's rule that is none: the request goes on
        return


def _on_render(sender: object, template: Any, **_: object) -> None:
    _log("rendering %s", template)


def _on_rendered(sender: object, template: Any, **_: object) -> None:
    _log("rendered %s", template)


def _log(fmt: str, template: Any) -> None:
    trace = innermost()
    if trace is not None:
        trace.log(fmt, getattr(template, "name", None) or "a string")
