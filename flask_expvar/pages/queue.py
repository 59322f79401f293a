"""``/debug/queue``: what waits in the application's queues, and why."""

from __future__ import annotations

import json
from typing import Any

from ..variables.reading import Part
from ..variables.registry import Registry
from .page import Query, Scene
from .queue_plain import merge_queues, tell_queues
from .queue_question import Question, question
from .queue_table import table
from .queue_text import text
from .registered import registered
from .vars import JSON

PLAIN = "text/plain; charset=utf-8"


class Queue:
    """The page of queues."""

    name = "queue"
    title = "Queue"
    about = "What waits in the queues that the application has registered, the oldest first"

    def off(self, registry: Registry) -> str:
        """Return how to turn this page on, empty if there is something to see."""
        return "" if registered(registry).queues else "register a queue with register_queue()"

    def wants(self, scene: Scene, part: Part) -> bool:
        """Ask every worker: each may have queues of its own.

        :raises ParameterError: before anybody is asked, if a parameter is not allowed.
        """
        question(scene.query)
        return True

    def collect(self, registry: Registry, query: Query) -> Any:
        """Return what this process knows of its queues."""
        asked = question(query)
        queues = registered(registry).queues
        return tell_queues(queues, asked, speaks=query.speaks, sensitive=query.sensitive)

    def machine(self, scene: Scene, twin: bool) -> tuple[str, str]:
        """Return chasquid's text, or the same as JSON."""
        asked = question(scene.query)
        sections = told(scene, asked)
        if not twin:
            return text(sections, scene.missing, scene.now), PLAIN
        data = {
            "now": scene.now,
            "queues": sections,
            "page": asked.page,
            "limit": asked.limit,
            "workers": [part.pid for part in scene.workers],
            "missing": scene.missing,
        }
        return json.dumps(data, allow_nan=False, sort_keys=True) + "\n", JSON

    def html(self, scene: Scene) -> dict[str, Any]:
        """Return the data of the template: what the JSON has, as people read it."""
        asked = question(scene.query)
        kept = asked.same(worker="")
        return {"keep": kept[1:], **table(told(scene, asked), asked, scene.sensitive)}


def told(scene: Scene, asked: Question) -> list[dict[str, Any]]:
    """Return the queues of all workers that answered.

    :raises UnknownError: if there is no such queue.
    """
    return merge_queues(scene.answers, asked, scene.missing)
