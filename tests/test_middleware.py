"""ExpvarMiddleware with real WSGI and Flask applications, and a server driven by hand."""

from __future__ import annotations

import gc
import io
import logging
import os
import sys
import threading
import wsgiref.util
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.validate import validator

import pytest
from flask import Flask, Response, abort, request
from werkzeug.test import EnvironBuilder, run_wsgi_app

from flask_expvar.traces.family import KEPT
from flask_expvar.traces.tracer import tracer_of
from flask_expvar.variables.kinds import Float, Int
from flask_expvar.variables.registry import DROPPED, Registry, default_registry
from flask_expvar.variables.store import LocalStore
from flask_expvar.web import signals
from flask_expvar.web.bodies import CountedInput
from flask_expvar.web.exchange import Exchange
from flask_expvar.web.middleware import ExpvarMiddleware


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def alone() -> None:
    """Join no other workers."""


class Server:
    """What a WSGI server does, one step at a time."""

    def __init__(self, app: Any, **environ: Any) -> None:
        self.environ = {**EnvironBuilder(path="/").get_environ(), **environ}
        self.started: list[tuple[Any, ...]] = []
        self.written: list[bytes] = []
        self.body = app(self.environ, self.start_response)

    def start_response(self, *args: Any) -> Callable[[bytes], None]:
        self.started.append(args)
        return self.written.append

    def finish(self) -> list[bytes]:
        try:
            return list(self.body)
        finally:
            if hasattr(self.body, "close"):
                self.body.close()


def serve(app: Any, **environ: Any) -> list[bytes]:
    return Server(app, **environ).finish()


def generating(*chunks: bytes, status: str = "200 OK") -> Any:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response(status, [])
        yield from chunks

    return app


def answering(body: Any, status: Any = "200 OK", headers: Any = ()) -> Any:
    def app(environ: Any, start_response: Any) -> Any:
        start_response(status, list(headers))
        return body

    return app


def shown(registry: Registry, name: str, prefix: str = "http") -> Any:
    return registry.snapshot()[f"{prefix}/{name}"]


def dropped(registry: Registry) -> int:
    return int(registry.snapshot().get(DROPPED, 0))


@pytest.fixture
def registry() -> Registry:
    return Registry("test")


@pytest.fixture
def wrap(registry: Registry) -> Callable[..., ExpvarMiddleware]:
    """Return ``wrap(app)``, which counts in the fixture *registry*."""

    def wrap(app: Any, **how: Any) -> ExpvarMiddleware:
        return ExpvarMiddleware(app, **{"registry": registry, "attach": alone, **how})

    return wrap


@pytest.fixture
def flask_app(wrap: Callable[..., ExpvarMiddleware]) -> Flask:
    app = Flask(__name__)

    @app.get("/items/<int:n>")
    def item(n: int) -> str:
        return "x" * n

    @app.get("/boom")
    def boom() -> str:
        raise ZeroDivisionError

    @app.get("/missing")
    def missing() -> str:
        abort(410)

    @app.post("/upload")
    def upload() -> str:
        return str(len(request.get_data()))

    app.wsgi_app = wrap(app.wsgi_app)  # type: ignore[method-assign]
    return app


Wrap = Callable[..., ExpvarMiddleware]


# -- what is declared ----------------------------------------------------------------------------


def test_all_variables_are_there_before_the_first_request_with_help(
    wrap: Wrap, registry: Registry
) -> None:
    wrap(generating(), prefix="web")

    assert registry.snapshot() == {
        "web/exceptionCount": {},
        "web/firstByteSeconds": {},
        "web/requestBytes": 0,
        "web/requestCount": {},
        "web/requestSeconds": {},
        "web/requestsInFlight": 0,
        "web/responseBytes": 0,
        "web/responseCodeCount": {},
    }
    assert all(registry._vars[name].help for name in registry)


def test_without_a_registry_the_default_one_is_used() -> None:
    try:
        assert ExpvarMiddleware(generating(), prefix="alone").registry is default_registry
    finally:
        for name in [name for name in default_registry if name.startswith("alone/")]:
            default_registry.unpublish(name)


