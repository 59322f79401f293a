"""``/debug/traces``: families, lists, latencies and single traces, whatever is in them."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from apps import SHOP
from apps import TOKEN as TOKEN_OF_SHOP
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers import Gunicorn

import flask_expvar as expvar
from flask_expvar.pages.page import Query
from flask_expvar.pages.traces import Traces
from flask_expvar.pages.traces_list import merge_lists, tell_list
from flask_expvar.pages.traces_matrix import merge_families
from flask_expvar.pages.traces_plain import public_id
from flask_expvar.pages.traces_question import question
from flask_expvar.pages.traces_table import delta
from flask_expvar.pages.traces_tree import merge_trace
from flask_expvar.traces import tracer as tracers
from flask_expvar.traces.trace import Trace
from flask_expvar.traces.tracer import Tracer

TOKEN = "a-token-of-the-tests-0123456789"
OPEN = {"Authorization": f"Bearer {TOKEN}"}
HTML = {**OPEN, "Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
HOSTILE = [
    "<script>alert(1)</script>", '"><img src=x onerror=y>', "\x1b[31mred", "\u202eevil", "nul \x00",
    "\ud800 alone", "'; drop table", "{{ 7*7 }}", "x" * 1_000_000, "!", "a!1!2", "a\nb\r\nc", "",
]  # fmt: skip


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry() -> expvar.Registry:
    return expvar.Registry()


@pytest.fixture
def tracer(clock: Clock, registry: expvar.Registry) -> Tracer:
    tracer = Tracer(clock=clock, wall=lambda: int((1764000000 + clock.now) * 1e9))
    tracer.next_number = itertools.count(1).__next__
    tracers._tracers[registry] = tracer
    return tracer


@pytest.fixture
def level() -> list[expvar.Level]:
    return [expvar.Level.SENSITIVE]


@pytest.fixture
def client(registry: expvar.Registry, tracer: Tracer, level: list[Any]) -> Iterator[FlaskClient]:
    app = Flask("shop")
    app.config["EXPVAR_ACCESS"] = lambda request: level[0]
    expvar.Expvar(app, registry=registry)
    with app.test_client() as client:
        yield client


@pytest.fixture
def get(client: FlaskClient) -> Callable[[str], Any]:
    """Return ``get("?fam=mail")``: the JSON of the page without what differs by process."""

    def get(query: str = "") -> Any:
        answer = client.get(f"/debug/traces{query}", headers=OPEN)
        assert answer.status_code == 200, answer.text
        data = json.loads(answer.text, parse_constant=pytest.fail)
        assert len(data.pop("workers")) == 1
        assert data.pop("missing") == []
        return data

    return get


def deliver(tracer: Tracer, clock: Clock, seconds: float = 0.25) -> Trace:
    """Trace a delivery that looks up a host and then fails."""
    trace = tracer.start("mail", "to example.com")
    trace.log("connected to %s", "mx1")
    clock.now += seconds / 4
    with trace.child("dns", "mx1"):
        clock.now += seconds / 2
    trace.facts = {"size": 12, "ratio": float("nan")}
    trace.error(ValueError("refused: 550"))
    clock.now += seconds / 4
    trace.finish()
    return trace


def without_worker(trace: dict[str, Any]) -> dict[str, Any]:
    assert trace.pop("worker") > 0
    return trace


# -- the JSON, word for word ---------------------------------------------------------------------


def test_matrix_as_json(get: Callable[..., Any], tracer: Tracer, clock: Clock) -> None:
    deliver(tracer, clock)
    waiting = tracer.start("mail", "to example.org")
    clock.now += 9.75

    mail = {"count": 1, "p50": 0.241289975, "p95": 0.260058597, "p99": 0.261726919}
    dns = {"count": 1, "p50": 0.120644987, "p95": 0.130029299, "p99": 0.13086346}
    assert get() == {
        "bands": [0.0, 0.005, 0.01, 0.05, 0.1, 0.3, 1.0, 10.0],
        "families": [
            {
                "family": "dns", "running": 0, "bands": [0, 0, 0, 0, 1, 0, 0, 0], "errors": 0,
                "rate": 0.101, "seconds": {"minute": dns, "hour": dns, "all": dns},
            },
            {
                "family": "mail", "running": 1, "bands": [0, 0, 0, 0, 1, 0, 0, 0], "errors": 1,
                "rate": 0.1, "seconds": {"minute": mail, "hour": mail, "all": mail},
            },
        ],
        "showing": 2,
        "of": 2,
        "dead": [],
        "deadOf": 0,
        "stacksNote": "",
    }  # fmt: skip
    waiting.finish()


def test_windows_forget_what_bands_and_totals_do_not(
    get: Callable[..., Any], tracer: Tracer, clock: Clock
) -> None:
    deliver(tracer, clock)
    clock.now += 7200

    mail = get()["families"][1]
    nothing = {"count": 0, "p50": None, "p95": None, "p99": None}
    assert mail["seconds"]["minute"] == mail["seconds"]["hour"] == nothing
    assert mail["seconds"]["all"]["count"] == sum(mail["bands"]) == 1
    assert mail["rate"] == 0


MAIL = {
    "id": "mail!1764000100000000000!0000000000000001",
    "family": "mail",
    "title": "to example.com",
    "start": 1764000100.0,
    "seconds": 0.25,
    "running": False,
    "error": "ValueError",
    "parent": None,
    "links": [],
    "facts": {"size": 12, "ratio": None},
    "dropped": 0,
    "late": 0,
}
DNS_ID = "dns!1764000100062500096!0000000000000002"
EVENTS = [
    {"offset": 0.0, "delta": 0.0, "kind": "log", "text": "connected to mx1"},
    {"offset": 0.0625, "delta": 0.0625, "kind": "child", "text": "", "trace": DNS_ID},
    {
        "offset": 0.1875, "delta": 0.125, "kind": "exception", "text": "ValueError",
        "detail": "refused: 550",
    },
]  # fmt: skip


def test_list_as_json(get: Callable[..., Any], tracer: Tracer, clock: Clock) -> None:
    deliver(tracer, clock)

    found = get("?fam=mail&b=-2")

    assert [without_worker(trace) for trace in found.pop("traces")] == [
        {
            **MAIL,
            "events": EVENTS,
            "longest": {"id": DNS_ID, "family": "dns", "title": "mx1", "seconds": 0.125},
        }
    ]
    assert found == {"family": "mail", "showing": 1, "of": 1, "scanned": 1, "candidates": 1}


def test_trace_as_json(get: Callable[..., Any], tracer: Tracer, clock: Clock) -> None:
    trace = deliver(tracer, clock)

    found = get(f"?trace={MAIL['id']}")

    assert without_worker(found["trace"]) == {**MAIL, "traceparent": trace.traceparent}
    assert found["traces"] == [
        {
            **{name: MAIL[name] for name in ("id", "family", "title", "seconds", "running")},
            "error": "ValueError", "depth": 0, "via": "", "linked": False, "offset": 0.0,
            "self": 0.125, "children": 0.125,
        },
        {
            "id": DNS_ID, "family": "dns", "title": "mx1", "seconds": 0.125, "running": False,
            "error": None, "depth": 1, "via": "child", "linked": False, "offset": 0.0625,
            "self": 0.125, "children": 0.0,
        },
    ]  # fmt: skip
    assert found["rows"] == [{"of": 0, **event} for event in EVENTS]
    assert (found["showing"], found["of"]) == ({"traces": 2, "rows": 3},) * 2
    assert found["whole"] is True


def test_latency_as_json(get: Callable[..., Any], tracer: Tracer, clock: Clock) -> None:
    for seconds in (0.001, 0.001, 0.02, 12.0):
        trace = tracer.start("mail", "x")
        clock.now += seconds
        trace.finish()

    found = get("?fam=mail&lat=yes&b=3")

    assert [(each["bound"], each["count"], each["share"], each["cumulative"])
            for each in found.pop("bands")] == [
        (0.0, 2, 50.0, 50.0), (0.005, 0, 0.0, 50.0), (0.01, 1, 25.0, 75.0), (0.05, 0, 0.0, 75.0),
        (0.1, 0, 0.0, 75.0), (0.3, 0, 0.0, 75.0), (1.0, 0, 0.0, 75.0), (10.0, 1, 25.0, 100.0),
    ]  # fmt: skip
    assert [found["seconds"][key]["count"] for key in ("minute", "hour", "all")] == [4, 4, 4]
    del found["seconds"]
    assert found == {
        "family": "mail", "count": 4, "errors": 0, "running": 0, "total": 12.022, "mean": 3.0055,
        "min": 0.001, "max": 12.0,
    }  # fmt: skip


# -- what is asked -------------------------------------------------------------------------------


def titles(found: Any) -> list[str]:
    return [trace["title"] for trace in found["traces"]]


@pytest.fixture
def some(tracer: Tracer, clock: Clock) -> list[Trace]:
    """Traces of 1 ms, 20 ms, 2 s and a failed one of 2 s; two that are running."""
    traces = []
    for title, seconds in (("fast", 0.001), ("usual", 0.02), ("slow", 2.0), ("failed", 2.0)):
        trace = tracer.start("mail", title)
        trace.log("Delivered %s", title)
        clock.now += seconds
        if title == "failed":
            trace.error("no route")
        trace.finish()
        traces.append(trace)
    for title in ("first", "second"):
        traces.append(tracer.start("mail", title))
        clock.now += 0.5
    tracer.start("dns", "lookup").finish()
    return traces


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("fam=mail", ["second", "first", "failed", "slow", "usual", "fast"]),
        ("fam=mail&b=0", ["failed", "slow", "usual", "fast"]),
        ("fam=mail&b=1", ["failed", "slow", "usual"]),
        ("fam=mail&b=0&all=0", ["fast"]),
        ("fam=mail&b=6&all=0", ["failed", "slow"]),
        ("fam=mail&b=6&all=false", ["failed", "slow"]),
        ("fam=mail&b=7&all=true", []),
        ("fam=mail&b=-1", ["first", "second"]),
        ("fam=mail&b=-1&all=0", ["first", "second"]),
        ("fam=mail&b=-2", ["failed"]),
        ("fam=mail&b=3&all=0", []),
        ("q=DELIVERED+usual", ["usual"]),
        ("q=lookup", ["lookup"]),
        ("q=lookup&fam=mail", []),
        ("status=running", ["second", "first"]),
        ("status=error", ["failed"]),
        ("status=ok&fam=mail", ["slow", "usual", "fast"]),
        ("slower=1900ms", ["failed", "slow"]),
        ("slower=2.5&status=ok", []),
        ("fam=mail&limit=2&page=2", ["failed", "slow"]),
        ("fam=(starting)", []),
    ],
)
def test_lists_have_what_is_asked_for(
    get: Callable[..., Any], some: list[Trace], query: str, found: list[str]
) -> None:
    assert titles(get(f"?{query}")) == found


def test_a_page_of_a_list_says_of_how_many(get: Callable[..., Any], some: list[Trace]) -> None:
    found = get("?fam=mail&limit=2&page=2")

    assert (found["showing"], found["of"]) == (2, 6)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("b=8", "b='8'; allowed: a whole number from -2 to 7"),
        ("b=-3", "from -2 to 7"),
        ("b=x&fam=mail", "from -2 to 7"),
        ("all=yes", "all='yes'; allowed: 0 or 1, false or true"),
        ("status=bad", "ok, error, running"),
        ("slower=fast", "250ms"),
        ("sort=age", "name, running, errors"),
        ("window=day", "minute, hour, all"),
        ("page=0", "from 1 to 10"),
        ("limit=51", "from 1 to 50"),
        ("q=" + "x" * 201, "at most 200"),
        ("trace=x&b=9", "from -2 to 7"),
        ("worker=0", "worker"),
    ],
)
def test_a_bad_parameter_is_400_and_named(
    client: FlaskClient, some: list[Trace], query: str, says: str
) -> None:
    for headers in (OPEN, HTML):
        answer = client.get(f"/debug/traces?{query}", headers=headers)

        assert answer.status_code == 400
        assert says in answer.text.replace("&#39;", "'")


@pytest.mark.parametrize("query", ["fam=none", "fam=none&lat=1", "fam=none&b=-1", "fam=mail!"])
def test_an_unknown_family_is_404(client: FlaskClient, some: list[Trace], query: str) -> None:
    assert client.get(f"/debug/traces?{query}", headers=HTML).status_code == 404


def test_an_unknown_trace_is_404_with_the_way_to_its_family(
    client: FlaskClient, some: list[Trace]
) -> None:
    answer = client.get("/debug/traces?trace=mail!1!2", headers=HTML)

    assert answer.status_code == 404
    assert "dropped after newer ones" in answer.text
    assert 'href="traces?fam=mail"' in answer.text
    other = client.get("/debug/traces?trace=none!1!2", headers=HTML)
    assert other.status_code == 404
    assert "fam=none" not in other.text


def test_a_trace_that_is_no_longer_kept_is_found_by_one_that_knows_it(
    get: Callable[..., Any], client: FlaskClient, tracer: Tracer
) -> None:
    root = tracer.start("mail", "root")
    child = root.child("dns", "mx1")
    child.finish()
    for _ in range(10):
        tracer.start("dns", "mx2").finish()

    id = quote(public_id(child.id))
    assert client.get(f"/debug/traces?trace={id}", headers=OPEN).status_code == 404
    assert get(f"?trace={id}&ref={quote(public_id(root.id))}")["trace"]["title"] == "mx1"


def test_the_json_twin_takes_the_same_parameters(client: FlaskClient, some: list[Trace]) -> None:
    query = "?fam=mail&b=-2"
    one = client.get(f"/debug/traces{query}", headers=OPEN).json
    twin = client.get(f"/debug/traces.json{query}", headers=HTML).json

    assert one == twin


def test_requests_whose_route_is_not_known_yet_are_starting(
    get: Callable[..., Any], registry: expvar.Registry
) -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        yield b""

    # In a context of its own: it is not the request that asks.
    environ: dict[str, Any] = {"REQUEST_METHOD": "GET"}
    wrapped = expvar.ExpvarMiddleware(app, registry=registry, attach=lambda: None)
    running = copy_context().run(wrapped, environ, lambda *response: None)

    assert get()["families"][0] == get()["families"][0] | {"family": "(starting)", "running": 1}
    (entry,) = get("?fam=(starting)&b=-1")["traces"]
    ids = [entry["id"], environ["expvar.request"].id]  # as pages have it, as the program knows it
    assert [get(f"?trace={quote(id)}")["trace"]["title"] for id in ids] == ["GET"] * 2

    environ["expvar.route"] = "/x"
    assert [get(f"?trace={quote(id)}")["trace"]["family"] for id in ids] == ["GET /x"] * 2
    del running


@pytest.mark.parametrize(
    ("query", "to"),
    [
        ("", "traces"),
        ("?fam=GET+/x&b=-1", "traces?fam=GET%20/x&b=-1"),
        ("?fam=a&b=3&exp=1", "traces?fam=a&b=3"),
        ("?fam=a&b=8", "traces?fam=a&b=-2"),
        ("?fam=a&b=10", "traces?fam=a&lat=1"),
        ("?fam=a&b=zzz", "traces?fam=a"),
        ("?b=1", "traces"),
    ],
)
def test_the_requests_page_of_net_trace_leads_here(
    client: FlaskClient, query: str, to: str
) -> None:
    answer = client.get(f"/debug/requests{query}", headers=OPEN)

    assert (answer.status_code, answer.headers["Location"]) == (302, to)


# -- several workers -----------------------------------------------------------------------------


def told_by(count: int, *seconds: float) -> Tracer:
    """Return the tracer of a worker with one trace of each duration."""
    clock = Clock()
    tracer = Tracer(clock=clock, wall=lambda: int((1764000000 + count + clock.now) * 1e9))
    for number, each in enumerate(seconds):
        trace = tracer.start("mail", f"{count}.{number}")
        clock.now += each
        trace.finish()
    return tracer


def test_counts_of_all_workers_add_up_and_percentiles_are_of_all() -> None:
    from flask_expvar.pages.traces_matrix import tell_families

    one, two = told_by(0, 0.001, 0.001, 0.001), told_by(1, 20.0)
    answers = json.loads(json.dumps([tell_families(one), tell_families(two)]))

    (mail,) = merge_families(answers)

    assert mail["bands"] == [3, 0, 0, 0, 0, 0, 0, 1]
    assert mail["seconds"]["all"]["count"] == 4
    assert mail["seconds"]["all"]["p50"] < 0.0011
    assert mail["seconds"]["all"]["p99"] > 19
    assert (mail["least"], mail["most"]) == pytest.approx((0.001, 20.0))


def test_a_list_of_all_workers_is_in_one_order_and_says_whose_each_is() -> None:
    asked = question(Query({"fam": "mail", "limit": "3"}))
    answers = {
        pid: tell_list(told_by(number, 2.0, 2.0), asked, False)
        for number, pid in enumerate((11, 22))
    }

    merged = merge_lists(answers, asked)

    assert titles(merged) == ["1.1", "0.1", "1.0"]
    assert [trace["worker"] for trace in merged["traces"]] == [22, 11, 22]
    assert (merged["showing"], merged["of"]) == (3, 4)


def test_a_family_is_known_if_one_worker_knows_it() -> None:
    asked = question(Query({"fam": "mail"}))
    answers = {pid: tell_list(t, asked, False) for pid, t in ((1, told_by(0)), (2, told_by(1, 1)))}

    assert merge_lists(answers, asked)["of"] == 1


def test_a_missing_trace_names_the_workers_that_did_not_answer() -> None:
    asked = question(Query({"trace": "mail!1!2"}))

    with pytest.raises(expvar.UnknownError, match="77"):
        merge_trace({1: {"found": None, "families": []}}, asked, [77])


# -- the waterfall -------------------------------------------------------------------------------


def test_dropped_events_have_a_row_at_their_place(
    get: Callable[..., Any], client: FlaskClient, tracer: Tracer, clock: Clock
) -> None:
    trace = tracer.start("mail", "long", max_events=6)
    for number in range(100):
        trace.log("event %d", number)
        clock.now += 1

    rows = get(f"?trace={quote(trace.id)}")["rows"]

    texts = [row["text"] for row in rows]
    assert texts == ["event 0", "event 1", "94 events dropped",
                     "event 96", "event 97", "event 98", "event 99"]  # fmt: skip
    assert rows[2]["kind"] == "dropped"
    listed = get("?fam=mail")["traces"][0]["events"]
    assert [event["text"] for event in listed] == texts
    page = client.get(f"/debug/traces?trace={quote(trace.id)}", headers=HTML).text
    assert "94 events dropped" in page


def test_children_and_links_are_on_one_time_line_each_once(
    get: Callable[..., Any], tracer: Tracer, clock: Clock
) -> None:
    old = tracer.start("old", "older")
    old.log("before")
    clock.now += 1.5
    root = tracer.start("mail", "root")
    root.link(old, "see")
    root.link(old, "again")
    old.link(root, "and back")
    clock.now += 1
    root.child("dns", "mx1").log("inside")

    found = get(f"?trace={quote(root.id)}")

    assert [(bar["title"], bar["depth"], bar["via"], bar["offset"]) for bar in found["traces"]] == [
        ("root", 0, "", 0.0), ("older", 1, "link", -1.5), ("mx1", 1, "child", 1.0)
    ]  # fmt: skip
    assert [(row["offset"], row["delta"], row["of"], row["kind"]) for row in found["rows"]] == [
        (-1.5, -1.5, 1, "log"), (0.0, 1.5, 0, "link"), (0.0, 0.0, 0, "link"),
        (0.0, 0.0, 1, "link"), (1.0, 1.0, 0, "child"), (1.0, 0.0, 2, "log"),
    ]  # fmt: skip
    assert found["trace"]["links"] == [public_id(old.id)] * 2


def test_a_negative_delta_keeps_its_seconds() -> None:
    assert delta(-1.5) == "-1.500000"
    assert delta(-0.0005) == "-.   500"
    assert delta(0.000016) == " .    16"
    assert len(delta(0)) == len(delta(0.999999)) == 8


def test_the_drawing_is_an_image_with_a_title_and_a_table(
    client: FlaskClient, tracer: Tracer, clock: Clock
) -> None:
    trace = deliver(tracer, clock)
    page = client.get(f"/debug/traces?trace={quote(trace.id)}", headers=HTML).text

    assert re.search(
        r'<svg class="waterfall"[^>]* role="img" aria-labelledby="w-title w-desc">', page
    )
    assert '<title id="w-title">Waterfall of to example.com</title>' in page
    assert "Show as a table" in page
    assert "style=" not in page
    assert "<script>" not in page


# -- bounds --------------------------------------------------------------------------------------


@pytest.fixture
def crowd(tracer: Tracer, clock: Clock) -> list[Trace]:
    """Return 10,000 running traces after 10,000 others, one of them the top of a deep tree."""
    for number in range(10_000):
        trace = tracer.start(f"family {number % 300}", f"title {number}")
        trace.log("connected to mx%d.example.com", number)
        clock.now += 0.0001
        trace.finish()
    root = tracer.start("tree", "root")
    level, traces = [root], [root]
    for _ in range(3):
        level = [trace.child("tree", "below") for trace in level for _ in range(10)]
        traces += level
    while len(traces) < 10_000:
        trace = tracer.start("run", f"number {len(traces)}")
        trace.log("waiting in %d", len(traces))
        traces.append(trace)
        clock.now += 0.001
    return traces


@pytest.mark.parametrize("query", ["", "fam=run&b=-1", "fam=run&b=-1&page=10", "q=mx77", "slower=0",
                                   "trace"])  # fmt: skip
def test_ten_thousand_running_traces_make_bounded_pages_soon(
    client: FlaskClient, crowd: list[Trace], query: str
) -> None:
    if query == "trace":
        query = f"trace={quote(crowd[0].id)}"
    took = []
    for headers in (HTML, OPEN, HTML):
        began = time.process_time()
        page = client.get(f"/debug/traces?{query}", headers=headers)
        took.append(time.process_time() - began)
        assert page.status_code == 200
        assert len(page.data) < 2 * 2**20

    # Of this process's own time: the aim is half a second, and a busy machine takes longer.
    assert min(took[0], took[2]) < 1
    html = client.get(f"/debug/traces?{query}", headers=HTML).text
    assert re.search(r"showing [\d,]+ of [\d,]+", html)


def test_families_are_shown_fifty_a_page(client: FlaskClient, tracer: Tracer) -> None:
    for number in range(250):
        tracer.start(f"family {number:03}", "work").finish()

    def families(query: str) -> tuple[list[str], str]:
        html = client.get(f"/debug/traces{query}", headers=HTML).text
        return re.findall(r"<bdi>(family \d+)</bdi>", html), html

    first, html = families("")
    assert (len(first), first[0], first[-1]) == (50, "family 000", "family 049")
    assert re.search(r"showing 50 of 25\d;", html)
    assert (more := re.search(r'href="([^"]*)" rel="next"', html))
    assert 'rel="prev"' not in html
    assert families(unescape(more[1]))[0][0] == "family 050"
    last, html = families("?page=5")
    assert last[-1] == "family 249"
    assert ", from number 201;" in html
    assert 'rel="next"' not in html
    assert families("?page=9")[0] == last  # what was the last page may be gone
    assert len(client.get("/debug/traces.json").json["families"]) >= 250


def test_the_oldest_running_traces_are_shown_of_how_many(
    client: FlaskClient, crowd: list[Trace]
) -> None:
    page = client.get("/debug/traces?fam=run&b=-1", headers=HTML).text

    assert "showing 50 of 8,889" in page
    assert "number 1111<" in page
    assert "number 9999<" not in page


def test_a_tree_is_cut_by_rows_and_by_depth(
    get: Callable[..., Any], client: FlaskClient, tracer: Tracer
) -> None:
    root = tracer.start("tree", "root")
    wide = [root.child("tree", "wide") for _ in range(90)]
    for trace in wide:
        for _ in range(90):
            trace.log("x")
    deep = [tracer.start("deep", "0")]
    for number in range(1, 50):
        deep.append(deep[-1].child("deep", str(number)))

    found = get(f"?trace={quote(root.id)}")
    assert found["showing"] == {"traces": 91, "rows": 500}
    assert found["of"] == {"traces": 91, "rows": 90 + 90 * 90}
    found = get(f"?trace={quote(deep[0].id)}")
    assert found["showing"]["traces"] == 21
    assert found["of"]["traces"] == 50
    assert "29 more" in client.get(f"/debug/traces?trace={quote(deep[0].id)}", headers=HTML).text


def test_a_search_ends_when_its_time_is_over_and_says_how_far_it_came(
    tracer: Tracer, crowd: list[Trace]
) -> None:
    ticks = itertools.count()
    asked = question(Query({"q": "mx"}))

    told = tell_list(tracer, asked, False, clock=lambda: next(ticks) / 50)

    assert 0 < told["scanned"] < told["candidates"]


# -- what nobody should see ----------------------------------------------------------------------

SECRET = "hunter2hunter2"


def leak(tracer: Tracer) -> Trace:
    trace = tracer.start(f"password={SECRET}", f"token={SECRET}")
    trace.log(f"login with password={SECRET}")
    trace.error(ValueError(f"api_key={SECRET}"))
    trace.facts = {"url": f"https://u:{SECRET}@example.com/?key={SECRET}"}
    with trace.child(f"secret={SECRET}", f"secret={SECRET}"):
        pass
    trace.finish()
    return trace


def test_secrets_are_hidden_on_every_view_and_cannot_be_searched(
    client: FlaskClient, tracer: Tracer
) -> None:
    trace = leak(tracer)
    id = quote(public_id(trace.id))
    assert SECRET not in id

    for query in (
        "",
        "?slower=0",
        f"?trace={id}",
        "?status=error",
        f"?lat=1&fam={id.split('%21')[0]}",
    ):
        for headers in (OPEN, HTML):
            answer = client.get(f"/debug/traces{query}", headers=headers)
            assert answer.status_code == 200, query
            assert SECRET not in answer.text
    assert client.get(f"/debug/traces?q={SECRET}", headers=OPEN).json["of"] == 0
    assert client.get("/debug/traces?q=password=hidden", headers=OPEN).json["of"] == 1


def test_what_leaves_a_worker_holds_no_secret(registry: expvar.Registry, tracer: Tracer) -> None:
    trace = leak(tracer)

    for asked in ({}, {"slower": "0"}, {"trace": public_id(trace.id)}):
        told = Traces().collect(registry, Query(asked, sensitive=True))
        assert SECRET not in json.dumps(told)


def test_messages_of_exceptions_are_for_those_who_may_see_them(
    client: FlaskClient, tracer: Tracer, clock: Clock, level: list[expvar.Level]
) -> None:
    trace = deliver(tracer, clock)
    queries = ("?fam=mail", f"?trace={quote(trace.id)}", "?fam=mail&sensitive=1")
    for query in queries:
        assert "refused: 550" in client.get(f"/debug/traces{query}", headers=OPEN).text

    level[0] = expvar.Level.READ
    for query in queries:
        for headers in (OPEN, HTML):
            text = client.get(f"/debug/traces{query}", headers=headers).text
            assert "refused" not in text
            assert "hidden" in text
    assert client.get("/debug/traces?q=refused", headers=OPEN).json["of"] == 0


# -- hostile text --------------------------------------------------------------------------------


def elements(page: str) -> dict[str, int]:
    found = re.findall(r"<([a-zA-Z][\w-]*)", page)
    return {name: found.count(name) for name in set(found) - {"details", "summary", "pre", "bdi"}}


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_changes_nothing_but_its_own_cell(
    client: FlaskClient, tracer: Tracer, text: str
) -> None:
    for each in (text, "harmless"):
        trace = tracer.start(each, each)
        trace.log("%s", each)
        trace.error(ValueError(each))
        trace.facts = {each: each}
        trace.finish()
    found = client.get("/debug/traces?slower=0", headers=OPEN).json["traces"]
    (bad,) = [each for each in found if each["family"] != "harmless"]
    (good,) = [each for each in found if each["family"] == "harmless"]
    for query in ("?trace={id}", "?fam={family}", "?fam={family}&lat=1"):
        pages = []
        for each in (bad, good):
            url = query.format(id=quote(each["id"]), family=quote(each["family"]))
            page = client.get(f"/debug/traces{url}", headers=HTML)
            assert page.status_code == 200, (query, page.text[:300])
            pages.append(page.text)
        # Without a text there is no message to show.
        assert not text or elements(pages[0]) == elements(pages[1])
        for raw in ("\x1b", "\u202e", "\x00", "\ud800", "<script>", "<img src=x"):
            assert raw not in pages[0]
        assert len(pages[0]) < 100_000


def test_titles_and_facts_may_be_anything(
    get: Callable[..., Any], client: FlaskClient, tracer: Tracer
) -> None:
    class Odd:
        def __str__(self) -> str:
            raise RuntimeError

    trace = tracer.start("odd", "x")
    trace.title = Odd()  # type: ignore[assignment]
    trace.facts = {Odd(): Odd(), "n": 10**400, "nan": float("inf"), "list": [1, Odd()]}  # type: ignore[dict-item]
    trace.finish()

    (entry,) = get("?fam=odd")["traces"]
    assert entry["title"] == "(RuntimeError)"
    assert entry["facts"]["nan"] is None
    assert client.get(f"/debug/traces?trace={quote(trace.id)}", headers=HTML).status_code == 200


values = st.one_of(
    st.sampled_from(["", "0", "1", "-1", "-2", "7", "8", "mail", "ok", "all", "p95", "250ms", "!"]),
    st.text(max_size=20),
)
NAMES = ["fam", "b", "all", "lat", "trace", "ref", "q", "status", "slower", "page", "limit",
         "sort", "window", "worker"]  # fmt: skip


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(given=st.dictionaries(st.sampled_from(NAMES), values, max_size=5), html=st.booleans())
def test_whatever_is_asked_is_answered_or_refused(
    client: FlaskClient, given: dict[str, str], html: bool, some: list[Trace]
) -> None:
    given = {key: value.encode("utf-8", "replace").decode() for key, value in given.items()}
    answer = client.get("/debug/traces", query_string=given, headers=HTML if html else OPEN)

    assert answer.status_code in (200, 400, 404)
    assert client.get("/debug/requests", query_string=given, headers=OPEN).status_code == 302


def test_nothing_traced_yet_tells_how_to_begin(client: FlaskClient) -> None:
    page = client.get("/debug/traces", headers=HTML).text

    assert "No traces yet" in page
    assert "expvar.trace(" in page


@pytest.mark.parametrize("sort", ["name", "running", "errors", "p95"])
def test_the_matrix_is_sorted_by_what_its_links_say(
    client: FlaskClient, some: list[Trace], sort: str
) -> None:
    page = client.get(f"/debug/traces?sort={sort}", headers=HTML).text
    names = [
        each["family"]
        for each in client.get(f"/debug/traces?sort={sort}", headers=OPEN).json["families"]
    ]

    assert page.count("aria-sort") == 1
    assert names == (["dns", "mail"] if sort == "name" else ["mail", "dns"])


def test_every_link_of_every_view_leads_somewhere(
    client: FlaskClient, tracer: Tracer, clock: Clock, some: list[Trace]
) -> None:
    deliver(tracer, clock)
    seen: set[str] = set()
    waiting = ["traces", "traces?fam=mail&b=-2&worker="]
    while waiting:
        url = waiting.pop()
        answer = client.get(f"/debug/{url}", headers=HTML)
        assert answer.status_code == 200, url
        for link in re.findall(r'href="([^"#]*)"', answer.text):
            link = link.replace("&amp;", "&")
            link = f"traces{link}" if link.startswith("?") else link
            if link.startswith("traces") and link not in seen and len(seen) < 150:
                seen.add(link)
                waiting.append(link)
    assert len(seen) > 30


# -- real workers --------------------------------------------------------------------------------

MAIL_APP = """

