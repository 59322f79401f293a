"""Requests trace themselves: families, events, failures, and what must not be kept."""

from __future__ import annotations

import gc
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor as pool
from contextlib import nullcontext, suppress
from contextvars import copy_context
from pathlib import Path
from types import FunctionType
from typing import Any
from urllib.parse import unquote

import pytest
from flask import Flask, Request, Response, abort, render_template_string, request_started
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import Client, EnvironBuilder

from flask_expvar import ExpvarMiddleware, Registry, blueprint, current_trace, trace
from flask_expvar.pages.traces_plain import Room, events, summary
from flask_expvar.traces.family import Family
from flask_expvar.traces.trace import Trace
from flask_expvar.traces.tracer import Tracer, tracer_of
from flask_expvar.variables.kinds import Var
from flask_expvar.web.exchange import Exchange
from flask_expvar.web.requests import Requests
from flask_expvar.web.tally import GONE
from flask_expvar.workers import flight
from flask_expvar.workers.flight import Flights, key_of


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def alone() -> None:
    """Let the middleware share with nobody."""


@pytest.fixture
def registry() -> Registry:
    return Registry("traced")


@pytest.fixture
def tracer(registry: Registry) -> Tracer:
    return tracer_of(registry)


@pytest.fixture
def app(registry: Registry) -> Flask:
    app = Flask(__name__)
    app.testing = False
    app.config["EXPVAR_ACCESS"] = "loopback"

    @app.get("/items/<int:n>")
    def item(n: int) -> str:
        current_trace().log("item %d", n)
        return "x" * n

    @app.get("/boom")
    def boom() -> str:
        raise ZeroDivisionError("the password is 1234")

    @app.get("/teapot")
    def teapot() -> str:
        abort(418)

    @app.get("/gateway")
    def gateway() -> Response:
        return Response("no", status=502)

    @app.get("/page")
    def page() -> str:
        return render_template_string("hello {{ who }}", who="you")

    @app.get("/nested")
    def nested() -> str:
        with trace("db", "select"):
            return str(current_trace().parent)

    app.wsgi_app = ExpvarMiddleware(  # type: ignore[method-assign]
        app.wsgi_app, registry=registry, attach=alone, trace_header="X-Trace"
    )
    return app


def only(tracer: Tracer) -> Trace:
    """Return the one trace that was made by a request."""
    (found,) = (kept for family in tracer.families() for kept in family.kept())
    return found


def texts(found: Trace) -> list[str]:
    return [event.text for event in found.events]


def test_request_is_filed_under_its_method_and_rule(app: Flask, tracer: Tracer) -> None:
    app.test_client().get("/items/3?token=s3cret", headers={"Cookie": "id=s3cret"}, buffered=True)

    found = only(tracer)
    assert (found.family, found.title) == ("GET /items/<int:n>", "/items/<int:n>")
    assert texts(found) == ["matched", "item 3", "first byte", "done"]
    assert found.facts is not None
    assert (found.facts["status"], found.facts["sent"], found.facts["method"]) == ("200", 3, "GET")
    assert "s3cret" not in repr([found.title, found.family, found.facts, found.events])


def test_a_request_in_flight_is_noted_as_far_as_there_is_room(
    app: Flask, registry: Registry, tmp_path: Path
) -> None:
    notes, key = Flights(tmp_path / "flight", 1, 1), key_of("shop")
    seen = []

    def look() -> None:
        remains = flight.read((tmp_path / "flight").read_bytes())
        assert remains is not None
        seen.append([each.text for each in remains.flights])

    app.before_request(look)
    middleware: Any = app.wsgi_app
    client = app.test_client()
    client.get("/items/3", buffered=True)  # the first one notes where the settings say
    middleware.requests.note_in(notes, key)
    client.get("/items/3", buffered=True)
    for n in range(5000):  # more texts than there is room for
        notes.text(key, b"%d" % n)
    client.get("/teapot", buffered=True)
    taken = [notes.begin(1, 1, 1) for _ in range(flight.ROOM)]
    client.get("/items/3", buffered=True)
    for each in taken:
        notes.end(each)
    client.get("/items/3", buffered=True)
    look()
    notes.forget()

    assert seen == [
        [], ["GET /items/<int:n>"], ["GET"], [""] * flight.ROOM, ["GET /items/<int:n>"], [],
    ]  # fmt: skip


