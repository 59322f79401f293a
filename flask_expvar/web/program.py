"""Program: an application as the page of configuration asks it, in any thread."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..settings import Settings
from ..sources.config import Rule

if TYPE_CHECKING:
    from flask.sansio.app import App


class FlaskApp:
    """A Flask application that may go: its pages do not keep it."""

    def __init__(self, app: App) -> None:
        self.name = app.name
        self._app = weakref.ref(app)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FlaskApp) and self._app == other._app

    def __hash__(self) -> int:
        return hash(self._app)

    def config(self) -> Mapping[Any, Any] | None:
        """Return a copy of its configuration, None if it is gone."""
        app = self._app()
        return None if app is None else dict(app.config)

    def show(self) -> Sequence[str]:
        """Return what ``EXPVAR_SHOW`` says now.

        :raises SettingError: if a setting is wrong.
        """
        return Settings.load(self.config() or {}, os.environ).show

    def rules(self) -> list[Rule]:
        """Return its URL map."""
        app = self._app()
        found = [] if app is None else app.url_map.iter_rules()
        return [
            Rule(
                "|".join(filter(None, (each.host or each.subdomain, each.rule))),
                sorted(each.methods or ()),
                each.endpoint,
            )
            for each in found
        ]
