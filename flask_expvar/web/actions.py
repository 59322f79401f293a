"""Actions: what a page may change in the processes, if it is allowed to."""

from __future__ import annotations

import json
from typing import Any

from flask import Response, request

from ..exceptions import ParameterError
from ..pages.page import Acting, act_everywhere
from ..variables.registry import Registry
from .decision import Decision, Level
from .login import LONGEST_FORM
from .origins import is_foreign


class ForbiddenError(Exception):
    """Raised for what this client, or nobody, may do; the text says why."""


def act(page: Acting, registry: Registry, allowed: tuple[str, ...], decision: Decision) -> Response:
    """Do what the form that was sent asks of *page*, in all workers or in one.

    :param allowed: the words of ``EXPVAR_ACTIONS``.
    :raises ForbiddenError: if that may not be done.
    :raises ParameterError: if the form is wrong.
    :raises UnknownError: if the worker asked for is not there.
    """
    # Go's rule for every POST, whoever asks: a token in a browser's hands is no exception.
    if is_foreign(request.environ, navigation=False):
        raise ForbiddenError("A page of another site asked; use the form of this page.")
    if decision.level < Level.ACT:
        raise ForbiddenError("Actions need the level ACT.")
    if not 0 < (request.content_length or 0) <= LONGEST_FORM:
        raise ParameterError("action", "", f"a form of at most {LONGEST_FORM} bytes")
    form = request.form.to_dict()
    name = form.pop("action", "")
    if name not in page.actions:
        raise ParameterError("action", name, ", ".join(page.actions))
    word = page.actions[name]
    if word and word not in allowed:
        raise ForbiddenError(f"EXPVAR_ACTIONS does not allow {word}: set it to ['{word}'].")
    answers, missing = act_everywhere(page, registry, name, form)
    return _told(name, answers, missing)


def _told(name: str, answers: dict[int, Any], missing: list[int]) -> Response:
    if "text/html" in request.headers.get("Accept", ""):
        response = Response("Done.\n", status=303, content_type="text/plain; charset=utf-8")
        # Relative: whatever prefix a proxy has taken away.
        response.headers["Location"] = request.path.rpartition("/")[2]
        return response
    told = {"action": name, "workers": {str(pid): answers[pid] for pid in answers},
            "missing": missing}  # fmt: skip
    return Response(json.dumps(told) + "\n", content_type="application/json; charset=utf-8")