def test_who_answers_a_request_without_a_route_knows_the_id_by_which_it_is_found(
    app: Flask, tracer: Tracer
) -> None:
    seen: list[str] = []

    def answer(error: Exception) -> tuple[str, int]:
        seen.extend((current_trace().id, current_trace().family))
        return "nothing", 404

    app.register_error_handler(404, answer)
    app.test_client().get("/nothing", buffered=True)

    id, family = seen
    assert family == "GET (no route)"
    found = tracer.find(id)
    assert found is not None
    assert found.facts["status"] == "404"


@pytest.mark.parametrize("path", ["/reset/s3cret-token", "/items/none"])
def test_request_without_a_route_does_not_tell_its_path(
    app: Flask, tracer: Tracer, path: str
) -> None:
    app.test_client().get(path, buffered=True)

    assert (only(tracer).family, only(tracer).failed) == ("GET (no route)", None)


def test_unknown_method_is_not_told(app: Flask, tracer: Tracer) -> None:
    app.test_client().open("/items/3", method="S3CRET", buffered=True)

    assert only(tracer).family == "unknown (no route)"


def test_exception_fails_the_request_with_its_class_and_place(app: Flask, tracer: Tracer) -> None:
    app.test_client().get("/boom", buffered=True)

    found = only(tracer)
    (event,) = (each for each in found.events if each.kind == "exception")
    assert found.failed == "ZeroDivisionError"
    assert event.text.startswith(f"ZeroDivisionError at {__file__}:")
    assert event.detail == "the password is 1234"


@pytest.mark.parametrize(
    ("path", "failed"), [("/teapot", None), ("/gateway", "HTTP 502"), ("/nothing", None)]
)
def test_status_of_500_and_more_is_a_failure(
    app: Flask, tracer: Tracer, path: str, failed: str | None
) -> None:
    app.test_client().get(path, buffered=True)

    assert only(tracer).failed == failed


def test_templates_are_events(app: Flask, tracer: Tracer) -> None:
    app.test_client().get("/page", buffered=True)

    assert texts(only(tracer))[1:3] == ["rendering a string", "rendered a string"]


def test_trace_in_a_view_is_a_child_of_the_request(app: Flask, tracer: Tracer) -> None:
    parent = app.test_client().get("/nested", buffered=True).text

    (request,) = tracer.family("GET /nested").kept()
    assert parent == request.id
    assert [event.kind for event, _ in request.others()] == ["child"]


def test_header_tells_an_id_under_which_the_trace_is_found(app: Flask, tracer: Tracer) -> None:
    id = unquote(app.test_client().get("/items/3", buffered=True).headers["X-Trace"])

    assert tracer.find(id) is only(tracer)


def test_trace_id_of_the_caller_is_sent_on(app: Flask, tracer: Tracer) -> None:
    caller = "4bf92f3577b34da6a3ce929d0e0e4736"
    app.test_client().get(
        "/items/3", headers={"traceparent": f"00-{caller}-00f067aa0ba902b7-01"}, buffered=True
    )

    found = only(tracer)
    assert found.facts is not None
    assert found.traceparent == f"00-{caller}-{found.id[-16:]}-01"
    assert found.facts["caller"] == "00f067aa0ba902b7"


@pytest.mark.parametrize("header", ["", "00-0-0-0", "x" * 10_000, "\x00", "00-" + "g" * 32])
def test_bad_traceparent_is_as_good_as_none(app: Flask, tracer: Tracer, header: str) -> None:
    environ = EnvironBuilder(path="/items/3").get_environ()
    environ["HTTP_TRACEPARENT"] = header
    Client(app).open(environ, buffered=True)

    assert only(tracer).failed is None
    assert len(only(tracer).w3c_id) == 32


