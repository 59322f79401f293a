"""Mounting: the blueprint that puts the pages into an application."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flask import Blueprint

from ..variables.registry import Registry, default_registry
from .views import Mount, View


def blueprint(
    *,
    registry: Registry | None = None,
    name: str = "expvar",
    url_prefix: str = "/debug",
    decorators: Sequence[Callable[[View], View]] = (),
) -> Blueprint:
    """Return the debug pages, to be registered on an application.

    ::

        app.register_blueprint(expvar.blueprint())  # /debug/…

    Registering makes *registry* share with the other workers of the server. Nobody may look
    until a setting says so: see ``EXPVAR_ACCESS``.

    :param registry: whose variables are shown, the default one's unless given.
    :param name: of the blueprint; a second mount in one application needs another.
    :param decorators: such as ``login_required`` of Flask-Login, the outermost last: they decide
        in place of ``EXPVAR_ACCESS`` who may come, and what they answer goes out as it is.
    """
    shown = registry if registry is not None else default_registry
    made = Blueprint(name, __name__, url_prefix=url_prefix)
    made.record(lambda state: Mount(shown, decorators).register(state))
    return made
