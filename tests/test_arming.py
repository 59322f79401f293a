"""Profiles of single requests, while somebody wants them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import work
from flask import Flask, Response, send_file

import flask_expvar as expvar
from flask_expvar.exceptions import UnknownError
from flask_expvar.stacks import hook
from flask_expvar.stacks.arms import Arms, arms_of
from flask_expvar.traces.tracer import tracer_of
from flask_expvar.variables.registry import Registry
from flask_expvar.workers import rounds


class Shop:
    """An application and its registry."""

    def __init__(self) -> None:
        self.registry = Registry("shop")
        self.app = Flask("shop")
        self.app.testing = False
        self.middleware = expvar.ExpvarMiddleware(self.app.wsgi_app, registry=self.registry)
        self.inner = self.app.wsgi_app
        self.app.wsgi_app = self.middleware  # type: ignore[method-assign]
        self.arms = arms_of(self.registry)
        self.held: list[Any] = []
        self._routes()

    def _routes(self) -> None:
        @self.app.get("/work/<int:ms>")
        def work_on(ms: int) -> str:
            work.burn(ms / 1000)
            return "done"

        @self.app.get("/stream")
        def stream() -> Response:
            def pieces() -> Iterator[bytes]:
                for _ in range(3):
                    work.burn(0.005)
                    yield b"piece"

            return Response(pieces())

        @self.app.get("/broken")
        def broken() -> str:
            work.burn(0.005)
            raise ValueError("broken")

        @self.app.get("/broken-stream")
        def broken_stream() -> Response:
            def pieces() -> Iterator[bytes]:
                yield b"piece"
                work.burn(0.005)
                raise ValueError("broken")

            return Response(pieces())

        @self.app.get("/file")
        def file() -> Response:
            return send_file(__file__)

    def get(self, path: str) -> bytes:
        with self.app.test_client() as client, client.get(path) as response:
            return response.data


@pytest.fixture
def shop() -> Iterator[Shop]:
    found = Shop()
    yield found
    found.arms.disarm()


def names(shop: Shop) -> set[str]:
    return {
        frame.name
        for kept in shop.arms.kept
        for each in kept.profile.samples
        for frame in each.stack
    }


def is_clean(shop: Shop) -> bool:
    return sys.getprofile() is None and hook.left() == 0


def test_wanted_requests_are_profiled_and_no_more(shop: Shop) -> None:
    shop.arms.arm(2, "/work/<int:ms>")
    for _ in range(4):
        shop.get("/work/5")

    assert [kept.route for kept in shop.arms.kept] == ["/work/<int:ms>"] * 2
    assert {"burn", "work_on"} <= {name.rpartition(".")[2] for name in names(shop)}
    # Nothing is in the way of the requests after that.
    assert shop.middleware._app == shop.inner
    assert is_clean(shop)


def test_profile_is_found_from_its_trace(shop: Shop) -> None:
    shop.arms.arm(1)
    shop.get("/work/5")

    (kept,) = shop.arms.kept
    tracer = tracer_of(shop.registry)
    tracer.settle() if hasattr(tracer, "settle") else None
    trace = tracer.find(kept.trace)
    assert trace is not None
    assert f"its own profile: {kept.id}" in [event.text for event in trace.events]
    assert shop.arms.of(kept.trace) is kept
    (told,) = rounds.request_profiles(shop.registry).kept
    assert told["trace"] == kept.trace
    profiles, left = rounds.fetch_profiles(shop.registry, kept.id)
    assert profiles == [kept.profile]
    assert left == 0
    with pytest.raises(UnknownError, match="no profile"):
        rounds.fetch_profiles(shop.registry, "1-r1000")


def test_only_slow_requests_are_kept(shop: Shop) -> None:
    shop.arms.arm(5, slower=60)
    shop.get("/work/80")
    assert shop.arms.kept == []
    assert shop.arms.wish is not None
    assert shop.arms.wish.left == 5

    shop.arms.arm(5, slower=0.05)
    shop.get("/work/80")
    assert [kept.seconds > 0.05 for kept in shop.arms.kept] == [True]
    assert shop.arms.wish.left == 4


def test_requests_of_other_routes_are_not_watched(shop: Shop) -> None:
    shop.arms.arm(5, "/stream")
    shop.get("/work/1")
    shop.get("/nowhere")

    assert shop.arms.kept == []
    shop.get("/stream")
    assert [kept.route for kept in shop.arms.kept] == ["/stream"]


@pytest.mark.parametrize("path", ["/stream", "/broken", "/broken-stream", "/file", "/nowhere"])
def test_hook_is_gone_however_a_request_ends(shop: Shop, path: str) -> None:
    shop.arms.arm(1)
    try:
        shop.get(path)
    except ValueError:
        assert path == "/broken-stream"

    assert is_clean(shop)
    assert len(shop.arms.kept) == 1
    if "stream" in path:
        assert any(name.endswith("pieces") for name in names(shop))


def test_body_that_is_never_closed_leaves_no_hook(shop: Shop) -> None:
    shop.arms.arm(2)
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/stream", "wsgi.url_scheme": "http"}
    environ |= {"SERVER_NAME": "x", "SERVER_PORT": "80"}
    body: Any = shop.middleware(environ, lambda *_: lambda _: None)
    next(iter(body))
    assert hook.left() == 1

    # The next request of this thread finds it.
    shop.get("/work/5")

    assert hook.left() == 0
    assert [kept.route for kept in shop.arms.kept] == ["/work/<int:ms>"]
    del body
    assert is_clean(shop)


def test_hook_goes_with_the_next_request_if_another_thread_has_closed_the_body(
    shop: Shop,
) -> None:
    shop.arms.arm(1)
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/stream", "wsgi.url_scheme": "http"}
    environ |= {"SERVER_NAME": "x", "SERVER_PORT": "80"}
    body: Any = shop.middleware(environ, lambda *_: lambda _: None)
    next(iter(body))
    closing = threading.Thread(target=body.close)
    closing.start()
    closing.join()
    shop.arms.disarm()
    assert hook.left() == 1

    shop.get("/work/1")

    assert is_clean(shop)
    assert shop.middleware._app == shop.inner


def test_threads_are_watched_each_by_itself(shop: Shop) -> None:
    shop.arms.arm(3)
    threads = [threading.Thread(target=shop.get, args=(f"/work/{20 + n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(shop.arms.kept) == 3
    for kept in shop.arms.kept:
        calls = [[frame.name for frame in each.stack] for each in kept.profile.samples]
        assert all(call.count("Shop.get") == 1 for call in calls), calls
    assert hook.left() == 0


def test_profiler_of_the_program_is_left_alone(shop: Shop) -> None:
    seen: list[str] = []
    shop.arms.arm(1)
    sys.setprofile(lambda *event: seen.append(event[1]))
    try:
        shop.get("/work/1")
    finally:
        kept, found = shop.arms.kept, sys.getprofile()
        sys.setprofile(None)

    assert kept == []
    assert found is not None
    assert seen
    assert shop.arms.wish is not None
    assert shop.arms.wish.left == 1


def test_wish_is_given_up_after_its_time() -> None:
    now = [0.0]
    arms = Arms(clock=lambda: now[0])
    arms.arm(5, ttl=300)
    assert arms.take() is not None

    now[0] = 301

    assert arms.take() is None
    assert arms.wish is None


@pytest.mark.parametrize("what", [{"count": 0}, {"count": 101}, {"ttl": 0}, {"slower": -1}])
def test_wishes_have_limits(what: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(what))):
        Arms().arm(**what)
