"""One request after the other through the middleware, driven by hand as a server drives it."""

from __future__ import annotations

import gc
import io
import signal
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest
from flask import Flask, abort
from werkzeug.test import EnvironBuilder

from flask_expvar import ExpvarMiddleware, Registry


class Clock:
    """Seconds that pass when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def wrap(registry: Registry, clock: Clock) -> Callable[[Any], ExpvarMiddleware]:
    def wrap(app: Any) -> ExpvarMiddleware:
        return ExpvarMiddleware(app, registry=registry, clock=clock, attach=lambda: None)

    return wrap


def begin(app: Any, method: str = "GET", **how: Any) -> Iterable[bytes]:
    environ = EnvironBuilder("/raw/path", method=method, **how).get_environ()
    body: Iterable[bytes] = app(environ, lambda status, headers, exc_info=None: io.BytesIO().write)
    return body


def serve(app: Any, method: str = "GET", **how: Any) -> bytes:
    body: Any = begin(app, method, **how)
    try:
        return b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()


def hello(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


def counts(registry: Registry) -> dict[str, Any]:
    return {name[5:]: value for name, value in registry.snapshot().items()}


@pytest.mark.parametrize("closed", [True, False])
def test_no_signal_handler_comes_while_a_request_is_counted(
    registry: Registry, wrap: Any, closed: bool
) -> None:
    app, held = wrap(hello), []
    before = signal.signal(signal.SIGALRM, lambda *_: held.append(registry.lock.locked()))
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    try:
        while len(held) < 3000:
            body = app({"REQUEST_METHOD": "GET"}, lambda *_: None)
            if closed:
                body.close()
            del body
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert not any(held)


def test_a_request_is_counted_by_method_code_route_and_bytes(registry: Registry, wrap: Any) -> None:
    assert serve(wrap(hello)) == b"hello"

    found = counts(registry)
    assert found["requestCount"] == {"GET": 1}
    assert found["responseCodeCount"] == {"200": 1}
    assert found["responseBytes"] == 5
    assert found["requestsInFlight"] == 0
    assert found["requestSeconds"]["(no route)"]["count"] == 1
    assert found["firstByteSeconds"]["(no route)"]["count"] == 1
    assert "/raw/path" not in str(found)


def test_a_stream_is_timed_to_its_end_with_its_first_byte_apart(
    registry: Registry, wrap: Any, clock: Clock
) -> None:
    def stream(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        clock.now += 0.02
        yield b"first"
        clock.now += 0.18
        yield b"last"

    serve(wrap(stream))

    found = counts(registry)
    assert found["firstByteSeconds"]["(no route)"]["sum"] == pytest.approx(0.02)
    assert found["requestSeconds"]["(no route)"]["sum"] == pytest.approx(0.2)
    assert found["responseBytes"] == 9


def test_a_request_is_in_flight_until_its_body_is_closed(registry: Registry, wrap: Any) -> None:
    body: Any = begin(wrap(lambda e, s: (s("200 OK", []), iter([b"a", b"b"]))[1]))
    assert counts(registry)["requestsInFlight"] == 1
    list(body)
    assert counts(registry)["requestsInFlight"] == 1
    body.close()
    body.close()

    assert counts(registry)["requestsInFlight"] == 0
    assert counts(registry)["requestSeconds"]["(no route)"]["count"] == 1


def test_the_code_is_counted_before_the_first_byte_leaves(registry: Registry, wrap: Any) -> None:
    body: Any = begin(wrap(lambda e, s: (s("200 OK", []), iter([b"a", b"b"]))[1]))
    assert counts(registry)["responseCodeCount"] == {}
    next(iter(body))
    assert counts(registry)["responseCodeCount"] == {"200": 1}
    body.close()


def test_a_body_that_the_client_abandons_is_counted_once_closed(
    registry: Registry, wrap: Any
) -> None:
    ended = []

    def endless(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            while True:
                yield b"x"
        finally:
            ended.append(True)

    body: Any = begin(wrap(endless))
    chunks = iter(body)
    next(chunks)
    body.close()

    assert ended == [True]
    assert counts(registry)["requestsInFlight"] == 0
    assert counts(registry)["exceptionCount"] == {}


def test_a_body_that_is_never_closed_is_counted_when_it_is_forgotten(
    registry: Registry, wrap: Any
) -> None:
    body: Any = begin(wrap(lambda e, s: (s("200 OK", []), iter([b"a"]))[1]))
    list(body)
    del body
    gc.collect()

    assert counts(registry)["requestsInFlight"] == 0


@pytest.mark.parametrize("where", ["app", "body", "close"])
def test_an_exception_is_counted_and_passed_on(registry: Registry, wrap: Any, where: str) -> None:
    class Body:
        def __iter__(self) -> Iterator[bytes]:
            if where == "body":
                raise KeyError("x")
            yield b"a"

        def close(self) -> None:
            if where == "close":
                raise KeyError("x")

    def app(environ: Any, start_response: Any) -> Any:
        if where == "app":
            raise KeyError("x")
        start_response("200 OK", [])
        return Body()

    with pytest.raises(KeyError):
        serve(wrap(app))

    found = counts(registry)
    assert found["exceptionCount"] == {"KeyError": 1}
    assert found["responseCodeCount"] == {"200" if where == "close" else "500": 1}
    assert found["requestsInFlight"] == 0


def test_a_later_status_with_exc_info_is_the_one_that_counts(registry: Registry, wrap: Any) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        try:
            raise ValueError("late")
        except ValueError as error:
            start_response("500 Oops", [], (ValueError, error, error.__traceback__))
        return [b"sorry"]

    serve(wrap(app))

    assert counts(registry)["responseCodeCount"] == {"500": 1}
    assert counts(registry)["exceptionCount"] == {"ValueError": 1}


def test_the_write_callable_is_counted(registry: Registry, wrap: Any) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])(b"written")
        return []

    serve(wrap(app))

    assert counts(registry)["responseBytes"] == 7
    assert counts(registry)["responseCodeCount"] == {"200": 1}


def test_a_list_stays_a_list_and_a_file_what_the_server_knows(wrap: Any) -> None:
    assert len(begin(wrap(hello))) == 1  # type: ignore[arg-type]

    def file(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", "3")])
        return environ["wsgi.file_wrapper"](io.BytesIO(b"abc"))

    body: Any = begin(wrap(file), environ_overrides={"wsgi.file_wrapper": FileWrapper})
    assert isinstance(body, FileWrapper)
    body.close()


def test_request_bodies_are_counted_as_they_are_read(registry: Registry, wrap: Any) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        environ["wsgi.input"].read(4)
        environ["wsgi.input"].readline()
        start_response("200 OK", [])
        return []

    serve(wrap(app), "POST", data=b"0123456\n89")

    assert counts(registry)["requestBytes"] == 8


@pytest.mark.parametrize("length", ["", "x", "-5", "99999999999999999999", "٣"])
def test_a_hostile_content_length_harms_nobody(registry: Registry, wrap: Any, length: str) -> None:
    serve(wrap(hello), environ_overrides={"CONTENT_LENGTH": length})

    assert counts(registry)["requestBytes"] == 0


@pytest.mark.parametrize(
    ("method", "key"),
    [
        ("GET", "GET"),
        ("PATCH", "PATCH"),
        ("BREWCOFFEE", "unknown<BREWCO>"),
        ("get", "unknown<get>"),
    ],
)
def test_unknown_methods_are_cut(registry: Registry, wrap: Any, method: str, key: str) -> None:
    app = wrap(hello)
    serve(lambda e, s: app({**e, "REQUEST_METHOD": method}, s))

    assert counts(registry)["requestCount"] == {key: 1}


def test_a_scanner_cannot_fill_the_map_of_methods(registry: Registry, wrap: Any) -> None:
    app = wrap(hello)
    for number in range(500):
        serve(lambda e, s, n=number: app({**e, "REQUEST_METHOD": f"M{n}"}, s))

    assert len(counts(registry)["requestCount"]) <= 101
    assert registry.snapshot()["expvar/dropped"] == 400


@pytest.fixture
def shop() -> Flask:
    app = Flask("shop")
    app.add_url_rule("/items/<int:item>", view_func=lambda item: str(item), endpoint="item")
    app.add_url_rule("/fail", view_func=lambda: {}["x"], endpoint="fail")
    app.add_url_rule("/gone", view_func=lambda: abort(410), endpoint="gone")
    return app


def test_flask_requests_are_filed_under_their_rule(
    registry: Registry, wrap: Any, shop: Flask
) -> None:
    shop.wsgi_app = wrap(shop.wsgi_app)  # type: ignore[method-assign]
    client = shop.test_client()
    for path in ("/items/1", "/items/2", "/nowhere/secret", "/gone"):
        client.get(path).close()

    found = counts(registry)
    routes = {route: value["count"] for route, value in found["requestSeconds"].items()}
    assert routes == {"(no route)": 1, "/gone": 1, "/items/<int:item>": 2}
    assert found["responseCodeCount"] == {"200": 2, "404": 1, "410": 1}
    assert found["exceptionCount"] == {}
    assert "secret" not in str(registry.snapshot())


@pytest.mark.parametrize("testing", [False, True])
def test_an_exception_that_flask_answers_is_counted_once(
    registry: Registry, wrap: Any, shop: Flask, testing: bool
) -> None:
    shop.testing = testing
    shop.wsgi_app = wrap(shop.wsgi_app)  # type: ignore[method-assign]
    try:
        shop.test_client().get("/fail").close()
    except KeyError:
        assert testing

    found = counts(registry)
    assert found["exceptionCount"] == {"KeyError": 1}
    assert found["responseCodeCount"] == {"500": 1}
    assert found["requestSeconds"]["/fail"]["count"] == 1


def test_two_middlewares_with_their_own_registries_count_apart(shop: Flask) -> None:
    one, other = Registry(), Registry()
    inner = ExpvarMiddleware(shop.wsgi_app, registry=one, attach=lambda: None)
    shop.wsgi_app = ExpvarMiddleware(  # type: ignore[method-assign]
        inner, registry=other, prefix="front", attach=lambda: None
    )
    shop.test_client().get("/fail").close()

    assert one.snapshot()["http/exceptionCount"] == {"KeyError": 1}
    assert other.snapshot()["front/exceptionCount"] == {"KeyError": 1}


def test_the_middleware_keeps_to_the_rules_of_wsgi(wrap: Any) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"hello"]

    assert serve(validator(wrap(validator(app))), environ_overrides={"SCRIPT_NAME": ""}) == b"hello"


def test_nothing_can_be_written_after_the_end(registry: Registry) -> None:
    kept: list[Callable[[bytes], Any]] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        kept.append(start_response("200 OK", []))
        return [b"a"]

    wrapped = ExpvarMiddleware(app, registry=registry, attach=lambda: None)
    body: Any = wrapped(EnvironBuilder().get_environ(), lambda status, headers: [].append)
    body.close()

    with pytest.raises(ValueError, match="has ended"):
        kept[0](b"late")
