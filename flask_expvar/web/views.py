"""The blueprint: every page under one prefix, behind one gate."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Flask, Request, Response, current_app, request
from flask.blueprints import BlueprintSetupState

from ..exceptions import ParameterError, SettingError, UnknownError
from ..pages.moments import duration
from ..pages.overview import all_pages
from ..pages.own import own_pages
from ..pages.page import Page, Scene, scene
from ..pages.traces_question import from_net_trace
from ..pages.vars_table import visible
from ..settings import Settings
from ..sources.config import provide
from ..variables.registry import Registry, default_registry
from .access import DENIED, Gate, Level, startup_warnings
from .files import render, static_files, version
from .joining import join
from .program import FlaskApp
from .signals import listen

_log = logging.getLogger("flask_expvar")

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Robots-Tag": "noindex",
}
PLAIN = "text/plain; charset=utf-8"
_ALLOWED = "GET, HEAD"


def blueprint(
    *, registry: Registry | None = None, name: str = "expvar", url_prefix: str = "/debug"
) -> Blueprint:
    """Return the debug pages, to be registered on an application.

    ::

        app.register_blueprint(expvar.blueprint())  # /debug/…

    Registering makes *registry* share with the other workers of the server. Nobody may look
    until a setting says so: see ``EXPVAR_ACCESS``.

    :param registry: whose variables are shown, the default one's unless given.
    :param name: of the blueprint; a second mount in one application needs another.
    """
    shown = registry if registry is not None else default_registry
    made = Blueprint(name, __name__, url_prefix=url_prefix)
    made.record(lambda state: Mount(shown).register(state))
    return made


class Mount:
    """The pages of one registry at one place of one application."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._pages = all_pages()
        self._settings: Settings | None = None
        self._gate: Gate | None = None

    def register(self, state: BlueprintSetupState) -> None:
        """Add the routes to an application, and check its settings.

        :raises SettingError: if one is wrong.
        """
        settings = join(self._registry, state.app.config)
        provide(self._registry, FlaskApp(state.app))
        for warning in startup_warnings(settings):
            _log.warning(warning)
        for name, value in (
            ("EXPVAR_MONITORING_ADDRESS", settings.monitoring_address),
            ("EXPVAR_ACTIONS", settings.actions),
            ("EXPVAR_EXPORTER_CONFIG", settings.exporter_config),
        ):
            if value:
                _log.warning("%s is set, but does nothing in version %s", name, version())
        listen()
        if (state.url_prefix or "").strip("/"):
            _route(state, "", "slash", self._guarded(_add_slash))
        for page in self._pages.values():
            endpoint = page.name or "overview"
            _route(state, f"/{page.name}", endpoint, self._guarded(self._show(page, False)))
            twin = self._guarded(self._show(page, True))
            _route(state, f"/{page.name}.json", f"{endpoint}_json", twin)
        _route(state, "/requests", "requests", self._guarded(_requests))
        _route(state, "/static/<path:file>", "static", self._guarded(_static))
        # The application's own pages; everything else below the prefix is refused, at one gate.
        _route(state, "/<path:rest>", "rest", self._guarded(self._rest))

    def _guarded(self, view: Callable[..., Response]) -> Callable[..., Response]:
        def guarded(**values: str) -> Response:
            recorded = request.environ.get("expvar.request")
            if recorded is not None:
                recorded.ignore()  # looking changes nothing
            admitted = self._admit()
            if isinstance(admitted, Response):
                response = admitted
            else:
                response = self._answer(view, admitted, values)
            for key, value in HEADERS.items():
                response.headers[key] = value
            response.headers.setdefault("Cache-Control", "no-store")
            response.vary.add("Accept")
            return response

        return guarded

    def _admit(self) -> Level | Response:
        """Return what the request may do, or the answer that refuses it."""
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        gate = self._current_gate(app)
        if gate is None:
            return _plain(403, DENIED)
        asked: Request = request._get_current_object()  # type: ignore[attr-defined]
        decision = gate.decide(
            request.environ, request=lambda: asked, debug=app.debug, testing=app.testing
        )
        if decision.admitted:
            return decision.level
        response = _plain(decision.status, decision.sentence)
        response.headers.extend(decision.headers)
        return response

    def _current_gate(self, app: Flask) -> Gate | None:
        """Return the gate for the settings as they are now: tests change them after set-up."""
        try:
            settings = Settings.load(app.config, os.environ)
        except SettingError:
            _log.exception("the debug pages are closed: a setting is wrong")
            return None
        if self._gate is None or settings != self._settings:
            self._settings = settings
            self._gate = Gate(settings, process_environ=os.environ)
        return self._gate

    def _answer(
        self, view: Callable[..., Response], level: Level, values: dict[str, str]
    ) -> Response:
        if request.method not in ("GET", "HEAD"):
            response = self._problem(405, "Only GET and HEAD are allowed here.")
            response.headers["Allow"] = _ALLOWED
            return response
        try:
            return view(level, **values)
        except ParameterError as error:
            return self._problem(400, str(error))
        except UnknownError as error:
            return self._problem(404, str(error), error.link)

    def _show(self, page: Page, twin: bool, template: str = "") -> Callable[[Level], Response]:
        def show(level: Level) -> Response:
            began = time.perf_counter()
            sensitive = level >= Level.SENSITIVE
            found = scene(page, self._registry, request.args, sensitive=sensitive)
            if not twin and _is_browser():
                data = page.html(found)
                frame = self._frame(page.title, page.name, found, began)
                body = render(template or page.name or "overview", data=data, frame=frame)
                response = Response(body, mimetype="text/html")
            else:
                text, media_type = page.machine(found, twin)
                response = Response(text, content_type=media_type)
            pids = " ".join(str(part.pid) for part in found.workers)
            response.headers["X-Expvar-Workers"] = pids
            if found.missing:
                response.headers["X-Expvar-Missing"] = " ".join(map(str, found.missing))
            return response

        return show

    def _rest(self, level: Level, rest: str) -> Response:
        """Answer for the application's own pages, which may be registered at any time."""
        name = rest.removesuffix(".json")
        page = own_pages(self._registry).get(name.removesuffix("/") if name == rest else name)
        if page is not None:
            return self._show(page, name != rest, "own")(level)
        raise UnknownError("There is no such page.")

    def _problem(self, status: int, sentence: str, link: tuple[str, str] | None = None) -> Response:
        sentence = visible(sentence)
        if not _is_browser():
            return _plain(status, f"{sentence} See {link[0]}" if link else sentence)
        title = {400: "Bad request", 404: "Not found", 405: "Not allowed"}[status]
        frame = self._frame(title, None, None, time.perf_counter())
        body = render(
            "error", status=status, title=title, sentence=sentence, link=link, frame=frame
        )
        return Response(body, status=status, mimetype="text/html")

    def _frame(
        self, title: str, name: str | None, found: Scene | None, began: float
    ) -> dict[str, Any]:
        now = time.time()
        workers = found.workers if found else []
        rest = (request.view_args or {}).get("rest", "")
        query = request.query_string.decode("latin-1")
        return {
            "title": title,
            "app": current_app.name,
            "host": socket.gethostname(),
            "base": "../" * rest.count("/"),
            "pages": [
                {
                    "name": page.name or "overview",
                    "title": page.title,
                    "href": page.name or "./",
                    "current": page.name == name,
                }
                for page in (*self._pages.values(), *own_pages(self._registry).values())
            ],
            "workers": [
                {"pid": part.pid, "uptime": duration(now - part.started_ns / 1e9)}
                for part in workers
            ],
            "missing": found.missing if found else [],
            "only": found.only.pid if found and found.only else None,
            "notes": found.notes if found else [],
            "version": version(),
            "rendered": time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(now)),
            "render_ms": (time.perf_counter() - began) * 1000,
            "json": f"{name or ''}.json{'?' + query if query else ''}" if found else "",
        }


