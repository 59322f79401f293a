"""``/debug/threads``: what every thread of every worker is doing."""

from __future__ import annotations

import json
import time
from typing import Any

from ..stacks.threads import short_turns
from ..variables.reading import Part
from ..variables.registry import Registry
from ..workers.membership import membership
from .page import Query, Scene, scene
from .texts import clean
from .threads_plain import merge, tell
from .threads_question import Question, question
from .threads_table import html
from .threads_text import text
from .vars import JSON

#: Of the stack of one worker that does not answer, in characters.
LONGEST_STACK = 20_000
PLAIN = "text/plain; charset=utf-8"


class Threads:
    """The page of threads."""

    name = "threads"
    title = "Threads"
    about = "What every thread is doing: equal stacks together, with the request that each serves"

    def wants(self, scene: Scene, part: Part) -> bool:
        """Ask every worker.

        :raises ParameterError: before anybody is asked, if a parameter is not allowed.
        """
        question(scene.query)
        return True

    def collect(self, registry: Registry, query: Query) -> Any:
        """Return what runs in this process."""
        question(query)
        return tell(registry)

    def machine(self, scene: Scene, twin: bool) -> tuple[str, str]:
        """Return all threads as text in the manner of Go's, or as JSON."""
        asked = question(scene.query)
        first, last = self._looks(scene, asked)
        with short_turns():
            data = _data(first, last, asked)
            if not twin:
                return text(data, asked), PLAIN
            return json.dumps(data, allow_nan=False, sort_keys=True) + "\n", JSON

    def html(self, scene: Scene) -> dict[str, Any]:
        """Return the data of the template."""
        asked = question(scene.query)
        first, last = self._looks(scene, asked)
        with short_turns():
            shown = html(_data(first, last, asked), asked)
        scene.broken.update(last.broken)
        return shown

    def _looks(self, first: Scene, asked: Question) -> tuple[Scene | None, Scene]:
        """Return the look before the last one, if there is one, and the last one."""
        # Whoever did not answer once has already taken the time.
        if not asked.seconds or first.missing:
            return None, first
        time.sleep(asked.seconds)
        given, sensitive = first.query.given, first.sensitive
        return first, scene(self, first.registry, given, sensitive=sensitive)


def _data(first: Scene | None, last: Scene, asked: Question) -> dict[str, Any]:
    return {
        **merge(last.answers, None if first is None else first.answers),
        "seconds": 0.0 if first is None else asked.seconds,
        "workers": [part.pid for part in last.workers],
        "missing": last.missing,
        "stuck": last.section("Workers that stand still", lambda: stuck(last), []),
    }


def stuck(scene: Scene) -> list[dict[str, Any]]:
    """Return what could be learnt of the workers that did not answer."""
    missing = set(scene.missing) - set(scene.failed)
    silent = [part for part in scene.workers if part.pid in missing]
    return [
        {"pid": each.pid, "note": each.note, "stack": clean(each.stack, LONGEST_STACK)}
        for each in membership(scene.registry).stopped(silent)
    ]
