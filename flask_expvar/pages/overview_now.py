"""What the overview shows of now: the latest errors, the slowest requests, the last of the dead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..traces.tracer import tracer_of
from ..variables.history import history_of
from ..variables.registry import Registry
from .links import query_string
from .moments import iso, when
from .overview_queues import tell_depths
from .page import Query, Scene, told_of
from .traces_dead import dead_html, tell_dead
from .traces_list import merge_lists, tell_list
from .traces_question import Question, question
from .trends import SPANS, merged, span_of
from .vars_table import seconds, visible

ERRORS, SLOWEST, DEATHS = 10, 5, 3
#: The variables of the charts.
CHARTED = (
    "http/requestCount",
    "http/responseCodeCount",
    "http/requestSeconds",
    "http/requestsInFlight",
)
TILED = CHARTED[:3]
#: What the sections that workers tell of are called.
TOLD = {
    "second": "The last minute",
    "history": "The past",
    "failed": "Errors",
    "running": "What runs",
    "queues": "Queues",
}


def failed_question() -> Question:
    """Return what the list of errors asks of the traces."""
    return question(Query({"b": "-2", "limit": str(ERRORS)}))


def running_question() -> Question:
    """Return what the list of running work asks of the traces."""
    return question(Query({"b": "-1", "limit": str(SLOWEST)}))


def tell_now(registry: Registry, query: Query) -> dict[str, Any]:
    """Return this process's part: its history, its errors, and what it is doing."""
    history, tracer = history_of(registry), tracer_of(registry)
    history.tick()  # a process without siblings has no thread that does
    span = span_of(query)
    sections: dict[str, Callable[[], Any]] = {
        "second": lambda: history.tell(1, TILED, parts=True),
        "history": lambda: history.tell(SPANS[span], CHARTED, parts=True),
        "failed": lambda: tell_list(tracer, failed_question(), query.sensitive, most_events=0),
        "running": lambda: tell_list(tracer, running_question(), query.sensitive, most_events=0),
        "queues": lambda: tell_depths(registry, query),
    }
    return {name: section(make, query.sensitive) for name, make in sections.items()}


def section(make: Callable[[], Any], sensitive: bool) -> Any:
    """Return what *make* returns; what it raises costs this section of the page alone."""
    try:
        return make()
    except Exception as error:
        return {"error": told_of(error, sensitive)}


def unmade(scene: Scene) -> dict[str, str]:
    """Return which sections workers could not tell of, and why."""
    return {
        f"{TOLD.get(name, name)} of worker {pid}": told["error"]
        for pid, answer in scene.answers.items()
        for name, told in answer.items()
        if isinstance(told, dict) and "error" in told
    }


def whole(answers: Mapping[int, Mapping[str, Any]], name: str) -> dict[int, Any]:
    """Return one section of all workers that have it."""
    return {
        pid: answer[name]
        for pid, answer in answers.items()
        if isinstance(answer, dict) and "error" not in answer.get(name, {"error": ""})
    }


def trends(answers: Mapping[int, Mapping[str, Any]], name: str) -> dict[str, Any]:
    """Return the histories of all workers as one."""
    return merged(whole(answers, name).values())


def failures(answers: Mapping[int, Mapping[str, Any]], keep: str) -> list[dict[str, Any]]:
    """Return the latest errors of all workers."""
    found = merge_lists(whole(answers, "failed"), failed_question())["traces"]
    return [_row(trace, keep) for trace in found]


def slowest(answers: Mapping[int, Mapping[str, Any]], keep: str) -> list[dict[str, Any]]:
    """Return what has been running for longest, in all workers."""
    found = merge_lists(whole(answers, "running"), running_question())["traces"]
    return [_row(trace, keep) for trace in found]


def _row(trace: Mapping[str, Any], keep: str) -> dict[str, Any]:
    return {
        "href": "traces" + query_string({"worker": keep, "trace": trace["id"]}),
        "family": visible(trace["family"]),
        "title": visible(trace["title"])[:200],
        "error": visible(trace["error"] or ""),
        "when": when(trace["start"])[:19],
        "iso": iso(trace["start"]),
        "seconds": trace["seconds"],
        "took": seconds(trace["seconds"]),
        "worker": trace["worker"],
    }


def dead(registry: Registry, pid: int | None) -> dict[str, Any]:
    """Return the latest deaths with the requests that died with their workers."""
    told = tell_dead(registry, pid)
    told["dead"] = told["dead"][:DEATHS]
    return dead_html(told)