def test_running_request_is_listed_with_its_route(app: Flask, tracer: Tracer) -> None:
    seen: list[str] = []

    @app.get("/wait")
    def wait() -> str:
        seen.extend(each.title for each in tracer.family("GET /wait").running())
        return ""

    app.test_client().get("/wait", buffered=True)

    assert seen == ["/wait"]
    assert tracer.family("GET /wait").running_count == tracer.unnamed.running_count == 0


def test_streamed_body_is_timed_until_it_is_closed(registry: Registry, tracer: Tracer) -> None:
    clock = Clock()

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        clock.now += 0.03
        yield b"a"
        clock.now += 0.2
        yield b"b"

    tracer.clock = tracer.unnamed.clock = clock
    wrapped = ExpvarMiddleware(app, registry=registry, clock=clock, attach=alone)
    Client(wrapped).get("/", buffered=True)

    found = only(tracer)
    assert found.facts is not None
    assert (round(found.seconds, 6), round(found.facts["firstByte"], 6)) == (0.23, 0.03)


def test_client_that_hangs_up_ends_the_trace(registry: Registry, tracer: Tracer) -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"a"
        yield b"b"

    body: Any = ExpvarMiddleware(app, registry=registry, attach=alone)(
        EnvironBuilder().get_environ(), lambda status, headers: None
    )
    next(iter(body))
    body.close()

    assert only(tracer).failed is None
    assert not current_trace()


def test_debug_pages_are_not_traced(app: Flask, registry: Registry, tracer: Tracer) -> None:
    app.register_blueprint(blueprint(registry=registry))
    app.test_client().get("/debug/vars", buffered=True)

    assert tracer.families() == []
    assert tracer.unnamed.running_count == 0
    assert not current_trace()


def test_title_may_be_chosen_by_the_view(app: Flask, tracer: Tracer) -> None:
    @app.get("/order")
    def order() -> str:
        found = current_trace()
        assert isinstance(found, Trace)
        found.title = "order 17"
        return ""

    app.test_client().get("/order", buffered=True)

    assert only(tracer).title == "order 17"


def test_traces_may_be_left_out(registry: Registry, tracer: Tracer) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [repr(current_trace()).encode()]

    wrapped = ExpvarMiddleware(app, registry=registry, attach=alone, traces=False)

    assert Client(wrapped).get("/").text == "<NoTrace>"
    assert tracer.families() == []


def test_application_names_its_route_whatever_that_is(registry: Registry, tracer: Tracer) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        environ["expvar.route"] = ["no", "text"]
        start_response("200 OK", [])
        return [b""]

    Client(ExpvarMiddleware(app, registry=registry, attach=alone)).get("/", buffered=True)

    assert only(tracer).family == "GET ['no', 'text']"


# -- whose request it is ---------------------------------------------------------------------------


def test_request_that_a_view_makes_to_another_application_is_not_its_own_match(
    app: Flask, tracer: Tracer
) -> None:
    inner = Flask("inner")
    inner.add_url_rule("/inner", view_func=lambda: "")

    @app.get("/outer")
    def outer() -> str:
        current_trace().log("before")
        inner.test_client().get("/inner", buffered=True)
        return ""

    app.test_client().get("/outer", buffered=True)

    assert texts(only(tracer)) == ["matched", "before", "first byte", "done"]


def test_route_is_noted_before_anything_of_the_application_runs() -> None:
    app = Flask("checked")
    app.before_request(lambda: current_trace().log("checking"))
    registry = Registry("checked")
    app.wsgi_app = ExpvarMiddleware(app.wsgi_app, registry=registry, attach=alone)  # type: ignore[method-assign]
    app.add_url_rule("/", view_func=lambda: "")

    app.test_client().get("/", buffered=True)

    assert texts(only(tracer_of(registry))) == ["matched", "checking", "first byte", "done"]


def test_other_applications_pay_nothing_for_one_of_flask(registry: Registry) -> None:
    heard = list(request_started.receivers)
    app = Flask("direct")

    ExpvarMiddleware(app.wsgi_app, registry=registry, attach=alone)
    ExpvarMiddleware(app.wsgi_app, registry=Registry("other"), attach=alone)

    assert list(request_started.receivers) == heard
    assert not app.before_request_funcs
    inner = inspect.getclosurevars(app.preprocess_request).nonlocals["inner"]
    assert inner == Flask.preprocess_request.__get__(app)


