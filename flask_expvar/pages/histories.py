"""Histories: what every worker tells of the past of some variables, asked for beside a page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ..variables.history import history_of
from ..variables.reading import Part
from ..variables.registry import Registry
from ..workers.membership import membership
from ..workers.sockets import DEADLINE
from .page import Query, Scene
from .trends import merged
from .vars_filter import Filter

#: So many variables are asked for at once: 200 take 4 ms of each worker.
MOST = 200


class Histories:
    """What a worker asks its siblings; there is no such page for anybody else."""

    name = "(history)"
    title = about = ""

    def wants(self, scene: Scene, part: Part) -> bool:
        """Ask every worker."""
        return True

    def collect(self, registry: Registry, query: Query) -> Any:
        """Return this process's points of the variables named ``0``, ``1`` …."""
        names = [name for key, name in query.given.items() if key.isdecimal()]
        history = history_of(registry)
        history.tick()  # a process without siblings has no thread that does
        step = int(query.choice("step", "1", "5", "15") or 5)
        return packed(history.tell(step, names[:MOST], parts=query.flag("parts")))

    def machine(self, scene: Scene, twin: bool) -> tuple[str, str]:
        """Return nothing: nobody can ask for it."""
        return "", "text/plain"

    def html(self, scene: Scene) -> dict[str, Any]:
        """Return nothing: nobody can ask for it."""
        return {}


class Changes(Histories):
    """What a worker asks its siblings: which of their variables have changed."""

    name = "(changes)"

    def collect(self, registry: Registry, query: Query) -> Any:
        """Return the names of this process's variables that have changed."""
        return history_of(registry).changed(float(query.given["since"]))


def changed_names(scene: Scene, asked: Filter) -> set[str] | None:
    """Return what has changed since the moment that is asked for, None if none is.

    Numbers by the histories of the workers, texts by when they were set. Of functions, and of
    what the runtime publishes, nobody knows what they were.
    """
    if asked.moment is None:
        return None
    if asked.since == "now":
        return set()
    texts = {
        each["path"][0]
        for told in scene.answers.values()
        for each in told
        if each["when"] / 1e9 >= asked.moment
    }
    numbers = _ask(scene, Changes(), {"since": repr(asked.moment)})
    return texts | {name for names in numbers for name in names}


def ask_histories(scene: Scene, names: Sequence[str], step: int, parts: bool) -> dict[str, Any]:
    """Return the histories of some variables over the workers that the page is about.

    Those that do not answer are missing from the page.
    """
    given = {"step": str(step), "parts": str(int(parts))}
    given |= {str(number): name for number, name in enumerate(names[:MOST])}
    return merged(map(unpacked, _ask(scene, Histories(), given)))


def packed(told: dict[str, Any]) -> dict[str, Any]:
    """Return a history without the points of the counters that stand still, which are many."""
    series = {
        name: {**each, "points": None} if each["points"] == told["still"] else each
        for name, each in told["series"].items()
    }
    return {**told, "series": series}


def unpacked(told: dict[str, Any]) -> dict[str, Any]:
    """Return a history with all of its points."""
    series = {
        name: {**each, "points": told["still"]} if each["points"] is None else each
        for name, each in told["series"].items()
    }
    return {**told, "series": series}


def _ask(scene: Scene, page: Histories, given: dict[str, str]) -> list[Any]:
    own = os.getpid()
    others = [part for part in scene.workers if part.pid != own and part.pid not in scene.missing]
    request = {"page": page.name, "query": given}
    answers = membership(scene.registry).ask(others, request, DEADLINE)
    found = []
    for part in others:
        answer = answers.get(part.slot)
        if isinstance(answer, dict) and "data" in answer:
            found.append(answer["data"])
        else:
            scene.missing.append(part.pid)
    if any(part.pid == own for part in scene.workers):
        found.append(page.collect(scene.registry, Query(given)))
    return found
