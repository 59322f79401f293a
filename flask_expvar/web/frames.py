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
from ..variables.history import history_of
from ..variables.registry import Registry
from .actions import buttons, did
from .decision import Level
from .files import version
from .framing import extras
from .tickets import COOKIE


class Frames:
    """Makes what stands around the pages of one registry."""

    def __init__(self, registry: Registry, pages: Mapping[str, Page]) -> None:
        self._registry = registry
        self._pages = pages
        #: Seconds of CPU time that looking has cost this worker.
        self.spent = 0.0

    def frame(
        self,
        title: str,
        page: Page | None,
        found: Scene | None,
        began: float,
        *,
        level: Level = Level.READ,
        allowed: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """Return the data of frame.html.

        :param page: None if it is none.
        :param found: what the page was made of, None if of nothing.
        :param began: when its making began, on time.perf_counter().
        :param level: what who asks may do.
        :param allowed: the words of ``EXPVAR_ACTIONS``.
        """
        name = page.name if page is not None else None
        done, undone = did(page)
        now = time.time()
        workers = found.workers if found else []
        rest = (request.view_args or {}).get("rest", "")
        base = "../" * rest.count("/")
        query = request.query_string.decode("latin-1")
        twin = f"{name or ''}.json{'?' + query if query else ''}" if found else ""
        return {
            **extras(request, found, twin),
            "title": title,
            "app": current_app.name,
            "host": socket.gethostname(),
            "base": base,
            "did": done,
            "actions": buttons(page, level, allowed, base),
            "pages": [
                {
                    "name": each.name or "overview",
                    "title": each.title,
                    "href": each.name or "./",
                    "current": each.name == name,
                    "off": each.off(self._registry) if hasattr(each, "off") else "",
                }
                for each in (*self._pages.values(), *own_pages(self._registry).values())
            ],
            "workers": [
                {"pid": part.pid, "uptime": duration(now - part.started_ns / 1e9)}
                for part in workers
            ],
            "missing": found.missing if found else [],
            "only": found.only.pid if found and found.only else None,
            "notes": [*(found.notes if found else []), *filter(None, [undone])],
            "version": version(),
            "logged_in": COOKIE in request.cookies,
            "rendered": time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(now)),
            "render_ms": (time.perf_counter() - began) * 1000,
            "json": twin,
            "cost": self.spent + history_of(self._registry).cost,
        }