def test_two_registries_never_mix() -> None:
    one, two = Registry("one"), Registry("two")
    app_one = ExpvarMiddleware(generating(b"x"), registry=one, attach=alone)
    ExpvarMiddleware(generating(b"x"), registry=two, attach=alone)

    serve(app_one)

    assert shown(one, "responseCodeCount") == {"200": 1}
    assert shown(two, "responseCodeCount") == {}


# -- counts --------------------------------------------------------------------------------------


def test_flask_request_is_counted_under_its_rule(flask_app: Flask, registry: Registry) -> None:
    flask_app.test_client().get("/items/5", buffered=True)

    assert shown(registry, "requestCount") == {"GET": 1}
    assert shown(registry, "responseCodeCount") == {"200": 1}
    assert shown(registry, "requestSeconds")["/items/<int:n>"]["count"] == 1
    assert shown(registry, "firstByteSeconds")["/items/<int:n>"]["count"] == 1
    assert shown(registry, "responseBytes") == 5
    assert shown(registry, "requestsInFlight") == 0
    assert dropped(registry) == 0


def test_what_matches_no_rule_has_no_route(flask_app: Flask, registry: Registry) -> None:
    for path in ("/secret", "/items/none"):
        flask_app.test_client().get(path, buffered=True)

    assert shown(registry, "responseCodeCount") == {"404": 2}
    assert list(shown(registry, "requestSeconds")) == ["(no route)"]


def test_any_application_may_name_its_route(wrap: Wrap, registry: Registry) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        environ["expvar.route"] = "/things/{id}"
        start_response("200 OK", [])
        return [b""]

    serve(wrap(app))

    assert list(shown(registry, "requestSeconds")) == ["/things/{id}"]


def test_a_werkzeug_request_without_rule_has_no_route(wrap: Wrap, registry: Registry) -> None:
    serve(wrap(answering([b"x"])), **{"werkzeug.request": object()})

    assert list(shown(registry, "requestSeconds")) == ["(no route)"]


@pytest.mark.parametrize(
    ("method", "key"),
    [
        ("GET", "GET"),
        ("PATCH", "PATCH"),
        ("get", "unknown<get>"),
        ("PROPFIND", "unknown<PROPFI>"),
        (7, "unknown<7>"),
        (None, "unknown<None>"),
        ([], "unknown<[]>"),
    ],
)
def test_unknown_methods_are_marked_and_cut(
    wrap: Wrap, registry: Registry, method: Any, key: str
) -> None:
    serve(wrap(answering([b"x"])), REQUEST_METHOD=method)

    assert shown(registry, "requestCount") == {key: 1}


def test_methods_beyond_the_cap_are_others_and_dropped(wrap: Wrap, registry: Registry) -> None:
    app = wrap(answering([b"x"]))
    for number in range(103):
        serve(app, REQUEST_METHOD=f"M{number}")

    counts = shown(registry, "requestCount")

    assert (len(counts), counts["(other)"], dropped(registry)) == (101, 3, 3)


@pytest.mark.parametrize(
    ("status", "key"),
    [
        ("204 No Content", "204"),
        ("200", "200"),
        ("abc", "(odd)"),
        ("20", "(odd)"),
        ("²00 OK", "(odd)"),
        ("", "(odd)"),
        (b"200 OK", "(odd)"),
        (200, "(odd)"),
        (["200"], "(odd)"),
        (None, "(none)"),
    ],
)
def test_statuses_are_counted_by_their_code(
    wrap: Wrap, registry: Registry, status: Any, key: str
) -> None:
    for _ in range(2):
        serve(wrap(answering([b"x"], status)))

    assert shown(registry, "responseCodeCount") == {key: 2}


def test_response_that_never_started_is_counted_as_such(wrap: Wrap, registry: Registry) -> None:
    serve(wrap(lambda environ, start_response: iter(())))

    assert shown(registry, "responseCodeCount") == {"(none)": 1}


def test_deleted_key_begins_anew(wrap: Wrap, registry: Registry) -> None:
    app = wrap(answering([b"x"]))
    for _ in range(3):  # by the third all that it counts in is remembered
        serve(app)
    registry.get("http/responseCodeCount").delete("200")  # type: ignore[union-attr]
    registry.get("http/requestSeconds").delete("(no route)")  # type: ignore[union-attr]
    serve(app)

    assert shown(registry, "responseCodeCount") == {"200": 1}
    assert shown(registry, "requestSeconds")["(no route)"]["count"] == 1


