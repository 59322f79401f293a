"""Frames: what stands around every page."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from typing import Any

from flask import current_app, request

from ..pages.moments import duration
from ..pages.own import own_pages
from ..pages.page import Page, Scene
from ..variables.registry import Registry
from .files import version
from .tickets import COOKIE


class Frames:
    """Makes what stands around the pages of one registry."""

    def __init__(self, registry: Registry, pages: Mapping[str, Page]) -> None:
        self._registry = registry
        self._pages = pages

    def frame(
        self, title: str, name: str | None, found: Scene | None, began: float
    ) -> dict[str, Any]:
        """Return the data of frame.html.

        :param name: of the page, None if it is none.
        :param found: what the page was made of, None if of nothing.
        :param began: when its making began, on time.perf_counter().
        """
        now = time.time()
        workers = found.workers if found else []
        rest = (request.view_args or {}).get("rest", "")
        query = request.query_string.decode("latin-1")
        return {
            "title": title,
            "app": current_app.name,
            "host": socket.gethostname(),
            "base": "../" * rest.count("/"),
            "pages": [
                {
                    "name": page.name or "overview",
                    "title": page.title,
                    "href": page.name or "./",
                    "current": page.name == name,
                }
                for page in (*self._pages.values(), *own_pages(self._registry).values())
            ],
            "workers": [
                {"pid": part.pid, "uptime": duration(now - part.started_ns / 1e9)}
                for part in workers
            ],
            "missing": found.missing if found else [],
            "only": found.only.pid if found and found.only else None,
            "notes": found.notes if found else [],
            "version": version(),
            "logged_in": COOKIE in request.cookies,
            "rendered": time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(now)),
            "render_ms": (time.perf_counter() - began) * 1000,
            "json": f"{name or ''}.json{'?' + query if query else ''}" if found else "",
        }