@app.get("/mail/<title>")
def mail(title):
    with expvar.trace("mail", title) as trace:
        trace.log("by %d", os.getpid())
        with trace.child("dns", "mx1"):
            pass
        try:
            raise ValueError("550 refused")
        except ValueError as error:
            trace.error(error)
    return str(os.getpid())
"""
KINDS = {"sync": ("-w", "2"), "gthread": ("-w", "2", "-k", "gthread", "--threads", "4")}


def seen(server: Gunicorn, query: str = "") -> Any:
    answer = server.get(f"/debug/traces{query}", headers=TOKEN_OF_SHOP)
    assert answer.status == 200, answer.text
    return answer.json()


def whole(server: Gunicorn, query: str = "") -> Any:
    """Return an answer in which no worker of a busy machine was late."""

    def read() -> Any:
        answer = server.get(f"/debug/traces{query}", headers=TOKEN_OF_SHOP)
        return answer.json() if answer.status == 200 and not answer.json()["missing"] else None

    return server.wait_until(read, what="all workers answer")


def joined(server: Gunicorn) -> bool:
    return (
        len(server.worker_pids()) == 2 and sorted(seen(server)["workers"]) == server.worker_pids()
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_trace_made_in_one_worker_is_found_through_the_other(
    gunicorn: Callable[..., Gunicorn], kind: str
) -> None:
    server = gunicorn(SHOP + MAIL_APP, *KINDS[kind])
    server.wait_until(lambda: joined(server), what="both workers join")
    made = {title: int(server.get(f"/mail/{title}").text) for title in map(str, range(8))}

    for _ in range(10):
        found = whole(server, "?fam=mail")
        assert {trace["title"]: trace["worker"] for trace in found["traces"]} == made
    id = quote(found["traces"][0]["id"])
    for _ in range(10):
        one = whole(server, f"?trace={id}")
        assert one["trace"]["worker"] == made[one["trace"]["title"]]
        assert [each["family"] for each in one["traces"]] == ["mail", "dns"]
        assert one["rows"][-1]["detail"] == "550 refused"
    (mail,) = (each for each in whole(server)["families"] if each["family"] == "mail")
    assert (mail["errors"], sum(mail["bands"])) == (8, 8)
    pid = made["0"]
    assert {each["worker"] for each in whole(server, f"?fam=mail&worker={pid}")["traces"]} == {pid}


def all_stopped(pid: int) -> bool:
    return all(
        stat.read_text().rpartition(")")[2].split()[0] == "T"
        for stat in Path(f"/proc/{pid}/task").glob("*/stat")
    )


@contextmanager
def one_halted(server: Gunicorn) -> Iterator[int]:
    """Stop a worker that has made a trace, and let it go on afterwards."""
    server.wait_until(lambda: joined(server), what="both workers join")
    halted = int(server.get("/mail/x").text)
    os.kill(halted, signal.SIGSTOP)
    try:
        # On a busy machine its threads stop one after the other, and the last one may answer.
        server.wait_until(lambda: all_stopped(halted), what="every thread stops")
        yield halted
    finally:
        os.kill(halted, signal.SIGCONT)


def test_a_worker_that_could_not_answer_is_not_called_silent(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Any:
        raise RuntimeError("broken")

    monkeypatch.setattr(Traces, "collect", fail)

    page = client.get(f"/debug/traces?worker={os.getpid()}", headers={"Accept": "text/html"}).text

    assert f"<h2>Worker {os.getpid()} could not answer</h2>" in page
    assert "RuntimeError" in page


def test_pages_of_a_worker_that_does_not_answer_say_so_and_come_soon(
    gunicorn: Callable[..., Gunicorn],
) -> None:
    server = gunicorn(SHOP + MAIL_APP, "-w", "2", "--timeout", "0")
    with one_halted(server) as halted:

        def ask(path: str, accept: str = "text/html") -> Any:
            return server.get(
                f"/debug/{path}worker={halted}", headers={**TOKEN_OF_SHOP, "Accept": accept}
            )

        pages = {
            name: ask(f"{name}?").text for name in ("traces", "events", "queue", "flags", "config")
        }
        text = ask("config?", "text/plain").text
        unknown = [ask(f"{each}&") for each in ("traces?fam=mail", "events?fam=pool")]
        began = time.monotonic()
        memory = ask("memory?")
        took = time.monotonic() - began

    heading = f"<h2>Worker {halted} did not answer</h2>"
    assert [name for name, page in pages.items() if heading not in page] == []
    assert f"# no answer from {halted}\n" in text
    assert [each.status for each in unknown] == [404, 404]
    assert all(f"Not asked: {halted}, which did not answer." in each.text for each in unknown)
    assert "did not answer in time" in memory.text
    assert took < 8  # it waits a second, and ten for what takes long


def test_a_worker_that_does_not_answer_is_named(gunicorn: Callable[..., Gunicorn]) -> None:
    server = gunicorn(SHOP + MAIL_APP, "-w", "2", "--timeout", "0")
    with one_halted(server) as halted:
        read = server.get("/debug/traces", headers=TOKEN_OF_SHOP)
        page = server.get("/debug/traces", headers={**TOKEN_OF_SHOP, "Accept": "text/html"})
        gone = server.get("/debug/traces?trace=mail!1!2", headers=TOKEN_OF_SHOP)
        bad = server.get(f"/debug/traces?b=9&worker={halted}", headers=TOKEN_OF_SHOP)

    assert read.headers["X-Expvar-Missing"] == str(halted)
    assert read.json()["missing"] == [halted]
    assert "mail" not in {family["family"] for family in read.json()["families"]}
    assert "did not answer in time" in page.text
    assert (gone.status, str(halted) in gone.text) == (404, True)
    assert bad.status == 400
