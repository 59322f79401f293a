"""Actions: what a page may change in the processes, if it is allowed to."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from flask import Response, request
from werkzeug.exceptions import HTTPException

from ..exceptions import ParameterError
from ..pages.page import Acting, Page, act_everywhere
from ..variables.registry import Registry
from .answers import Problem, is_browser
from .decision import Decision, Level
from .origins import is_foreign

#: A form of ours has a few short fields.
LONGEST_FORM = 64 * 1024
FOREIGN = (
    "A page of another site asked, or a proxy changed the Host on the way here:"
    " with nginx it takes 'proxy_set_header Host $http_host'."
)
TOO_LOW = "You may look here, but not change anything."


def act(page: Acting, registry: Registry, allowed: tuple[str, ...], decision: Decision) -> Response:
    """Do what the form that was sent asks of *page*, in all workers or in one.

    :param allowed: the words of ``EXPVAR_ACTIONS``.
    :raises Problem: if that may not be done.
    :raises ParameterError: if a field of the form is not allowed.
    :raises UnknownError: if the worker asked for is not there.
    """
    refuse_foreign()
    if decision.level < Level.ACT:
        raise Problem(403, TOO_LOW)
    fields = form()
    if "worker" in request.args:
        fields.setdefault("worker", request.args["worker"])
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
    if is_browser():
        response = Response("Done.\n", status=303, content_type="text/plain; charset=utf-8")
        told = {"did": name}
        if missing:
            told["undone"] = ",".join(map(str, missing[:50]))
        # Relative, whatever prefix a proxy has taken away; a reload of it sends nothing again.
        last = request.path.rpartition("/")[2]
        response.headers["Location"] = f"{last or './'}?{urlencode([*_view(), *told.items()])}"
        return response
    told_all = {
        "action": name,
        "workers": {str(pid): answers[pid] for pid in answers},
        "missing": missing,
    }
    return Response(json.dumps(told_all) + "\n", content_type="application/json; charset=utf-8")


def _view() -> list[tuple[str, str]]:
    """Return the parameters of the URL that say what is looked at, not what was done before."""
    query = request.query_string.decode("latin-1")
    pairs = parse_qsl(query, keep_blank_values=True)
    return [(name, value) for name, value in pairs if name not in ("did", "undone")]


def did(page: Page | None) -> tuple[str, str]:
    """Return what the URL says was done, and what was not: a sentence each, mostly empty."""
    name = request.args.get("did", "")
    if name not in getattr(page, "actions", ()):
        return "", ""
    undone = request.args.get("undone", "")
    if re.fullmatch(r"[0-9,]{1,400}", undone):
        return "", f"{name} was not done in workers {undone.replace(',', ', ')}: no answer in time"
    return f"Done: {name}", ""


def buttons(page: Page | None, level: Level, allowed: tuple[str, ...], base: str) -> dict[str, Any]:
    """Return what ``actions.html`` needs: where its forms go to, and why they may not."""
    query = urlencode(_view())
    too_low = TOO_LOW if level < Level.ACT else ""
    actions: Mapping[str, str] = getattr(page, "actions", {})
    return {
        "why": {name: too_low or missing_word(word, allowed) for name, word in actions.items()},
        "post": f"{base}{(page.name if page else '') or './'}{'?' + query if query else ''}",
    }