def test_application_of_a_class_of_its_own_still_prepares_its_requests(registry: Registry) -> None:
    class Checked(Flask):
        def preprocess_request(self) -> Any:
            current_trace().log("checking")
            return super().preprocess_request() or "refused"

    app = Checked("checked")
    app.add_url_rule("/", view_func=lambda: "view")
    app.wsgi_app = ExpvarMiddleware(app.wsgi_app, registry=registry, attach=alone)  # type: ignore[method-assign]

    assert app.test_client().get("/", buffered=True).text == "refused"
    assert texts(only(tracer_of(registry))) == ["matched", "checking", "first byte", "done"]


def test_application_that_is_called_late_has_its_route_while_it_runs(
    app: Flask, registry: Registry, tracer: Tracer
) -> None:
    flask = Flask("late")
    flask.add_url_rule("/late", view_func=lambda: repr(current_trace()))

    def late(environ: Any, start_response: Any) -> Iterator[bytes]:
        yield from flask(environ, start_response)

    answer = Client(ExpvarMiddleware(late, registry=registry, attach=alone)).get(
        "/late", buffered=True
    )

    assert answer.text.startswith("<Trace 'GET /late' '/late' running")
    assert texts(only(tracer)) == ["matched", "first byte", "done"]


def test_environ_may_be_copied_on_its_way_to_flask(
    app: Flask, registry: Registry, tracer: Tracer
) -> None:
    inside = app.wsgi_app._app  # type: ignore[attr-defined]
    app.wsgi_app._app = lambda environ, start: inside(dict(environ), start)  # type: ignore[attr-defined]
    answer = app.test_client().get("/items/3", buffered=True)

    assert only(tracer).family == "GET /items/<int:n>"
    assert texts(only(tracer)) == ["matched", "item 3", "first byte", "done"]
    assert tracer.find(unquote(answer.headers["X-Trace"])) is only(tracer)
    seconds = registry.get("http/requestSeconds")
    assert list(seconds) == ["/items/<int:n>"]  # type: ignore[call-overload]


def test_request_that_matched_nothing_does_not_say_so(app: Flask, tracer: Tracer) -> None:
    app.test_client().get("/nothing", buffered=True)

    assert texts(only(tracer)) == ["first byte", "done"]


def test_trace_of_a_request_may_be_entered_anywhere(app: Flask, tracer: Tracer) -> None:
    inside = app.wsgi_app._app  # type: ignore[attr-defined]

    def around(environ: Any, start_response: Any) -> Any:
        with current_trace():
            return inside(environ, start_response)

    app.wsgi_app._app = around  # type: ignore[attr-defined]

    @app.get("/entered")
    def entered() -> list[str]:
        found = current_trace()
        with found, found:
            current_trace().log("inside")
        current_trace().log("again")
        with pool() as threads:
            threads.submit(enter, found).result()
        assert current_trace() is found
        return []

    def enter(found: Trace) -> None:
        with found:
            current_trace().log("in a thread")
        assert not current_trace()

    with trace("test", "around") as outside:
        app.test_client().get("/entered", buffered=True)
        assert current_trace() is outside

    (found,) = tracer.family("GET /entered").kept()
    assert texts(found)[1:4] == ["inside", "again", "in a thread"]


def test_exception_that_leaves_an_entered_trace_fails_it(app: Flask, tracer: Tracer) -> None:
    @app.get("/entered")
    def entered() -> str:
        with suppress(LookupError), current_trace():
            raise LookupError
        return ""

    app.test_client().get("/entered", buffered=True)

    assert (only(tracer).failed, only(tracer).running) == ("LookupError", False)


def test_what_a_request_has_begun_and_not_left_ends_with_it_as_the_current_trace(
    app: Flask, tracer: Tracer
) -> None:
    held: list[Any] = []

    def generate() -> Iterator[None]:
        with trace("never", "left"):
            yield

    @app.get("/begins")
    def begins() -> str:
        held.append(generate())
        next(held[0])
        return ""

    @app.get("/next")
    def following() -> str:
        found = current_trace()
        held[0].close()
        assert current_trace() is found
        return found.title

    app.test_client().get("/begins", buffered=True)
    assert not current_trace()
    assert app.test_client().get("/next", buffered=True).text == "/next"


