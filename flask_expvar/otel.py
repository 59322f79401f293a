"""Hands finished traces to OpenTelemetry, so that a collector takes them further.

This needs the extra ``otel``. Nothing of it is imported, or costs anything, unless
:func:`export_traces` is called.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event as SpanEvent
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)  # fmt: skip

from .exceptions import BadKindError
from .redaction import redact_text
from .traces.event import CHILD, LINK
from .traces.known import Known
from .traces.tracer import Tracer, tracer_of
from .variables.registry import Registry, default_registry

#: Traces that wait to be handed over; what comes on top of them is dropped and counted.
MOST_WAITING = 2048
#: Spans of one trace with everything below it.
MOST_SPANS = 200
_SCOPE = InstrumentationScope("flask_expvar")
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class Exporter(Protocol):
    """What takes spans: any ``SpanExporter`` of the SDK."""

    def export(self, spans: Sequence[ReadableSpan], /) -> Any:
        """Take finished spans."""


def export_traces(
    exporter: Exporter,
    *,
    registry: Registry | None = None,
    slow: float = 0.3,
    ratio: float = 0.05,
    interval: float = 1.0,
    resource: Resource | None = None,
) -> Handover:
    """Hand the finished traces of this process to *exporter*, in a thread of its own.

    ::

        from flask_expvar.otel import export_traces

        export_traces(OTLPSpanExporter("http://collector:4318/v1/traces"))

    Those that have failed or took long are always handed over, with everything below them; of
    the others a share. On the way of a request nothing happens but that it is put in a queue.
    Call it at import: after a fork each worker has its own thread.

    :param registry: whose traces, the default one's unless given.
    :param slow: from how many seconds on a trace is slow.
    :param ratio: the share of the others, 0 to 1.
    :param interval: seconds between two hand-overs.
    :raises BadKindError: if a number is out of its range.
    """
    for name, value, most in (("slow", slow, 1e9), ("ratio", ratio, 1), ("interval", interval, 60)):
        if not isinstance(value, (int, float)) or not 0 <= value <= most:
            raise BadKindError(name, value, f"a number from 0 to {most:g}")
    tracer = tracer_of(registry if registry is not None else default_registry)
    made = Handover(tracer, exporter, resource or Resource.create({}))
    made.slow, made.ratio, made.interval = slow, ratio, interval
    tracer.watch(made.note)
    return made


class Handover:
    """The queue of traces that have finished, and the thread that empties it."""

    def __init__(self, tracer: Tracer, exporter: Exporter, resource: Resource) -> None:
        self.slow, self.ratio, self.interval = 0.3, 0.05, 1.0
        #: How many traces were not handed over, since too many waited.
        self.dropped = 0
        #: How many times the exporter has failed.
        self.failures = 0
        self._tracer, self._exporter, self._resource = tracer, exporter, resource
        self._waiting: deque[Known] = deque()
        self._pid, self._over = 0, threading.Event()
        self._thread: threading.Thread | None = None

    def note(self, trace: Known) -> None:
        """Put *trace*, which has finished, in the queue. Never raises."""
        # Children go with what they are below, so that a trace is whole or not there.
        if trace._more.above is not None:
            return
        if self._pid != os.getpid():
            self._begin()
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(trace)
        else:
            self.dropped += 1

    def _begin(self) -> None:
        """Start the thread: at the first trace of each process, so forks need no hook."""
        self._pid = os.getpid()
        self._waiting.clear()  # a parent's are the parent's
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="expvar-otel", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        over = self._over
        while not over.wait(self.interval):
            self.flush()

    def flush(self) -> None:
        """Hand over what has finished until now, in the thread that calls this."""
        self._tracer.settle()
        spans: list[ReadableSpan] = []
        for _ in range(len(self._waiting)):
            try:
                trace = self._waiting.popleft()
            except IndexError:  # another thread was quicker
                break
            tree = below(trace)
            if self.wants(tree):
                spans += self._spans(tree)
        if spans:
            try:
                self._exporter.export(spans)
            except Exception:  # a collector that is down costs its own traces
                self.failures += 1

    def stop(self) -> None:
        """Hand over the rest, and end the thread."""
        self._tracer.settle()
        self._tracer.unwatch(self.note)
        self._over.set()
        if self._thread is not None and self._pid == os.getpid():
            self._thread.join(5)
        self.flush()

    def wants(self, tree: Sequence[Known]) -> bool:
        """Return whether a trace, the first of *tree*, is handed over."""
        if tree[0].seconds >= self.slow or any(each.failed for each in tree):
            return True
        # As OpenTelemetry's TraceIdRatioBased: other programs decide the same of the same id.
        return int(tree[0].w3c_id[16:], 16) < self.ratio * 2**64

    def _spans(self, tree: Sequence[Known]) -> list[ReadableSpan]:
        inside = {each.id: each for each in tree}
        return [self._span(each, inside) for each in tree]

    def _span(self, trace: Known, inside: dict[str, Known]) -> ReadableSpan:
        facts = dict(trace.facts or {})
        parent = inside.get(trace.parent or "")
        above = context(parent) if parent is not None else caller(trace, facts)
        attributes = {
            "expvar.family": trace.family,
            "expvar.trace": trace.id,
            **{key: value for key, value in _attributes(trace, facts).items() if value},
        }
        if trace.failed:
            attributes["error.type"] = trace.failed
        events = []
        links = []
        for event in trace.events:
            if event.kind == LINK:
                links += [Link(context(other)) for each, other in trace.others()
                          if each == event and isinstance(other, Known)]  # fmt: skip
            elif event.kind != CHILD:
                at = _ns(trace, event.when)
                events.append(SpanEvent(redact_text(event.text), {}, timestamp=at))
        return ReadableSpan(
            name=redact_text(
                trace.family if "method" in facts else f"{trace.family} {trace.title}"
            ),
            context=context(trace),
            parent=above,
            resource=self._resource,
            attributes=attributes,
            events=events,
            links=links,
            kind=SpanKind.SERVER if "method" in facts else SpanKind.INTERNAL,
            status=Status(StatusCode.ERROR if trace.failed else StatusCode.UNSET),
            start_time=trace._wall,
            end_time=trace._wall + int(trace.seconds * 1e9),
            instrumentation_scope=_SCOPE,
        )


def _attributes(trace: Known, facts: dict[str, Any]) -> dict[str, Any]:
    """Return what is known of a request, under OpenTelemetry's names."""
    if "method" not in facts:
        return {"expvar.title": redact_text(trace.title)}
    status = str(facts.get("status", ""))
    return {
        "http.request.method": facts["method"].upper(),
        "http.route": trace.family.partition(" ")[2],
        "http.response.status_code": int(status) if status.isdigit() else 0,
        "http.request.body.size": facts.get("received", 0),
        "http.response.body.size": facts.get("sent", 0),
    }


def context(trace: Known) -> SpanContext:
    """Return the ids of *trace*, the same that its ``traceparent`` tells others."""
    return SpanContext(int(trace.w3c_id, 16), trace._number, False, _SAMPLED)


def caller(trace: Known, facts: dict[str, Any]) -> SpanContext | None:
    """Return the span of another program that the request came from, if it said so."""
    try:
        span = int(str(facts["caller"]), 16)
    except (KeyError, ValueError):
        return None
    return SpanContext(int(trace.w3c_id, 16), span, True, _SAMPLED)


def below(trace: Known) -> list[Known]:
    """Return *trace* and what is below it, as far as it is still known."""
    found, seen = [trace], {trace.id}
    for each in found:
        for event, other in each.others():
            if event.kind == CHILD and isinstance(other, Known) and other.id not in seen:
                if len(found) >= MOST_SPANS:
                    return found
                seen.add(other.id)
                found.append(other)
    return found


def _ns(trace: Known, when: float) -> int:
    return trace._wall + max(int((when - trace.began) * 1e9), 0)
