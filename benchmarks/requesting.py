"""What one contender adds to a request of a minimal Flask application, by which it is measured."""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import thread_time
from typing import Any

from flask import Flask, request_started
from werkzeug.test import create_environ

from .contest import Samples, repeated, serve, timed

TIMES = 200


def plain() -> Flask:
    """Return the application that all of them wrap."""
    app = Flask("bench")

    @app.get("/")
    def index() -> str:
        return "Hello, World!"

    return app


def expvar(traces: bool = True) -> Flask:
    """Return it with what the README tells to add; ``FLASK_EXPVAR_DIR`` makes it share."""
    from flask_expvar import ExpvarMiddleware, blueprint, default_registry
    from flask_expvar.workers.shared import SharedStore

    app = plain()
    app.register_blueprint(blueprint())
    middleware = ExpvarMiddleware(app.wsgi_app, traces=traces)
    app.wsgi_app = middleware  # type: ignore[method-assign]  # as Flask's docs do
    request(app)()  # the first one joins
    assert isinstance(default_registry.store, SharedStore)
    assert not traces or (middleware.requests and middleware.requests.notes)
    # Who listens to Flask for all applications would slow down the plain one as well.
    assert not request_started.receivers
    return app


def counting() -> Flask:
    """Return it with the counts alone."""
    return expvar(traces=False)


def exporter() -> Flask:
    """Return it with prometheus-flask-exporter; the environment says whether for many processes."""
    from prometheus_flask_exporter import PrometheusMetrics

    app = plain()
    PrometheusMetrics(app)
    return app


def opentelemetry() -> Flask:
    """Return it with OpenTelemetry's traces and metrics, made by the SDK and sent nowhere."""
    from opentelemetry.instrumentation.flask import FlaskInstrumentor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider

    app = plain()
    meters = MeterProvider(metric_readers=[InMemoryMetricReader()])
    FlaskInstrumentor().instrument_app(app, tracer_provider=TracerProvider(), meter_provider=meters)
    return app


APPS: dict[str, Callable[[], Flask]] = {
    app.__name__: app for app in (plain, expvar, counting, exporter, opentelemetry)
}


def request(app: Flask) -> Callable[[], None]:
    """Return a function that asks as a server does: call, drain, close."""
    environ = create_environ("/", "http://localhost/")

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Callable[..., Any]:
        return b"".join

    def ask() -> None:
        body = app(dict(environ), start_response)
        for _ in body:
            pass
        close = getattr(body, "close", None)
        if close is not None:
            close()

    return ask


def main(name: str) -> None:
    """Answer with one sample of the contender between two of the plain application."""
    baseline = repeated(request(plain()))
    loop = repeated(request(APPS[name]()))

    def sample() -> Samples:
        # The time of this thread's CPU: what else the machine does is in no figure.
        before, found, after = (
            timed(each, TIMES, thread_time) for each in (baseline, loop, baseline)
        )
        lone = (before + after) / 2
        # By the plain one at the same moment: the machine's speed changes from one to the next.
        return {"added": found / lone - 1, "plain": 1e6 * lone}

    serve({"sample": sample})


if __name__ == "__main__":
    main(sys.argv[1])
