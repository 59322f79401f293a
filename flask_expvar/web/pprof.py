"""``/debug/pprof/``: what ``go tool pprof`` asks for, answered as it wants."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from flask import Response, request

from ..exceptions import ParameterError, UnknownError
from ..pages.memory import Memory
from ..pages.page import Page, Query, Scene, look, scene
from ..pages.pprof import (
    KNOWN,
    MISSING,
    OFF,
    memory_proto,
    memory_text,
    threads_of,
    threads_proto,
)
from ..pages.profile_forms import PLAIN, Form, form, proto
from ..pages.profile_question import LONGEST, wish
from ..pages.threads import Threads
from ..pages.vars_table import visible
from ..variables.registry import Registry
from ..variables.runtime import cmdline
from .answers import Problem, is_browser, plain
from .decision import Decision, Level
from .files import render
from .origins import is_foreign
from .profiling import FOREIGN, answer, take, usual

#: Go's: the tool asks for no other time unless it is told.
USUAL = 30.0
#: What Go says when it is busy; the tool shows it.
IN_USE = "Could not enable CPU profiling: cpu profiling already in use"
READS = ("GET", "HEAD")

Context = Callable[[str], Mapping[str, Any]]


class Pprof:
    """The addresses below ``/pprof/``.

    :param context: returns the data of the frame for a page with a title.
    """

    def __init__(self, registry: Registry, context: Context) -> None:
        self._registry = registry
        self._context = context

    def index(self, decision: Decision) -> Response:
        """Answer with what there is."""
        links = [{"name": name, "about": about, **_link(name)} for name, about in KNOWN.items()]
        if not is_browser():
            lines = [f"{each['name']}\t{each['about']}" for each in links]
            return plain(200, "\n".join(lines))
        frame = {**self._context("Profiles for go tool pprof"), "base": "../"}
        return Response(render("pprof", data={"links": links}, frame=frame), mimetype="text/html")

    def view(self, decision: Decision, name: str) -> Response:
        """Answer for one of them; what is wrong is said in the way that the tool shows."""
        try:
            if request.method not in READS and not (name == "symbol" and request.method == "POST"):
                raise Problem(405, "Only GET and HEAD are allowed here.", Allow="GET, HEAD")
            return self._named(name, decision)
        except Problem as problem:
            response = plain(problem.status, visible(problem.sentence))
            response.headers.update(problem.headers)
        except ParameterError as error:
            response = plain(400, visible(str(error)))
        except UnknownError as error:
            response = plain(404, visible(str(error)))
        return response

    def _named(self, name: str, decision: Decision) -> Response:
        if name in ("profile", "wall"):
            return self._profile(name)
        if name in ("heap", "allocs"):
            return self._memory(name, decision)
        if name in ("goroutine", "threads"):
            return self._threads(name, decision)
        if name == "cmdline":
            return Response("\0".join(cmdline()), content_type=PLAIN)
        if name == "symbol":
            # With one symbol or more the tool would ask for names, which are in every profile.
            return Response("num_symbols: 1\n", content_type=PLAIN)
        if name in MISSING:
            raise UnknownError(f"Unknown profile: Python has no {name}, but {', '.join(KNOWN)}")
        raise UnknownError(f"Unknown profile; there are {', '.join(KNOWN)}")

    def _profile(self, name: str) -> Response:
        found = look(self._registry, request.args)
        mode = "cpu" if name == "profile" else "wall"
        asked = wish(found.query, seconds=usual(USUAL), mode=mode, format="pprof")
        if request.method == "HEAD":
            return _head(name)
        try:
            merge = take(found, asked)
        except Problem as problem:
            if problem.status != 409:
                raise
            raise Problem(409, f"{IN_USE}: {problem.sentence}", **problem.headers) from problem
        return answer(found, merge, form(merge, asked.format, name, name))

    def _memory(self, name: str, decision: Decision) -> Response:
        seconds, debug = _delta(Query(request.args))
        if request.method == "HEAD":
            return _head(name)
        given = {**_kept("worker", "gc"), "heap": "1"}
        before = self._scene(Memory(), given, decision)
        if not any(told["tracing"] for told in before.answers.values()):
            raise Problem(501, OFF)
        if debug:
            return _send(before, Form(memory_text(before), PLAIN))
        if not seconds:
            return _send(before, proto(memory_proto(before, None, 0.0), name))
        time.sleep(seconds)
        now = self._scene(Memory(), given, decision)
        return _send(now, proto(memory_proto(now, before, seconds), f"{name}-delta"))

    def _threads(self, name: str, decision: Decision) -> Response:
        seconds, debug = _delta(Query(request.args))
        if request.method == "HEAD":
            return _head(name)
        page, given = Threads(), _kept("worker")
        found = self._scene(page, {**given, **({"debug": str(debug)} if debug else {})}, decision)
        if debug:
            return _send(found, Form(*page.machine(found, False)))
        if not seconds:
            return _send(found, proto(threads_proto(name, threads_of(found)), name))
        before = threads_of(found)
        time.sleep(seconds)
        found = self._scene(page, given, decision)
        return _send(found, proto(threads_proto(name, threads_of(found), before), f"{name}-delta"))

    def _scene(self, page: Page, given: Mapping[str, str], decision: Decision) -> Scene:
        return scene(page, self._registry, given, sensitive=decision.level >= Level.SENSITIVE)


def marked(view: Callable[..., Response]) -> Callable[..., Response]:
    """Let the tool show what is wrong, a refusal at the gate too: it looks for this header."""

    def shown(**values: str) -> Response:
        response = view(**values)
        if response.status_code >= 400 and not is_browser():
            response.headers["X-Go-Pprof"] = "1"
            response.headers["Content-Type"] = PLAIN
        return response

    return shown


def _delta(query: Query) -> tuple[float, int]:
    """Return how long after the first look there is a second one, and which text is wanted.

    :raises ParameterError: if they are not allowed, or both are asked for.
    """
    debug = query.whole("debug", 0, 2) or 0
    seconds = query.duration("seconds")
    if "seconds" not in query.given:
        return 0.0, debug
    most = usual(LONGEST)
    if not seconds or seconds > most:
        allowed = f"more than 0 and at most {most:g}"
        raise ParameterError("seconds", query.given["seconds"], allowed)
    if debug:
        raise ParameterError("debug", str(debug), "0: seconds and debug params are incompatible")
    if request.method != "HEAD" and is_foreign(request.environ, navigation=False):
        raise Problem(403, FOREIGN)
    return seconds, debug


def _kept(*names: str) -> dict[str, str]:
    return {name: request.args[name] for name in names if name in request.args}


def _link(name: str) -> dict[str, str]:
    text = name in ("goroutine", "threads", "heap", "allocs")
    takes = name in ("profile", "wall")
    return {"href": f"{name}?debug=1" if text else f"{name}?seconds=5" if takes else name}


def _head(name: str) -> Response:
    """Return the head of what GET would answer, which takes nothing."""
    return Response(headers=proto(b"", name).headers, content_type="application/octet-stream")


def _send(found: Scene, made: Form) -> Response:
    response = Response(made.body, content_type=made.media_type, headers=made.headers)
    response.headers["X-Expvar-Workers"] = " ".join(str(part.pid) for part in found.workers)
    if found.missing:
        response.headers["X-Expvar-Missing"] = " ".join(map(str, found.missing))
    return response
