"""``/debug/traces``: what happened, in every worker: families, lists, latencies, one trace."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..traces.tracer import tracer_of
from ..variables.reading import Part
from ..variables.registry import Registry
from .page import Query, Scene
from .traces_dead import dead_html, tell_dead
from .traces_list import merge_lists, tell_list
from .traces_matrix import (
    latency_data,
    matrix_data,
    merge_families,
    sorted_families,
    tell_families,
)  # fmt: skip
from .traces_plain import public
from .traces_question import LATENCY, LIST, MATRIX, TRACE, WINDOWS, Question, question
from .traces_table import latency_html, list_html, matrix_html
from .traces_timeline import trace_html
from .traces_tree import merge_trace, tell_trace
from .vars import JSON


class Traces:
    """The page of traces."""

    name = "traces"
    title = "Traces"
    about = "What happened: requests and other work by family and latency, and one at a time"

    def wants(self, scene: Scene, part: Part) -> bool:
        """Ask every worker: traces are in no file.

        :raises ParameterError: before anybody is asked, if a parameter is not allowed.
        """
        question(scene.query)
        return True

    def collect(self, registry: Registry, query: Query) -> Any:
        """Return this process's part, whose form depends on the view."""
        asked, tracer = question(query), tracer_of(registry)
        if asked.view == TRACE:
            found = tell_trace(tracer, asked, query.sensitive)
            known = [] if found else [public(each.name) for each in tracer.families()]
            return {"found": found, "families": known}
        if asked.view == LIST:
            return tell_list(tracer, asked, query.sensitive)
        return tell_families(tracer, asked.family if asked.view == LATENCY else "")

    def machine(self, scene: Scene, twin: bool) -> tuple[str, str]:
        """Return what all workers told, as JSON."""
        data = told(scene, question(scene.query))
        workers = [part.pid for part in scene.workers]
        data = {**data, **_dead(scene), "workers": workers, "missing": scene.missing}
        return json.dumps(data, allow_nan=False, sort_keys=True) + "\n", JSON

    def html(self, scene: Scene) -> dict[str, Any]:
        """Return the data of the view's template: what the JSON has, as people read it."""
        asked = question(scene.query)
        # The matrix shows the percentiles of one window: those of all take half of its time.
        windows = (asked.window,) if asked.view == MATRIX else WINDOWS
        shown = {
            MATRIX: matrix_html, LIST: list_html, LATENCY: latency_html, TRACE: trace_html
        }[asked.view](told(scene, asked, windows), asked)  # fmt: skip
        kept = asked.same(worker="")
        none: dict[str, Any] = {"deaths": [], "of": 0}
        dead = None
        if asked.view == MATRIX:
            dead = scene.section("Workers that died", lambda: dead_html(_dead(scene)), none)
        return {"view": asked.view, "keep": kept[1:], "now": scene.now, "dead": dead, **shown}


def _dead(scene: Scene) -> dict[str, Any]:
    if question(scene.query).view != MATRIX:
        return {}
    return tell_dead(scene.registry, scene.only.pid if scene.only else None)


def told(scene: Scene, asked: Question, windows: Sequence[str] = WINDOWS) -> dict[str, Any]:
    """Return what the workers that answered know of what is asked.

    :param windows: those whose percentiles are wanted.
    :raises UnknownError: if none of them knows it.
    """
    answers = {pid: scene.answers[pid] for pid in sorted(scene.answers)}
    if asked.view == TRACE:
        return merge_trace(answers, asked, scene.missing)
    if asked.view == LIST:
        return merge_lists(answers, asked, scene.missing)
    families = merge_families(answers.values(), windows)
    if asked.view == LATENCY:
        return latency_data(families, asked.family, scene.missing)
    return matrix_data(sorted_families(families, asked.sort, asked.window))