def _route(
    state: BlueprintSetupState, rule: str, endpoint: str, view: Callable[..., Response]
) -> None:
    state.add_url_rule(
        rule,
        endpoint,
        view,
        provide_automatic_options=False,
        strict_slashes=False,
        merge_slashes=False,
    )
    name = f"{state.name_prefix}.{state.name}.{endpoint}".lstrip(".")
    for made in state.app.url_map.iter_rules(name):
        # Every method comes to the gate: an application's own 405 would tell what is here.
        made.methods = None


def _is_browser() -> bool:
    accepted = request.accept_mimetypes
    html = accepted["text/html"]
    return (
        html > 0
        and any(value == "text/html" for value, _ in accepted)
        and (html >= accepted["application/json"] or "application/json" not in accepted.values())
    )


def _plain(status: int, sentence: str) -> Response:
    return Response(sentence + "\n", status=status, content_type=PLAIN)


def _add_slash(level: Level) -> Response:
    last = request.path.rstrip("/").rpartition("/")[2]
    query = request.query_string.decode("latin-1")
    response = _plain(308, "The pages are below.")
    response.headers["Location"] = f"{last}/{'?' + query if query else ''}"
    return response


def _requests(level: Level) -> Response:
    """Lead people with x/net/trace in their fingers to the families of requests."""
    response = _plain(302, "Requests are among the traces.")
    above = "../" if request.path.endswith("/") else ""
    response.headers["Location"] = f"{above}traces{from_net_trace(request.args)}"
    return response


def _static(level: Level, file: str) -> Response:
    found = static_files().get(file)
    if found is None:
        raise UnknownError("There is no such file.")
    content, media_type = found
    response = Response(content, content_type=media_type)
    if request.args.get("v") == version():
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response
