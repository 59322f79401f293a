"""Actions: what a page may change in the processes, if it is allowed to."""

from __future__ import annotations

import json
from typing import Any

from flask import Response, request
from werkzeug.exceptions import HTTPException

from ..exceptions import ParameterError
from ..pages.page import Acting, act_everywhere
from ..variables.registry import Registry
from .answers import Problem
from .decision import Decision, Level
from .origins import is_foreign

#: A form of ours has a few short fields.
LONGEST_FORM = 64 * 1024
FOREIGN = (
    "A page of another site asked, or a proxy changed the Host on the way here:"
    " with nginx it takes 'proxy_set_header Host $http_host'."
)


def act(page: Acting, registry: Registry, allowed: tuple[str, ...], decision: Decision) -> Response:
    """Do what the form that was sent asks of *page*, in all workers or in one.

    :param allowed: the words of ``EXPVAR_ACTIONS``.
    :raises Problem: if that may not be done.
    :raises ParameterError: if a field of the form is not allowed.
    :raises UnknownError: if the worker asked for is not there.
    """
    refuse_foreign()
    if decision.level < Level.ACT:
        raise Problem(403, "You may look here, but not change anything.")
    fields = form()
    name = fields.pop("action", "")
    if name not in page.actions:
        raise ParameterError("action", name, ", ".join(page.actions))
    if why := missing_word(page.actions[name], allowed):
        raise Problem(403, why)
    answers, missing = act_everywhere(page, registry, name, fields)
    return _told(name, answers, missing)


def refuse_foreign() -> None:
    """Apply Go's cross-origin rule to what is sent, whoever asks.

    :raises Problem: if another site's page made the browser send it.
    """
    if is_foreign(request.environ, navigation=False):
        raise Problem(403, FOREIGN)


def form() -> dict[str, str]:
    """Return the fields of the form that was sent; of one that is given twice the first counts.

    :raises Problem: if it is too long or cannot be read.
    """
    if request.content_length is None and "HTTP_TRANSFER_ENCODING" in request.environ:
        raise Problem(411, "Send the form with a Content-Length.")
    if (request.content_length or 0) > LONGEST_FORM:
        raise Problem(413, f"A form has at most {LONGEST_FORM} bytes.")
    try:
        return dict(request.form.items())
    except HTTPException as error:
        raise Problem(error.code or 400, "The form cannot be read.") from error


def missing_word(word: str, allowed: tuple[str, ...]) -> str:
    """Say what has to be set for an action that needs *word*; empty if nothing has."""
    if not word or word in allowed:
        return ""
    return f"EXPVAR_ACTIONS does not allow {word}: set it to ['{word}']."


def _told(name: str, answers: dict[int, Any], missing: list[int]) -> Response:
    if "text/html" in request.headers.get("Accept", ""):
        response = Response("Done.\n", status=303, content_type="text/plain; charset=utf-8")
        # Relative: whatever prefix a proxy has taken away.
        response.headers["Location"] = request.path.rpartition("/")[2]
        return response
    told = {"action": name, "workers": {str(pid): answers[pid] for pid in answers},
            "missing": missing}  # fmt: skip
    return Response(json.dumps(told) + "\n", content_type="application/json; charset=utf-8")
