"""Expvar: the pages and the middleware in one line, in the manner of Flask's extensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flask import Flask

from ..variables.registry import Registry, default_registry
from .middleware import ExpvarMiddleware
from .mounting import blueprint
from .views import View


class Expvar:
    """Registers the debug pages and wraps the application in the middleware.

    ::

        expvar = Expvar()
        expvar.init_app(app)  # or at once: Expvar(app)

    Settings come from ``app.config``. One object may serve several applications; it keeps no
    reference to any.

    :param registry: whose variables are counted and shown, the default one's unless given.
    :param url_prefix: where the pages are.
    :param prefix: what the names of the middleware's variables begin with.
    :param trace_header: the response header that tells a trace's id, none unless given.
    :param decorators: see :func:`~flask_expvar.blueprint`.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        registry: Registry | None = None,
        url_prefix: str = "/debug",
        prefix: str = "http",
        trace_header: str | None = None,
        decorators: Sequence[Callable[[View], View]] = (),
    ) -> None:
        self.registry = registry if registry is not None else default_registry
        self._url_prefix = url_prefix
        self._prefix = prefix
        self._trace_header = trace_header
        self._decorators = decorators
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Set up *app*.

        :raises SettingError: if one of its settings is wrong.
        :raises ValueError: if it has been set up already.
        """
        pages = blueprint(
            registry=self.registry, url_prefix=self._url_prefix, decorators=self._decorators
        )
        app.register_blueprint(pages)
        app.wsgi_app = ExpvarMiddleware(  # type: ignore[method-assign]  # as Flask's docs do
            app.wsgi_app,
            registry=self.registry,
            prefix=self._prefix,
            trace_header=self._trace_header,
        )
        app.extensions["expvar"] = self
