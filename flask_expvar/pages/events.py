"""``/debug/events``: what happened to long-lived objects, in every worker."""

from __future__ import annotations

import json
from typing import Any

from ..traces.events import EventLogs, event_logs_of
from ..variables.reading import Part
from ..variables.registry import Registry
from ..workers.membership import membership
from .events_arbiter import arbiters_of
from .events_plain import (
    merge_families,
    merge_lists,
    merge_log,
    tell_families,
    tell_list,
    tell_log,
)  # fmt: skip
from .events_question import LIST, LOG, MATRIX, Question, question
from .events_table import list_html, log_html, matrix_html
from .page import Query, Scene
from .vars import JSON


class Events:
    """The page of event logs."""

    name = "events"
    title = "Events"
    about = "What happened to long-lived objects: event logs by the age of their last error"

    def wants(self, scene: Scene, part: Part) -> bool:
        """Ask every worker: event logs are in no file.

        :raises ParameterError: before anybody is asked, if a parameter is not allowed.
        """
        question(scene.query)
        return True

    def collect(self, registry: Registry, query: Query) -> Any:
        """Return this process's part, whose form depends on the view."""
        return _tell(event_logs_of(registry), question(query), query.sensitive)

    def machine(self, scene: Scene, twin: bool) -> tuple[str, str]:
        """Return what all workers told, as JSON."""
        data = told(scene, question(scene.query))
        workers = [part.pid for part in scene.workers]
        data = {**data, "workers": workers, "missing": scene.missing}
        return json.dumps(data, allow_nan=False, sort_keys=True) + "\n", JSON

    def html(self, scene: Scene) -> dict[str, Any]:
        """Return the data of the view's template: what the JSON has, as people read it."""
        asked = question(scene.query)
        shown = {MATRIX: matrix_html, LIST: list_html, LOG: log_html}[asked.view]
        kept = asked.same(worker="")
        return {"view": asked.view, "keep": kept[1:], **shown(told(scene, asked), asked)}


def _tell(logs: EventLogs, asked: Question, sensitive: bool) -> Any:
    if asked.view == LOG:
        return tell_log(logs, asked, sensitive)
    if asked.view == LIST:
        return tell_list(logs, asked, sensitive)
    return tell_families(logs)


def _arbiters(scene: Scene, asked: Question) -> dict[int, Any]:
    """Return what the arbiters' journals tell, as the workers would."""
    member = membership(scene.registry).member
    if member is None or scene.only is not None:
        return {}
    every = arbiters_of(member.place.path)
    return {pid: _tell(logs, asked, scene.sensitive) for pid, logs in every.items()}


def told(scene: Scene, asked: Question) -> dict[str, Any]:
    """Return what the workers that answered know of what is asked.

    :raises UnknownError: if none of them knows it.
    """
    arbiters = _arbiters(scene, asked)
    answers = {**arbiters, **{pid: scene.answers[pid] for pid in sorted(scene.answers)}}
    if asked.view == LOG:
        return merge_log(answers, asked, scene.missing, arbiters)
    if asked.view == LIST:
        return merge_lists(answers, asked, arbiters, scene.missing)
    return merge_families(answers.values())