# -- what is left of it ----------------------------------------------------------------------------


def stream(environ: Any, start_response: Any) -> Iterator[bytes]:
    """Answer in a body that is open until it is closed."""
    start_response("200 OK", [])
    yield b"a"


def test_nothing_is_current_after_requests_that_end_out_of_turn(
    registry: Registry, tracer: Tracer
) -> None:
    client = Client(ExpvarMiddleware(stream, registry=registry, attach=alone))
    one, other = client.get("/"), client.get("/")

    one.close()
    other.close()

    assert not current_trace()
    with trace("later", registry=registry) as later:
        pass
    assert later.parent is None


#: Has the collector find a lost response at each allocation that comes when one becomes current.
LOST = """
import gc
from flask_expvar import ExpvarMiddleware, Registry

class Flying(dict):
    def __setitem__(self, number, request):
        super().__setitem__(number, request)
        if lost:
            circle = [lost.pop()]
            circle.append(circle)
            del circle
            gc.set_threshold(gc.get_count()[0] + turn % 9)
            gc.enable()

def app(environ, start_response):
    start_response("200 OK", [])
    return iter([b"a"])

middleware = ExpvarMiddleware(app, registry=Registry("lost"), attach=lambda: None)
middleware.requests.flying, lost = Flying(), []
for turn in range(500):
    gc.disable()
    lost.append(middleware({"REQUEST_METHOD": "GET"}, print))
    body = middleware({"REQUEST_METHOD": "GET"}, print)
    body.close()
"""