def test_key_that_is_another_variable_now_is_counted_there(wrap: Wrap, registry: Registry) -> None:
    app = wrap(answering([b"x"]))
    for _ in range(3):
        serve(app)
    codes: Any = registry.get("http/responseCodeCount")
    codes.set("200", Int())
    serve(app)
    codes.set("200", Float())
    serve(app)

    assert shown(registry, "responseCodeCount") == {"200": 0.0}
    assert registry.snapshot()["expvar/dropped"] == 1
    assert shown(registry, "requestCount") == {"GET": 5}


# -- time and the body ---------------------------------------------------------------------------


def test_time_to_first_byte_is_apart_from_the_total(wrap: Wrap, registry: Registry) -> None:
    clock = Clock()

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        clock.now += 1
        yield b""
        clock.now += 2
        yield b"a"
        clock.now += 4
        yield b"b"

    serve(wrap(app, clock=clock))

    assert shown(registry, "firstByteSeconds")["(no route)"]["sum"] == 3
    assert shown(registry, "requestSeconds")["(no route)"]["sum"] == 7


def test_code_is_counted_before_the_server_has_the_first_byte(
    wrap: Wrap, registry: Registry
) -> None:
    server = Server(wrap(generating(b"", b"a")))
    chunks = iter(server.body)

    assert (next(chunks), shown(registry, "responseCodeCount")) == (b"", {})
    assert (next(chunks), shown(registry, "responseCodeCount")) == (b"a", {"200": 1})
    assert shown(registry, "requestSeconds") == {}
    assert server.finish() == []


def test_code_of_an_empty_body_is_counted_at_its_end(wrap: Wrap, registry: Registry) -> None:
    server = Server(wrap(generating()))

    assert list(server.body) == []

    assert shown(registry, "responseCodeCount") == {"200": 1}
    server.body.close()


def test_request_is_in_flight_until_the_body_is_closed(wrap: Wrap, registry: Registry) -> None:
    server = Server(wrap(generating(b"a")))
    list(server.body)
    assert shown(registry, "requestsInFlight") == 1

    server.body.close()

    assert shown(registry, "requestsInFlight") == 0


def test_closing_again_changes_nothing(wrap: Wrap, registry: Registry) -> None:
    closed: list[int] = []

    class Body(list[bytes]):
        def close(self) -> None:
            closed.append(1)

    for body in (Body([b"abc"]), wsgiref.util.FileWrapper(io.BytesIO(b"abc"))):
        server = Server(wrap(answering(body)))
        server.finish()
        once = registry.snapshot()
        server.body.close()
        assert registry.snapshot() == once

    assert closed == [1]


def test_abandoned_body_is_closed_and_counted(wrap: Wrap, registry: Registry) -> None:
    ended: list[str] = []

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            yield from (b"a", b"b", b"c")
        finally:
            ended.append("closed")

    server = Server(wrap(app))
    next(iter(server.body))
    server.body.close()

    assert ended == ["closed"]
    assert shown(registry, "responseBytes") == 1
    assert shown(registry, "exceptionCount") == {}
    assert shown(registry, "requestsInFlight") == 0


def test_body_never_begun_is_counted_when_closed(wrap: Wrap, registry: Registry) -> None:
    Server(wrap(answering(iter([b"a"]), "404 Not Found"))).body.close()

    assert shown(registry, "responseCodeCount") == {"404": 1}


def test_body_never_closed_is_counted_when_it_is_gone(wrap: Wrap, registry: Registry) -> None:
    server = Server(wrap(generating(b"a")))
    list(server.body)

    del server
    gc.collect()

    assert shown(registry, "requestsInFlight") == 0
    assert shown(registry, "requestSeconds")["(no route)"]["count"] == 1


def test_collector_under_the_lock_leaves_the_count_to_the_next_request(
    wrap: Wrap, registry: Registry
) -> None:
    app = wrap(generating(b"a"))
    server = Server(app)
    with registry.lock:
        del server
        gc.collect()  # would wait for this very thread for ever
    assert shown(registry, "requestsInFlight") == 1

    serve(app)

    assert shown(registry, "requestsInFlight") == 0


