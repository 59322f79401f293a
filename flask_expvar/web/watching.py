"""Watching: the pages in a process of its own, which only asks the workers and presents."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.test import Client

from ..pages.metrics import configure
from ..settings import Settings
from ..variables.registry import default_registry
from ..workers.membership import membership
from .monitor import Listener, app_of
from .views import Mount


def watching_app(directory: Path, settings: Settings) -> Flask:
    """Return an application with the pages of the workers that share *directory*.

    :param settings: those of the listener that it is for.
    :raises StoreError: if no workers share that folder.
    :raises SettingError: if the address needs a token, and there is none.
    """
    membership(default_registry).watch(directory)
    mount = Mount(default_registry)
    configure(mount._pages, settings)
    return app_of(mount.add_routes, Flask("monitor"), settings)


def ask(directory: Path, path: str, accept: str) -> tuple[int, Any, bytes]:
    """Return status, headers and body of a page below ``/debug/``, without a server.

    :raises StoreError: if no workers share that folder.
    :raises SettingError: if a setting in the environment is wrong.
    """
    settings = Settings.load({"EXPVAR_MONITORING_ADDRESS": "unix:/nowhere"}, os.environ)
    client = Client(watching_app(directory, settings))
    answer = client.get(f"/debug/{path}", headers={"Accept": accept})
    return answer.status_code, answer.headers, answer.get_data()


def serve(directory: Path, address: str, settings: Settings) -> None:
    """Show the pages at *address* until the process is ended."""
    listener = Listener(address, watching_app(directory, settings))
    try:
        while True:
            listener.tick(None)
            time.sleep(1)
    finally:
        listener.close()