def test_a_lost_response_that_is_found_at_any_moment_crashes_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", LOST],
        env={**os.environ, "PYTHONMALLOC": "debug", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (done.returncode, done.stderr[-2000:]) == (0, "")


def test_a_lost_response_leaves_the_request_current_that_runs(
    registry: Registry, tracer: Tracer
) -> None:
    def inside(environ: Any, start_response: Any) -> list[bytes]:
        found = current_trace()
        gc.collect()
        assert current_trace() is found
        start_response("200 OK", [])
        return [found.title.encode()]

    middleware = ExpvarMiddleware(stream, registry=registry, attach=alone)
    circle: list[Any] = [middleware({"REQUEST_METHOD": "GET"}, lambda *_: print)]
    circle.append(circle)
    del circle
    middleware._app = inside

    body: Any = middleware({"REQUEST_METHOD": "GET"}, lambda *_: print)
    body.close()

    assert b"".join(body) == b"(no route)"
    assert tracer.guests() == {}


def test_request_that_another_thread_ends_is_current_no_more_where_it_began(
    registry: Registry, tracer: Tracer
) -> None:
    client = Client(ExpvarMiddleware(stream, registry=registry, attach=alone))
    answer = client.get("/")
    context = copy_context()

    with pool() as threads:
        threads.submit(answer.close).result()
        # What was handed over still goes to the request that it came from, and is counted.
        threads.submit(context.run, lambda: current_trace().log("late")).result()

    assert not current_trace()
    found = only(tracer)
    assert (found.running, found.late) == (False, 1)


def reachable(found: Trace) -> list[object]:
    """Return what *found* alone keeps alive: classes, modules, variables are others'."""
    passed = (type, type(pytest), FunctionType, Registry, Tracer, ExpvarMiddleware, Family, Var)
    seen: dict[int, object] = {}
    waiting: list[object] = [found]
    while waiting:
        each = waiting.pop()
        if id(each) not in seen and not isinstance(each, passed):
            seen[id(each)] = each
            waiting += gc.get_referents(each)
    return list(seen.values())


@pytest.mark.parametrize("path", ["/items/3", "/boom", "/raised", "/nothing", "/stream"])
def test_ended_request_keeps_nothing_of_the_client_or_of_flask(
    app: Flask, tracer: Tracer, path: str
) -> None:
    inside = app.wsgi_app._app  # type: ignore[attr-defined]

    def around(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/raised":
            raise LookupError
        return inside(environ, start_response)

    app.wsgi_app._app = around  # type: ignore[attr-defined]
    app.add_url_rule("/stream", view_func=lambda: Response(iter(["a", "b"])))
    with suppress(LookupError):
        app.test_client().post(f"{path}?q=s3cret", data="b" * 5000, headers={"X-A": "s3cret"})
        app.test_client().get(f"{path}?q=s3cret", headers={"Cookie": "id=s3cret"}, buffered=True)

    for family in tracer.families():
        for found in family.kept():
            kept = [each for each in reachable(found) if each is not GONE]
            assert len(kept) < 100
            assert not [each for each in kept if isinstance(each, (dict, BaseException, Request))]
            assert "s3cret" not in repr([each for each in kept if isinstance(each, str)])


def test_method_that_is_none_is_not_kept(app: Flask, tracer: Tracer) -> None:
    for n in range(20):
        app.test_client().open("/items/3", method=f"SCANNED{n}", buffered=True)

    (requests,) = tracer.sources
    assert isinstance(requests, Requests)
    tracer.settle()
    assert [method for method, _ in requests.places] == ["unknown"]
    kept = [reachable(found) for family in tracer.families() for found in family.kept()]
    assert kept
    assert "SCANNED" not in repr(kept)
    assert not requests.flying


class Evil:
    """What raises as a key and as a text."""

    def __hash__(self) -> int:
        raise ValueError

    def __str__(self) -> str:
        raise ValueError

    def __repr__(self) -> str:
        return "Evil()"


@pytest.mark.parametrize("evil", [[], {}, Evil(), b"GET", 7, None, "\ud800", "G" * 100_000])
@pytest.mark.parametrize("key", ["REQUEST_METHOD", "HTTP_TRACEPARENT", "expvar.route"])
def test_environ_may_hold_anything(registry: Registry, tracer: Tracer, key: str, evil: Any) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b""]

    wrapped = ExpvarMiddleware(app, registry=registry, attach=alone, trace_header="X-Trace")
    environ = EnvironBuilder().get_environ()
    environ[key] = evil
    body: Any = wrapped(environ, lambda status, headers: None)
    body.close()

    assert only(tracer).running is False
    assert registry.get("http/requestsInFlight").value == 0  # type: ignore[union-attr]


# -- many and hostile ones -------------------------------------------------------------------------


def test_requests_over_many_routes_keep_as_much_after_20000_as_after_10000(
    registry: Registry, tracer: Tracer
) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        environ["expvar.route"] = environ["PATH_INFO"]
        current_trace().log("in %s", "it")
        with trace("work", "some"):
            start_response("200 OK", [])
        return [b"x"]

    wrapped = ExpvarMiddleware(app, registry=registry, attach=alone)
    base = EnvironBuilder().get_environ()
    sizes = []
    for n in range(20_000):
        body: Any = wrapped({**base, "PATH_INFO": f"/{n % 300}"}, lambda status, headers: None)
        body.close()
        if n in (9_999, 19_999):
            tracer.settle()
            gc.collect()
            objects = gc.get_objects()
            kept = sum(
                type(each) in (Trace, Exchange) and each._family.tracer is tracer
                for each in objects
            )
            sizes.append((kept, len(objects)))
            del objects

    (kept, before), (kept_later, after) = sizes
    # Ten of each route with a child each, and ten of the children themselves; slow ones besides.
    assert 300 * 10 < kept_later < 2 * kept
    assert kept_later < 300 * 10 * 2 * 2
    assert after < before * 1.1
    assert tracer.unnamed.running_count == 0


def test_debug_pages_leave_nothing_whatever_is_asked(app: Flask, registry: Registry) -> None:
    app.register_blueprint(blueprint(registry=registry))
    paths = ["", "/", "//", "/nothing", "/nothing/at/all/", "/assets/expvar.css", "/assets/none"]
    paths += ["/requests", "/requests?fam=x&b=1", "/traces?b=99", "/traces?fam=none", "/vars/"]
    paths += ["/vars", "/vars.json", "/traces", "/traces.json", "/.json", "/traces?trace=a!1!2"]
    client = app.test_client()
    before = registry.snapshot()
    for path in paths:
        for method in ("GET", "HEAD", "POST", "OPTIONS", "TRACE", "ODD"):
            for access in ("loopback", "auto"):
                app.config["EXPVAR_ACCESS"] = access
                answer = client.open(f"/debug{path}", method=method, buffered=True)
                assert "X-Trace" not in answer.headers

    assert registry.snapshot() == before
    assert [family.name for family in tracer_of(registry).families()] == []
    assert tracer_of(registry).unnamed.running_count == 0
    assert not current_trace()


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(),
    st.binary(),
    st.lists(st.text()),
    st.builds(Evil),
    st.sampled_from(["GET", "200 OK", "500", "00-4bf92f3577b34da6a3ce929d0e0e4736-", "(no route)"]),
)