def exchanges() -> list[Exchange]:
    return [found for found in gc.get_objects() if type(found) is Exchange]


@pytest.mark.parametrize("traces", [True, False])
def test_finished_request_leaves_no_garbage(wrap: Wrap, registry: Registry, traces: bool) -> None:
    app = wrap(generating(b"a"), traces=traces)
    gc.collect()
    gc.disable()
    try:
        others = {id(found) for found in exchanges()}
        for _ in range(50):
            body = app(EnvironBuilder().get_environ(), lambda status, headers: None)
            list(body)
            body.close()
        del body
        tracer_of(registry).settle()
        left = [found for found in exchanges() if id(found) not in others]
        assert len(left) <= (2 * KEPT if traces else 0)  # of two latency bands, on a busy machine
    finally:
        gc.enable()


def test_head_has_no_bytes(flask_app: Flask, registry: Registry) -> None:
    flask_app.test_client().head("/items/5", buffered=True)

    assert shown(registry, "requestCount") == {"HEAD": 1}
    assert shown(registry, "responseCodeCount") == {"200": 1}
    assert shown(registry, "responseBytes") == 0


def test_what_is_written_counts_at_the_first_write(wrap: Wrap, registry: Registry) -> None:
    seen: list[Any] = []

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        write = start_response("201 Created", [])
        write(b"")
        seen.append(shown(registry, "responseCodeCount"))
        write(b"abc")
        seen.append(shown(registry, "responseCodeCount"))
        return [b"de"]

    server = Server(wrap(app))

    assert (server.written, server.finish()) == ([b"", b"abc"], [b"de"])
    assert seen == [{}, {"201": 1}]
    assert shown(registry, "responseBytes") == 5


def test_list_keeps_its_length(wrap: Wrap, registry: Registry) -> None:
    server = Server(wrap(answering((b"ab", b"c"))))

    assert (len(server.body), shown(registry, "responseCodeCount")) == (2, {"200": 1})
    assert server.finish() == [b"ab", b"c"]
    assert shown(registry, "responseBytes") == 3


@pytest.mark.parametrize("body", [[1, None], iter([1, None])])
def test_chunks_that_are_no_bytes_are_the_server_s_business(
    wrap: Wrap, registry: Registry, body: Any
) -> None:
    assert serve(wrap(answering(body))) == [1, None]  # type: ignore[comparison-overlap]

    assert shown(registry, "responseCodeCount") == {"200": 1}


# -- files ---------------------------------------------------------------------------------------


def test_file_wrapper_reaches_the_server_as_it_is(wrap: Wrap, registry: Registry) -> None:
    file = io.BytesIO(b"12345")
    body = wsgiref.util.FileWrapper(file)
    app = wrap(answering(body, headers=[("content-LENGTH", "5")]))

    server = Server(app, **{"wsgi.file_wrapper": wsgiref.util.FileWrapper})
    assert server.body is body
    assert shown(registry, "requestsInFlight") == 1
    server.body.close()

    assert file.closed
    assert shown(registry, "requestsInFlight") == 0
    assert shown(registry, "responseBytes") == 5


def test_file_wrapper_may_be_a_function(wrap: Wrap, registry: Registry, tmp_path: Any) -> None:
    (tmp_path / "file").write_bytes(b"123")
    with (tmp_path / "file").open("rb") as file:
        app = wrap(answering(file, headers=[("Content-Length", "odd")]))
        server = Server(app, **{"wsgi.file_wrapper": lambda file, size=0: file})
        assert server.body is file
        server.finish()

    assert shown(registry, "requestsInFlight") == 0


def test_file_that_takes_no_hook_is_wrapped(wrap: Wrap, registry: Registry) -> None:
    class Sealed:
        __slots__ = ()

        def __iter__(self) -> Iterator[bytes]:
            return iter([b"ab"])

    assert serve(wrap(answering(Sealed())), **{"wsgi.file_wrapper": Sealed}) == [b"ab"]

    assert shown(registry, "responseBytes") == 2


# -- exceptions ----------------------------------------------------------------------------------


