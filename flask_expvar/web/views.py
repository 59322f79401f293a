"""Views: every page at one place of an application, behind one gate."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from flask import Flask, Request, Response, current_app, request
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import HTTPException

from ..exceptions import ParameterError, SettingError, UnknownError
from ..pages.metrics import Metrics, configure
from ..pages.overview import all_pages
from ..pages.own import own_pages
from ..pages.page import Acting, Page, scene, told_of
from ..pages.vars_table import visible
from ..settings import Settings
from ..sources.config import provide
from ..variables.registry import Registry
from ..workers.membership import membership
from . import audit, monitor
from .access import Gate
from .actions import act
from .addresses import add_slash, at, drop_slash, requests, route, static
from .answers import READING, TITLES, Problem, is_browser, plain, signed
from .arming import ignore
from .compressing import compress
from .decision import DENIED, Decision, Level
from .files import render
from .frames import Frames
from .joining import join
from .login import Login, level_parameter
from .monitor import Listener
from .permits import Permits
from .pprof import Pprof, marked
from .profiling import profile_post, profile_view
from .program import FlaskApp
from .showing import html_response
from .signals import listen
from .startup import mount_warnings, startup_warnings
from .tickets import Tickets, keys_of

_log = logging.getLogger("flask_expvar")

#: Those that show more to who may see what is sensitive.
SENSITIVE_PAGES = frozenset({"config", "events", "flags", "queue", "threads", "traces"})


View = Callable[..., Any]


class Mount:
    """The pages of one registry at one place of one application."""

    def __init__(
        self, registry: Registry, decorators: Sequence[Callable[[View], View]] = ()
    ) -> None:
        self._registry = registry
        self._decorators = tuple(decorators)
        self._pages = all_pages()
        self._settings: Settings | None = None
        self._keys: list[Any] = []
        self._gate: Gate | None = None
        self._frames = Frames(registry, self._pages)
        self._frame = self._frames.frame
        self._permits = Permits()
        #: What listens at EXPVAR_MONITORING_ADDRESS.
        self.listener: Listener | None = None
        self._login = Login(registry)

    def register(self, state: BlueprintSetupState) -> None:
        """Add the routes to an application, and check its settings.

        :raises SettingError: if one is wrong.
        """
        # With a slash at its end the mount itself would have two routes, one to the other.
        state.url_prefix = (state.url_prefix or "").rstrip("/")
        settings = join(self._registry, state.app.config)
        provide(self._registry, FlaskApp(state.app))
        mounts: dict[str, Mount] = state.app.extensions.setdefault("expvar_mounts", {})
        known = [bool(each._decorators) for each in mounts.values()]
        here = mount_warnings(state, settings, bool(self._decorators), known)
        for warning in (*startup_warnings(settings), *here):
            _log.warning(warning)
        mounts[f"{state.name_prefix}.{state.name}".lstrip(".")] = self
        if (settings.tokens or settings.basic) and not state.app.secret_key:
            # No warning: most who ask with a token are programs.
            _log.info("without SECRET_KEY no browser can log in to the debug pages; programs can")
        configure(self._pages, settings)
        if settings.metrics_path:
            shown = self._guarded(self._show(self._pages["metrics"], False, plain=True))
            at(state, settings.metrics_path, shown)
        listen()
        if settings.monitoring_address is not None:
            assert isinstance(state.app, Flask)  # its base class has no views
            self._monitor(state.app, settings.monitoring_address, settings)
        self.add_routes(state)

    def _monitor(self, app: Flask, address: str, settings: Settings) -> None:
        """Let one of the workers have the pages at an address of their own."""
        shown = Mount(self._registry)
        configure(shown._pages, settings)
        self.listener = Listener(address, monitor.app_of(shown.add_routes, app, settings))
        membership(self._registry).undertake(self.listener)

    def add_routes(self, state: BlueprintSetupState) -> None:
        """Add the routes to an application."""
        if (state.url_prefix or "").strip("/"):
            route(state, "", "slash", self._guarded(add_slash))
        for page in self._pages.values():
            endpoint = page.name or "overview"
            if page.name == "profile":
                view = profile_view(self._registry, self._show(page, False))
                act_on = partial(self._act, page)  # type: ignore[arg-type]  # the class has actions
                post = profile_post(self._registry, act_on)
                shown = self._guarded(view, post=post, limited=False)
            else:
                shown = self._guarded(self._show(page, False), page=page)
            route(state, f"/{page.name}", endpoint, shown)
            twin = self._guarded(self._show(page, True))
            route(state, f"/{page.name}.json", f"{endpoint}_json", twin)
        pprof = Pprof(self._registry, self._bare_frame)
        route(state, "/pprof", "pprof_slash", self._guarded(add_slash))
        route(state, "/pprof/", "pprof", self._guarded(pprof.index))
        named = self._guarded(pprof.view, post=pprof.view, limited=False)
        route(state, "/pprof/<name>", "pprof_named", marked(named))
        route(state, "/requests", "requests", self._guarded(requests))
        # Not "static": mounted at "/", the application's own files would be meant.
        route(state, "/assets/<path:file>", "assets", self._guarded(static, limited=False))
        route(state, "/login", "login", self._open(self._login.answer))
        route(state, "/logout", "logout", self._open(lambda _: self._login.log_out()))
        # The application's own pages; everything else below the prefix is refused, at one gate.
        route(state, "/<path:rest>", "rest", self._guarded(self._rest))

    def _decorated(self, view: View) -> View:
        for decorator in self._decorators:
            view = decorator(view)
        return view

    def _open(self, view: Callable[[Gate], Response]) -> View:
        """Return *view* for those who are not admitted yet."""

        def opened() -> Response:
            ignore(request.environ)  # looking changes nothing
            gate = self._current_gate()
            return signed(plain(403, DENIED) if gate is None else view(gate))

        return self._decorated(opened)

    def _guarded(
        self,
        view: Callable[..., Response],
        *,
        page: Page | None = None,
        post: Callable[..., Response] | None = None,
        limited: bool = True,
    ) -> View:
        """Return *view* behind the gate.

        :param page: what is asked to act if something is sent with POST.
        :param post: answers what is sent with POST, if that is no action of a page.
        :param limited: whether only so many requests are answered at once.
        """

        if post is None and getattr(page, "actions", None):
            post = partial(self._act, page)  # type: ignore[arg-type]  # it has actions

        def guarded(**values: str) -> Response:
            ignore(request.environ)  # looking changes nothing
            admitted = self._admit()
            if isinstance(admitted, Response):
                return signed(admitted)
            # What takes long by itself must not keep others away.
            if not limited:
                return signed(self._answer(view, post, admitted, values))
            with self._permits.one() as permitted:
                if permitted:
                    return signed(self._answer(view, post, admitted, values))
            response = plain(503, "Two requests to the debug pages are being answered already.")
            response.headers["Retry-After"] = "1"
            return signed(response)

        return self._decorated(guarded)

    def _admit(self) -> Decision | Response:
        """Return what the request may do, or the answer that refuses it."""
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        gate = self._current_gate()
        if gate is None:
            return plain(403, DENIED)
        asked: Request = request._get_current_object()  # type: ignore[attr-defined]
        decision = gate.decide(
            request.environ, request=lambda: asked, debug=app.debug, testing=app.testing
        )
        if decision.admitted:
            return decision
        if decision.status == 401 and gate.tickets is not None and is_browser():
            response = self._ask_who(gate, decision)
        else:
            response = plain(decision.status, decision.sentence)
        response.headers.extend(decision.headers)
        return response

    def _ask_who(self, gate: Gate, decision: Decision) -> Response:
        """Return the form to log in: its answer leads back to where the browser wanted to go."""
        rest = (request.view_args or {}).get("rest", "")
        last = rest or request.path.rpartition("/")[2]
        query = request.query_string.decode("latin-1")
        next = f"{last}?{query}" if query else last
        base = "../" * rest.count("/")
        if request.url_rule is not None and request.url_rule.endpoint.endswith(".slash"):
            base, next = f"{last}/", ""
        return self._login.form(401, gate, problem=decision.sentence, base=base, next=next)

    def _current_gate(self) -> Gate | None:
        """Return the gate for the settings as they are now: tests change them after set-up."""
        app = current_app
        try:
            settings = Settings.load(app.config, os.environ)
        except SettingError:
            _log.exception("the debug pages are closed: a setting is wrong")
            return None
        keys = keys_of(app)
        if self._gate is None or settings != self._settings or keys != self._keys:
            self._settings, self._keys = settings, keys
            self._gate = Gate(
                settings,
                process_environ=os.environ,
                tickets=Tickets(keys, settings) if keys else None,
                decorated=bool(self._decorators),
            )
        return self._gate

    @property
    def _allowed(self) -> tuple[str, ...]:
        return self._settings.actions if self._settings is not None else ()

    def _answer(
        self,
        view: Callable[..., Response],
        post: Callable[..., Response] | None,
        decision: Decision,
        values: dict[str, str],
    ) -> Response:
        try:
            if request.method == "POST" and post is not None:
                return post(decision, **values)
            if request.method not in ("GET", "HEAD"):
                allowed = f"{READING}, POST" if post is not None else READING
                response = self._problem(405, f"Only {allowed} are allowed here.")
                response.headers["Allow"] = allowed
                return response
            if level_parameter(request.args):
                decision = replace(decision, level=min(decision.level, Level.READ))
            return view(decision, **values)
        except ParameterError as error:
            return self._problem(400, str(error))
        except UnknownError as error:
            return self._problem(404, str(error), error.link)
        except Problem as error:
            response = self._problem(error.status, error.sentence)
            response.headers.extend(error.headers)
            return response
        except HTTPException:
            raise
        except Exception as error:
            told = told_of(error, decision.level >= Level.SENSITIVE)
            return self._problem(503, f"This could not be made: {told}. The log tells where.")

    def _act(self, page: Acting, decision: Decision) -> Response:
        status = 400
        try:
            response = act(page, self._registry, self._allowed, decision)
            status = response.status_code
        except Problem as error:
            status = error.status
            raise
        except UnknownError:
            status = 404
            raise
        finally:
            audit.acted(decision, page.name, visible(request.form.get("action", ""))[:40], status)
        return response

    def _show(
        self, page: Page, twin: bool, template: str = "", *, plain: bool = False
    ) -> Callable[[Decision], Response]:
        def show(decision: Decision) -> Response:
            if page.name and request.path.endswith("/"):
                return drop_slash()
            began, cpu = time.perf_counter(), time.thread_time()
            sensitive = decision.level >= Level.SENSITIVE
            if (sensitive and page.name in SENSITIVE_PAGES) or template == "own":
                audit.looked(decision, page.name, 200)
            accept = request.headers.get("Accept", "")
            found = scene(page, self._registry, request.args, sensitive=sensitive, accept=accept)
            asked = isinstance(page, Metrics) and page.is_plain(found.query)
            if not (twin or plain or asked) and is_browser():
                data = page.html(found)
                frame = self._frame(
                    page.title, page, found, began, level=decision.level, allowed=self._allowed
                )
                response = html_response(template or page.name or "overview", data, frame)
            else:
                text, media_type = page.machine(found, twin)
                response = Response(text, content_type=media_type)
                if page.name == "metrics":
                    compress(response, request.accept_encodings)
            pids = " ".join(str(part.pid) for part in found.workers)
            response.headers["X-Expvar-Workers"] = pids
            if found.missing:
                response.headers["X-Expvar-Missing"] = " ".join(map(str, found.missing))
            self._frames.spent += time.thread_time() - cpu
            return response

        return show

    def _rest(self, decision: Decision, rest: str) -> Response:
        """Answer for the application's own pages, which may be registered at any time."""
        name = rest.removesuffix(".json")
        page = own_pages(self._registry).get(name.removesuffix("/") if name == rest else name)
        if page is not None:
            return self._show(page, name != rest, "own")(decision)
        raise UnknownError("There is no such page.")

    def _bare_frame(self, title: str) -> dict[str, Any]:
        return self._frame(title, None, None, time.perf_counter())

    def _problem(self, status: int, sentence: str, link: tuple[str, str] | None = None) -> Response:
        sentence = visible(sentence)
        if not is_browser():
            return plain(status, f"{sentence} See {link[0]}" if link else sentence)
        title = TITLES.get(status, "Not possible")
        frame = self._bare_frame(title)
        body = render(
            "error", status=status, title=title, sentence=sentence, link=link, frame=frame
        )
        return Response(body, status=status, mimetype="text/html")