@given(
    environ=st.dictionaries(
        st.sampled_from(
            ["REQUEST_METHOD", "HTTP_TRACEPARENT", "expvar.route", "CONTENT_LENGTH", "wsgi.input",
             "expvar.request", "werkzeug.request", "PATH_INFO", "HTTP_TRANSFER_ENCODING"]
        ),
        ODD,
    ),
    status=ODD,
    headers=st.one_of(ODD, st.lists(st.one_of(ODD, st.tuples(ODD, ODD)))),
    body=st.lists(st.one_of(st.binary(), ODD)),
    raises=st.sampled_from([None, ValueError, SystemExit]),
    streamed=st.booleans(),
)  # fmt: skip
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_hostile_request_is_answered_as_without_the_middleware(
    environ: Any, status: Any, headers: Any, body: Any, raises: Any, streamed: bool
) -> None:
    registry = Registry()
    tracer = tracer_of(registry)

    def app(environ: Any, start_response: Any) -> Any:
        start_response(status, headers)
        current_trace().log("%s", environ.get("REQUEST_METHOD"))
        if raises:
            raise raises
        return iter(body) if streamed else body

    def server(status: Any, headers: Any, exc_info: Any = None) -> None:
        """Take anything."""

    wrapped = ExpvarMiddleware(app, registry=registry, attach=alone, trace_header="X-Trace")
    with pytest.raises(raises) if raises else nullcontext():
        answer: Any = wrapped(environ, server)
        assert list(answer) == body
        answer.close()

    assert only(tracer).running is False
    failed = only(tracer).failed
    assert failed is None or failed.startswith("HTTP 5") or failed == raises.__name__
    assert tracer.unnamed.running_count == 0
    assert registry.get("http/requestsInFlight").value == 0  # type: ignore[union-attr]
    assert not current_trace()
    assert json.dumps([summary(only(tracer)), events(only(tracer), True, Room(10_000))])


# -- several middlewares ---------------------------------------------------------------------------


@pytest.mark.parametrize("same", [True, False])
def test_each_registry_has_one_trace_of_a_request(
    app: Flask, registry: Registry, tracer: Tracer, same: bool
) -> None:
    outer = registry if same else Registry("outer")
    app.wsgi_app = ExpvarMiddleware(  # type: ignore[method-assign]
        app.wsgi_app, registry=outer, attach=alone
    )
    app.test_client().get("/items/3", buffered=True)
    app.test_client().get("/boom", buffered=True)

    for each in {tracer, tracer_of(outer)}:
        for family in ("GET /items/<int:n>", "GET /boom"):
            (found,) = each.family(family).kept()
            assert texts(found)[0] == "matched"
            assert found.failed == ("ZeroDivisionError" if "boom" in family else None)
        assert each.unnamed.running_count == 0
    assert not current_trace()


def test_id_in_the_header_opens_the_page_whatever_the_rule_looks_like(
    app: Flask, registry: Registry
) -> None:
    app.register_blueprint(blueprint(registry=registry))
    app.config["EXPVAR_ACCESS"] = lambda request: True
    app.add_url_rule("/api_key=<key>/\u202e", view_func=lambda key: "", endpoint="odd")
    client = app.test_client()

    id = client.get("/api_key=1234/\u202e", buffered=True).headers["X-Trace"]

    assert client.get(f"/debug/traces?trace={id}", buffered=True).status_code == 200