def test_exception_of_the_application_is_a_500(wrap: Wrap, registry: Registry) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        raise KeyError("x")

    with pytest.raises(KeyError):
        serve(wrap(app))

    assert shown(registry, "exceptionCount") == {"KeyError": 1}
    assert shown(registry, "responseCodeCount") == {"500": 1}
    assert shown(registry, "requestsInFlight") == 0


@pytest.mark.parametrize(("before", "code"), [([], "500"), ([b"a"], "200")])
def test_exception_of_the_body_is_a_500_until_the_first_byte(
    wrap: Wrap, registry: Registry, before: list[bytes], code: str
) -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield from before
        raise BufferError

    with pytest.raises(BufferError):
        serve(wrap(app))

    assert shown(registry, "exceptionCount") == {"BufferError": 1}
    assert shown(registry, "responseCodeCount") == {code: 1}
    assert shown(registry, "requestsInFlight") == 0


def test_exception_of_close_is_counted(wrap: Wrap, registry: Registry) -> None:
    class Body(list[bytes]):
        def close(self) -> None:
            raise EOFError

    with pytest.raises(EOFError):
        serve(wrap(answering(Body([b"a"]))))

    assert shown(registry, "exceptionCount") == {"EOFError": 1}
    assert shown(registry, "responseCodeCount") == {"200": 1}
    assert shown(registry, "requestsInFlight") == 0


def test_second_start_replaces_the_code_and_counts_its_exception(
    wrap: Wrap, registry: Registry
) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        try:
            raise LookupError
        except LookupError:
            start_response("503 Sorry", [], sys.exc_info())
        return [b"sorry"]

    server = Server(wrap(app))
    server.finish()

    assert [len(args) for args in server.started] == [2, 3]
    assert shown(registry, "responseCodeCount") == {"503": 1}
    assert shown(registry, "exceptionCount") == {"LookupError": 1}


@pytest.mark.parametrize("exc_info", [5, (), (None, None, None)])
def test_odd_exc_info_is_handed_on(wrap: Wrap, registry: Registry, exc_info: Any) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [], exc_info)
        return [b"x"]

    server = Server(wrap(app))
    server.finish()

    assert server.started[0][2] == exc_info


def test_exception_that_flask_turns_into_a_500_is_counted(
    flask_app: Flask, registry: Registry
) -> None:
    flask_app.config["PROPAGATE_EXCEPTIONS"] = False

    assert flask_app.test_client().get("/boom", buffered=True).status_code == 500

    assert shown(registry, "exceptionCount") == {"ZeroDivisionError": 1}
    assert shown(registry, "responseCodeCount") == {"500": 1}
    assert list(shown(registry, "requestSeconds")) == ["/boom"]


def test_exception_that_flask_lets_through_is_counted_once(
    flask_app: Flask, registry: Registry
) -> None:
    flask_app.testing = True

    with pytest.raises(ZeroDivisionError):
        flask_app.test_client().get("/boom", buffered=True)

    assert shown(registry, "exceptionCount") == {"ZeroDivisionError": 1}
    assert shown(registry, "responseCodeCount") == {"500": 1}


def test_exception_with_a_handler_is_no_exception(flask_app: Flask, registry: Registry) -> None:
    flask_app.register_error_handler(ZeroDivisionError, lambda error: ("never", 418))

    flask_app.test_client().get("/boom", buffered=True)
    flask_app.test_client().get("/missing", buffered=True)

    assert shown(registry, "exceptionCount") == {}
    assert shown(registry, "responseCodeCount") == {"410": 1, "418": 1}


def test_flask_is_listened_to_only_once_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "_request", [])
    monkeypatch.delitem(sys.modules, "flask")

    signals.watch(None, True)

    assert "flask" not in sys.modules
    assert signals._request == []


# -- one request, several middlewares ------------------------------------------------------------


def test_ignored_request_leaves_no_trace_in_any_middleware(flask_app: Flask) -> None:
    outer = Registry("outer")
    inner: Any = flask_app.wsgi_app
    flask_app.wsgi_app = ExpvarMiddleware(inner, registry=outer, attach=alone)  # type: ignore[method-assign]
    before = outer.snapshot()
    seen: list[Any] = []

    @flask_app.get("/debug/vars")
    def page() -> Response:
        request.environ["expvar.request"].ignore()
        seen.append(outer.snapshot())
        return Response(iter(["a", "b"]))

    assert flask_app.test_client().get("/debug/vars", buffered=True).text == "ab"

    assert seen == [before]
    assert outer.snapshot() == before


