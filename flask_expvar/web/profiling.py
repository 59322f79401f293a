"""Profiling: the requests that take a profile, fetch one, or begin one in the background."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from flask import Response, request

from ..exceptions import BusyError, ParameterError, UnavailableError
from ..pages.arming import ACTIONS
from ..pages.page import Scene, look
from ..pages.profile import fetched
from ..pages.profile_forms import Form, form, tidy
from ..pages.profile_question import FORMATS, Wish, one_of, question, wish
from ..pages.vars_table import visible
from ..stacks.profile import Merge, merged
from ..variables.registry import Registry
from ..workers.hangup import hung_up
from ..workers.profiling import longest
from ..workers.rounds import Round, collect_profiles, stop_profiles
from .actions import form as posted
from .actions import refuse_foreign
from .answers import Problem, is_browser, plain
from .decision import Decision
from .origins import is_foreign

View = Callable[[Decision], Response]

#: What a URL says when a profile is to be taken at once.
TAKES = frozenset(("seconds", "mode", "engine", "format"))
FOREIGN = "A page of another site asked: open this address yourself to take a profile."


def profile_view(registry: Registry, show: View) -> View:
    """Return the view of ``/profile``: the page for people, and for programs a profile.

    :param show: answers with the page.
    """

    def view(decision: Decision) -> Response:
        given = request.args
        if given.get("id"):
            if "format" not in given and is_browser():
                return show(decision)
            return _kept(registry)
        if is_browser() and not TAKES & given.keys():
            return show(decision)
        return _taken(registry)

    return view


def _kept(registry: Registry) -> Response:
    scene = look(registry, request.args)
    asked = question(scene.query)
    format = one_of(scene.query, "format", FORMATS) or "text"
    merge, left = fetched(scene, asked.id)
    if left:
        raise Problem(409, f"This profile will be done in {left:.0f} s.", Retry_After="1")
    return answer(scene, merge, form(merge, format, "Profile"))


def _taken(registry: Registry) -> Response:
    scene = look(registry, request.args)
    asked = wish(scene.query, format="html" if is_browser() else "text", seconds=usual(5.0))
    if request.method == "HEAD":
        return Response(status=200)  # looking at the head of a profile takes none
    merge = take(scene, asked)
    return answer(scene, merge, form(merge, asked.format, "Profile"))


def usual(seconds: float) -> float:
    """Return how long a profile takes if one does not say: no longer than this worker may wait."""
    return min(seconds, longest()[0])


def take(scene: Scene, asked: Wish) -> Merge:
    """Return a profile that is taken now; it ends early when the client hangs up.

    :raises Problem: if that is not possible, or another site's page asks.
    """
    # Even as somebody's click on a link: a profile starts work.
    if is_foreign(request.environ, navigation=False):
        raise Problem(403, FOREIGN)
    environ = request.environ
    try:
        profiles, scene.missing = collect_profiles(
            scene.registry,
            asked.seconds,
            asked.mode,
            asked.engine,
            None if scene.only is None else scene.only.pid,
            until=lambda: hung_up(environ),
        )
    except BusyError as error:
        raise Problem(409, f"{error}.", Retry_After="5") from error
    except UnavailableError as error:
        raise Problem(501, f"{error}.") from error
    return merged(map(tidy, profiles))


def answer(scene: Scene, merge: Merge, made: Form) -> Response:
    """Return a profile as it is sent, with the workers that it speaks for."""
    response = Response(made.body, content_type=made.media_type)
    response.headers.extend(made.headers)
    response.headers["X-Expvar-Workers"] = " ".join(map(str, merge.workers))
    if scene.missing:
        response.headers["X-Expvar-Missing"] = " ".join(map(str, scene.missing))
    return response


def profile_post(registry: Registry, act: View) -> View:
    """Return the view that begins a profile in the background, or ends one.

    It changes nothing in the program, so who may look may do it.

    :param act: does the page's actions, which need more.
    """

    def post(decision: Decision) -> Response:
        fields = posted()
        if fields.get("action") in ACTIONS:
            return act(decision)
        refuse_foreign()
        for name, value in request.args.items():
            fields.setdefault(name, value)
        action = fields.pop("action", "start")
        scene = look(registry, fields)
        if action == "start":
            return _begin(scene)
        if action == "stop":
            return _end(scene)
        raise ParameterError("action", action, ", ".join(("start", "stop", *ACTIONS)))

    return post


def _begin(scene: Scene) -> Response:
    asked = wish(scene.query)
    only = None if scene.only is None else scene.only.pid
    try:
        begun = Round(
            scene.registry, asked.seconds, asked.mode, asked.engine, only=only, background=True
        )
    except BusyError as error:
        raise Problem(409, f"{error}.") from error
    except UnavailableError as error:
        raise Problem(501, f"{error}.") from error
    return _see(begun.id)


def _end(scene: Scene) -> Response:
    asked = question(scene.query)
    if not asked.id:
        raise ParameterError("id", "", "the id of a profile that is being taken")
    stop_profiles(scene.registry, asked.id)
    return _see(asked.id)


def _see(id: str) -> Response:
    response = plain(303, visible(id))
    response.headers["Location"] = f"profile?{urlencode({'id': id})}"
    response.autocorrect_location_header = False
    return response
