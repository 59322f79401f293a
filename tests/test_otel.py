"""Finished traces go to OpenTelemetry: failed and slow ones always, of the rest a share."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

import flask_expvar as expvar
from flask_expvar.exceptions import BadKindError
from flask_expvar.traces.family import Family
from flask_expvar.traces.tracer import tracer_of

otel = pytest.importorskip("flask_expvar.otel", exc_type=ImportError)
memory = pytest.importorskip(
    "opentelemetry.sdk.trace.export.in_memory_span_exporter", exc_type=ImportError
)

Start = Callable[..., Any]


@pytest.fixture
def registry() -> expvar.Registry:
    return expvar.Registry()


@pytest.fixture
def exporter() -> Any:
    return memory.InMemorySpanExporter()


@pytest.fixture
def start(registry: expvar.Registry, exporter: Any) -> Iterator[Start]:
    begun = []

    def start(**how: Any) -> Any:
        # The thread waits: tests hand over themselves.
        how = {"exporter": exporter, "interval": 60, **how}
        begun.append(otel.export_traces(registry=registry, **how))
        return begun[-1]

    yield start
    for each in begun:
        each.stop()


def test_a_request_is_a_span_under_opentelemetrys_names(
    registry: expvar.Registry, exporter: Any, start: Start
) -> None:
    app = Flask("shop")
    app.config["EXPVAR_ACCESS"] = lambda request: True
    expvar.Expvar(app, registry=registry)
    app.add_url_rule("/order/<int:n>", view_func=lambda n: ("no", 503), endpoint="order")
    handover = start(ratio=0)
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    app.test_client().get("/order/7", headers={"traceparent": parent}, buffered=True)
    handover.flush()

    (span,) = exporter.get_finished_spans()
    assert span.name == "GET /order/<int:n>"
    assert span.kind.name == "SERVER"
    assert span.status.status_code.name == "ERROR"
    assert f"{span.context.trace_id:032x}" == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert f"{span.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert span.attributes["http.request.method"] == "GET"
    assert span.attributes["http.route"] == "/order/<int:n>"
    assert span.attributes["http.response.status_code"] == 503
    assert span.attributes["http.response.body.size"] == 2
    assert [event.name for event in span.events][-1] == "done"
    assert span.start_time <= span.events[0].timestamp <= span.end_time


def test_what_is_below_goes_with_it_once(
    registry: expvar.Registry, exporter: Any, start: Start
) -> None:
    handover = start(ratio=0)
    with expvar.trace("mail", "deliver", registry=registry) as above:
        with expvar.trace("dns", "look up", registry=registry) as child:
            child.error("no such host")
        above.log("given up, password=hunter2hunter2")

    handover.flush()

    first, second = exporter.get_finished_spans()
    assert (first.name, second.name) == ("mail deliver", "dns look up")
    assert second.parent == first.context
    assert f"{first.context.trace_id:032x}" == above.w3c_id
    assert second.attributes["error.type"] == "error"
    assert "hunter2" not in first.to_json()
    handover.flush()
    assert len(exporter.get_finished_spans()) == 2


@pytest.mark.parametrize(("ratio", "least", "most"), [(0, 0, 0), (0.5, 60, 140), (1, 200, 200)])
def test_of_what_is_neither_failed_nor_slow_a_share_goes(
    registry: expvar.Registry, exporter: Any, start: Start, ratio: float, least: int, most: int
) -> None:
    handover = start(ratio=ratio)
    for _ in range(200):
        with expvar.trace("mail", registry=registry):
            pass

    handover.flush()

    assert least <= len(exporter.get_finished_spans()) <= most


def test_what_is_slow_always_goes(registry: expvar.Registry, exporter: Any, start: Start) -> None:
    handover = start(ratio=0, slow=0)
    with expvar.trace("mail", registry=registry):
        pass

    handover.flush()

    assert len(exporter.get_finished_spans()) == 1


def test_the_thread_hands_over_by_itself(registry: expvar.Registry, start: Start) -> None:
    done = threading.Event()

    class Collector:
        def export(self, spans: Any) -> None:
            done.set()

    start(exporter=Collector(), interval=0.01, ratio=1)
    with expvar.trace("mail", registry=registry):
        pass

    assert done.wait(20)


def test_the_queue_is_bounded_and_a_collector_that_is_down_costs_nothing(
    registry: expvar.Registry, start: Start
) -> None:
    class Down:
        def export(self, spans: Any) -> None:
            raise OSError("refused")

    handover = start(exporter=Down(), ratio=1)
    for _ in range(otel.MOST_WAITING + 5):
        with expvar.trace("mail", registry=registry):
            pass
    handover.flush()

    assert handover.dropped == 5
    assert handover.failures == 1


def test_nothing_is_paid_while_it_is_off(registry: expvar.Registry, start: Start) -> None:
    tracer = tracer_of(registry)
    family = tracer.family("mail")
    assert type(family) is Family

    handover = start()
    assert type(family) is not Family
    handover.stop()

    assert type(family) is type(tracer.family("other")) is Family


def test_a_forked_worker_hands_over_its_own(registry: expvar.Registry, start: Start) -> None:
    def told(spans: Any) -> None:
        os.write(write, b"".join(f"{span.name}\n".encode() for span in spans))

    read, write = os.pipe()
    collector = type("Collector", (), {"export": staticmethod(told)})()
    handover = start(exporter=collector, ratio=1)
    with expvar.trace("mail", "parent's", registry=registry):
        pass
    child = os.fork()
    if child == 0:
        try:
            with expvar.trace("mail", "child's", registry=registry):
                pass
            handover.flush()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        said = file.read()

    assert said == b"mail child's\n"


@pytest.mark.parametrize("how", [{"ratio": 1.5}, {"slow": "1"}, {"interval": -1}])
def test_numbers_out_of_range_are_refused(start: Start, how: dict[str, Any]) -> None:
    with pytest.raises(BadKindError, match=next(iter(how))):
        start(**how)