def test_nested_middlewares_each_count_for_themselves(flask_app: Flask, registry: Registry) -> None:
    outer = Registry("outer")
    inner: Any = flask_app.wsgi_app
    flask_app.wsgi_app = ExpvarMiddleware(inner, registry=outer, attach=alone)  # type: ignore[method-assign]
    flask_app.config["PROPAGATE_EXCEPTIONS"] = False

    flask_app.test_client().get("/boom", buffered=True)

    for each in (registry, outer):
        assert shown(each, "requestCount") == {"GET": 1}
        assert shown(each, "exceptionCount") == {"ZeroDivisionError": 1}
        assert list(shown(each, "firstByteSeconds")) == ["/boom"]
        assert shown(each, "requestsInFlight") == 0


def test_wrapped_twice_a_request_is_counted_once(wrap: Wrap, registry: Registry) -> None:
    between = ExpvarMiddleware(wrap(generating(b"x")), registry=Registry("other"), attach=alone)

    serve(wrap(between))

    assert shown(registry, "requestCount") == {"GET": 1}


def test_environ_used_again_is_another_request(wrap: Wrap, registry: Registry) -> None:
    app = wrap(generating(b"x"))
    environ = EnvironBuilder().get_environ()
    for _ in range(3):
        body = app(environ, lambda status, headers: None)
        list(body)
        body.close()

    assert environ["expvar.request"].parent is None
    assert shown(registry, "requestCount") == {"GET": 3}


# -- moves and forks -----------------------------------------------------------------------------


def test_request_goes_on_while_its_variables_move(wrap: Wrap, registry: Registry) -> None:
    app = wrap(generating(b"a", b"b"))
    serve(app)
    server = Server(app)
    chunks = iter(server.body)
    next(chunks)

    registry.attach(LocalStore(os.getpid()))
    list(chunks)
    server.body.close()
    serve(app)

    assert shown(registry, "requestsInFlight") == 0
    assert shown(registry, "responseCodeCount") == {"200": 3}
    assert shown(registry, "requestSeconds")["(no route)"]["count"] == 3


def test_request_that_was_forked_away_is_not_in_flight_in_the_child(
    wrap: Wrap, registry: Registry
) -> None:
    server = Server(wrap(generating(b"a")))

    registry._after_fork()
    registry.attach(LocalStore(os.getpid()), carry=False)
    server.finish()

    assert shown(registry, "requestsInFlight") == 0
    assert shown(registry, "responseCodeCount") == {"200": 1}


@pytest.mark.parametrize("step", [0, 1, 2])
def test_each_count_waits_for_the_registry_s_lock(
    wrap: Wrap, registry: Registry, step: int
) -> None:
    app = wrap(generating(b"a"))
    serve(app)
    servers: list[Server] = []
    steps: list[Callable[[], Any]] = [
        lambda: servers.append(Server(app)),
        lambda: list(servers[0].body),
        lambda: servers[0].body.close(),
    ]
    for before in steps[:step]:
        before()
    done = threading.Event()
    thread = threading.Thread(target=lambda: (steps[step](), done.set()))

    with registry.lock:
        thread.start()
        passed = done.wait(0.1)
    thread.join(10)

    assert (passed, done.is_set()) == (False, True)
    for after in steps[step + 1 :]:
        after()


# -- what the application reads ------------------------------------------------------------------


def test_only_what_was_read_of_a_request_is_counted(flask_app: Flask, registry: Registry) -> None:
    client = flask_app.test_client()

    assert client.post("/upload", data=b"x" * 1000, buffered=True).text == "1000"
    client.post("/items/5", data=b"x" * 1000, buffered=True)

    assert shown(registry, "requestBytes") == 1000


