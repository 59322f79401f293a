"""``/debug/NAME``: pages that the application has registered, with all that ours have."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from ..variables.reading import Part
from ..variables.registry import Registry
from .own_plain import ALL_BYTES, MOST_BYTES, merge_page, tell_page
from .own_table import Paper, sections
from .page import Page, Query, Scene
from .registered import Own, registered
from .texts import short
from .vars import JSON
from .vars_table import visible


class OwnPage:
    """A page of the application's own."""

    def __init__(self, own: Own) -> None:
        self._own = own
        self.name = own.name
        self.title = visible(own.title)
        self.about = visible(own.about)

    def wants(self, scene: Scene, part: Part) -> bool:
        """Ask every worker."""
        return True

    def collect(self, registry: Registry, query: Query) -> Any:
        """Return what the application's function returned in this process."""
        workers = sum(part.live and part.worker for part in registry.parts())
        room = min(MOST_BYTES, ALL_BYTES // (workers + 1))
        return tell_page(self._own, query.given, sensitive=query.sensitive, room=room)

    def machine(self, scene: Scene, twin: bool) -> tuple[str, str]:
        """Return what all workers told, as JSON."""
        data = {"name": self.name, "title": self.title, **merge_page(scene.answers, scene.missing)}
        return json.dumps(data, allow_nan=False, sort_keys=True) + "\n", JSON

    def html(self, scene: Scene) -> dict[str, Any]:
        """Return the data of the template: a part for each worker, or one if they are equal."""
        told = merge_page(scene.answers, scene.missing)
        paper, parts = Paper(), []
        for pid, data in told["workers"].items():
            cuts = told["cuts"].get(pid, {})
            problem = told["problems"].get(pid)
            parts.append({
                "worker": pid,
                "problem": None if problem is None else short(problem),
                "sections": sections(data, cuts, paper) if problem is None else [],
            })  # fmt: skip
            if told["equal"]:
                break
        given = {name: value for name, value in scene.query.given.items() if name != "worker"}
        return {
            "title": self.title,
            "keep": urlencode(given, errors="replace"),
            "parts": parts,
            "equal": told["equal"],
            "of": len(told["workers"]),
        }


def own_pages(registry: Registry) -> dict[str, Page]:
    """Return the pages that are registered for *registry*, by name."""
    return {name: OwnPage(own) for name, own in sorted(registered(registry).pages.items())}
