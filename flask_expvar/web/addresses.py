"""Addresses: how views get their addresses, and the views that are no pages."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from flask import Response, request
from flask.blueprints import BlueprintSetupState

from ..exceptions import UnknownError
from ..pages.traces_question import from_net_trace
from .answers import plain
from .decision import Decision
from .files import stamp, static_files

#: What stands for whatever host is asked, where the application matches hosts.
HOST = "expvar_host"


def route(
    state: BlueprintSetupState, rule: str, endpoint: str, view: Callable[..., Response]
) -> None:
    """Add *view* at *rule* below the prefix, for every method."""
    state.add_url_rule(
        rule,
        endpoint,
        _without_host(view),
        provide_automatic_options=False,
        strict_slashes=False,
        merge_slashes=False,
        **_host(state),
    )
    name = f"{state.name_prefix}.{state.name}.{endpoint}".lstrip(".")
    for made in state.app.url_map.iter_rules(name):
        # Every method comes to the gate: an application's own 405 would tell what is here.
        made.methods = None


def at(state: BlueprintSetupState, path: str, view: Callable[..., Response]) -> None:
    """Add a page at a place of its own, outside of the prefix."""
    endpoint = f"{state.name_prefix}.{state.name}.metrics_path".lstrip(".")
    options = _host(state)
    view = _without_host(view)
    state.app.add_url_rule(path, endpoint, view, provide_automatic_options=False, **options)
    for made in state.app.url_map.iter_rules(endpoint):
        made.methods = None


def _host(state: BlueprintSetupState) -> dict[str, str]:
    # A rule without a host is never found there.
    if not state.app.url_map.host_matching:
        return {}
    return {"host": state.options.get("host") or f"<{HOST}>"}


def _without_host(view: Callable[..., Response]) -> Callable[..., Response]:
    @wraps(view)
    def without_host(**values: str) -> Response:
        values.pop(HOST, None)
        return view(**values)

    return without_host


def add_slash(_: Decision) -> Response:
    """Lead from the prefix to the overview."""
    last = request.path.rstrip("/").rpartition("/")[2]
    query = request.query_string.decode("latin-1")
    response = plain(308, "The pages are below.")
    response.headers["Location"] = f"{last}/{'?' + query if query else ''}"
    return response


def drop_slash() -> Response:
    """Lead from ``vars/`` to ``vars``: below a slash no relative link would lead anywhere."""
    name = request.path.rstrip("/").rpartition("/")[2]
    query = request.query_string.decode("latin-1")
    response = plain(308, "The page has no slash at its end.")
    response.headers["Location"] = f"../{name}{'?' + query if query else ''}"
    return response


def requests(_: Decision) -> Response:
    """Lead people with x/net/trace in their fingers to the families of requests."""
    response = plain(302, "Requests are among the traces.")
    above = "../" if request.path.endswith("/") else ""
    response.headers["Location"] = f"{above}traces{from_net_trace(request.args)}"
    return response


def static(_: Decision, file: str) -> Response:
    """Answer with a static file.

    :raises UnknownError: if there is none of this name.
    """
    found = static_files().get(file)
    if found is None:
        raise UnknownError("There is no such file.")
    content, media_type = found
    response = Response(content, content_type=media_type)
    if request.args.get("v") == stamp(file):
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response