def test_every_way_to_read_is_counted(wrap: Wrap, registry: Registry) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        stream = environ["wsgi.input"]
        into = bytearray(3)
        read = [stream.readline(), stream.read(2), stream.readinto(into), bytes(into)]
        return [repr([*read, stream.readlines(1), list(stream), stream.tell()]).encode()]

    text = b"one\n23456\nseven\neight\n"
    answer = serve(
        wrap(app), **{"wsgi.input": io.BytesIO(text), "HTTP_TRANSFER_ENCODING": "chunked"}
    )

    assert answer == [
        repr([b"one\n", b"23", 3, b"456", [b"\n"], [b"seven\n", b"eight\n"], len(text)]).encode()
    ]
    assert shown(registry, "requestBytes") == len(text)


def test_a_stream_has_only_the_methods_that_it_has() -> None:
    class Stream:
        def read(self, size: int = -1) -> bytes:
            return b""

    assert not hasattr(CountedInput(Stream(), lambda n: None), "readinto")


@pytest.mark.parametrize("length", [None, "", "0"])
def test_stream_of_a_request_without_body_is_left_alone(wrap: Wrap, length: Any) -> None:
    stream = io.BytesIO()

    server = Server(wrap(answering([b"x"])), **{"wsgi.input": stream, "CONTENT_LENGTH": length})

    assert server.environ["wsgi.input"] is stream
    server.finish()


@pytest.mark.parametrize("length", ["-1", "abc", "9" * 5000, 12, b"5", "²"])
def test_hostile_lengths_change_nothing(wrap: Wrap, registry: Registry, length: Any) -> None:
    assert serve(wrap(answering([b"x"])), CONTENT_LENGTH=length) == [b"x"]

    assert shown(registry, "requestBytes") == 0
    assert dropped(registry) == 0


# -- nothing of ours breaks an application -------------------------------------------------------


@pytest.mark.parametrize(
    "environ", [{"expvar.request": 5}, {"expvar.route": 5}, {"SCRIPT_NAME": 1}]
)
def test_odd_environ_is_no_obstacle(wrap: Wrap, registry: Registry, environ: Any) -> None:
    assert serve(wrap(answering(iter([b"x"]))), **environ) == [b"x"]

    assert shown(registry, "responseCodeCount") == {"200": 1}


def test_route_that_is_no_key_is_dropped_and_the_code_counts(
    wrap: Wrap, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    class Route:
        def __str__(self) -> str:
            raise RuntimeError

    assert serve(wrap(answering([b"x"])), **{"expvar.route": Route()}) == [b"x"]

    assert shown(registry, "responseCodeCount") == {"200": 1}
    assert shown(registry, "requestsInFlight") == 0
    assert dropped(registry) == 2


def test_key_of_another_kind_is_dropped(wrap: Wrap, registry: Registry) -> None:
    app = wrap(answering([b"x"]))
    registry.get("http/responseCodeCount").set("200", "mine")  # type: ignore[union-attr]

    assert serve(app) == [b"x"]

    assert shown(registry, "responseCodeCount") == {"200": "mine"}
    assert shown(registry, "requestCount") == {"GET": 1}
    assert dropped(registry) == 1


def test_both_sides_keep_to_the_standard(wrap: Wrap, registry: Registry) -> None:
    headers = [("Content-Type", "text/plain")]
    for body in ([b"ab"], iter([b"a", b"b"])):
        app = validator(wrap(validator(answering(body, headers=headers))))
        environ = EnvironBuilder(method="POST", data=b"").get_environ()
        environ["QUERY_STRING"] = ""
        chunks, status, _ = run_wsgi_app(app, environ, buffered=True)
        assert (b"".join(chunks), status) == (b"ab", "200 OK")

    assert shown(registry, "responseBytes") == 4


# -- the hook ------------------------------------------------------------------------------------


def test_hook_is_called_once_before_the_first_count(wrap: Wrap, registry: Registry) -> None:
    seen: list[int] = []
    app = wrap(answering([b"x"]), attach=lambda: seen.append(shown(registry, "requestsInFlight")))
    for _ in range(2):
        serve(app)

    assert seen == [0]


def test_hook_that_raises_is_logged(wrap: Wrap, caplog: pytest.LogCaptureFixture) -> None:
    def attach() -> None:
        raise OSError("full")

    with caplog.at_level(logging.WARNING, "flask_expvar"):
        assert serve(wrap(answering([b"x"]), attach=attach)) == [b"x"]

    assert "each counts alone" in caplog.text
