"""``/debug/metrics``: what the strict parsers of others read is what the variables say."""

from __future__ import annotations

import gzip
import html
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import prometheus_client
import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text
from together import workers

import flask_expvar as expvar
from flask_expvar.exceptions import BadNameError, NameTakenError
from flask_expvar.pages.dashboard import dashboard_of
from flask_expvar.pages.metrics import Metrics, exposition
from flask_expvar.pages.metrics_accept import prefers_openmetrics
from flask_expvar.pages.page import scene
from flask_expvar.variables.metric import Naming
from flask_expvar.variables.openmetrics import bound

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)


@pytest.fixture
def registry() -> expvar.Registry:
    return expvar.Registry()


@pytest.fixture
def app(registry: expvar.Registry) -> Flask:
    app = Flask("shop")
    app.config["EXPVAR_ACCESS"] = lambda request: True
    expvar.Expvar(app, registry=registry)
    app.add_url_rule("/order/<int:n>", view_func=lambda n: "ok", endpoint="order")
    return app


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    with app.test_client() as client:
        yield client


def read(registry: expvar.Registry, openmetrics: bool = True, **how: Any) -> str:
    naming = how.pop("naming", Naming())
    found = scene(Metrics(), registry, how)
    each = how.get("by") == "worker"
    return exposition(found, naming, openmetrics, each) + ("# EOF\n" if openmetrics else "")


def samples(text: str) -> dict[str, float]:
    """Return what a strict parser reads, by name and labels as text."""
    reader = read_openmetrics if text.endswith("# EOF\n") else read_text
    return {
        f"{sample.name}{sorted(sample.labels.items()) if sample.labels else ''}": sample.value
        for family in reader(text)
        for sample in family.samples
    }


# -- the formats -------------------------------------------------------------------------------


def test_the_text_is_as_the_format_has_it() -> None:
    registry = expvar.Registry()
    registry.new_int("shop/orders", 'say "hi"\\ \n').add(3)
    registry.new_map("shop/orderStatus", "status", "orders by status").add('a"\\\nb', 2)
    registry.new_histogram("shop/waitSeconds", "waiting", buckets=(0.5, 1e6)).observe(0.25)
    registry.new_float("shop/load", "load", multiprocess_mode="max").set(0.5)

    text = read(registry, False)

    assert text[: text.index("# HELP process")] == (
        "# HELP shop_load load\n# TYPE shop_load gauge\nshop_load 0.5\n"
        "# HELP shop_order_status_total orders by status\n"
        "# TYPE shop_order_status_total counter\n"
        'shop_order_status_total{status="a\\"\\\\\\nb"} 2\n'
        '# HELP shop_orders_total say "hi"\\\\ \\n\n'
        "# TYPE shop_orders_total counter\nshop_orders_total 3\n"
        "# HELP shop_wait_seconds waiting\n# TYPE shop_wait_seconds histogram\n"
        'shop_wait_seconds_bucket{le="0.5"} 1\nshop_wait_seconds_bucket{le="1e+06"} 1\n'
        'shop_wait_seconds_bucket{le="+Inf"} 1\nshop_wait_seconds_sum 0.25\n'
        "shop_wait_seconds_count 1\n"
    )


def test_openmetrics_has_units_and_an_end() -> None:
    registry = expvar.Registry()
    registry.new_int("http/responseBytes", "bytes").add(3)

    text = read(registry)

    assert text.startswith(
        "# HELP http_response_bytes bytes\n# TYPE http_response_bytes counter\n"
        "# UNIT http_response_bytes bytes\nhttp_response_bytes_total 3\n"
    )
    assert text.endswith("\n# EOF\n")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (PROMETHEUS, True),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text;version=1.0.0;q=0.4,text/plain;q=0.5", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;version=7.0.0", False),
        ("application/openmetrics-text;q=nonsense,*/*", False),
        ("text/plain", False),
        ("*/*", False),
        ("", False),
        (";;,=,", False),
    ],
)
def test_the_format_is_what_the_client_prefers(accept: str, expected: bool) -> None:
    assert prefers_openmetrics(accept) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.005, "0.005"), (1.0, "1.0"), (1e6, "1e+06"), (2.5e7, "2.5e+07"), (1e16, "1e+16")],
)
def test_bounds_are_written_as_go_does(value: float, expected: str) -> None:
    assert bound(value) == expected
    assert float(expected) == value


NAMES = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=12)
ODD = ["\\", '"', "\n", "\\n", "# HELP x", "\0", "é", "%s"]
TEXTS = st.text(max_size=20) | st.sampled_from(ODD)
NUMBERS = st.integers(-5, 2**63) | st.floats(allow_nan=False)
KINDS = st.sampled_from(["int", "float", "map", "gauge", "histogram", "string", "func", "nested"])


def declare(registry: expvar.Registry, kind: str, name: str, text: str, number: Any) -> None:
    """Declare a variable of one kind, and count in it."""
    if kind in ("int", "float"):
        getattr(registry, f"new_{kind}")(name, text).add(number)
    elif kind == "gauge":
        registry.new_float(name, text, multiprocess_mode="min").set(float(number))
    elif kind == "map":
        registry.new_map(name, help=text).add(text, number)
    elif kind == "nested":
        inner = registry.new_map(name, help=text).new_map(text)
        inner.add(text, number)
        inner.new_histogram("h", buckets=(-1, 2)).observe(float(number))
        registry.new_map(name, help=text).set("text", text)
    elif kind == "histogram":
        registry.new_histogram(name, text, buckets=(0.1, 1, 1e7)).observe(float(number))
    elif kind == "string":
        registry.new_string(name, text).set(text)
    else:
        registry.publish(name, lambda: {text: number, "x": True, "text": text}, text)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(KINDS, NAMES, TEXTS, NUMBERS), max_size=6), st.booleans())
def test_strict_parsers_read_whatever_is_declared(made: list[Any], openmetrics: bool) -> None:
    registry = expvar.Registry("odd")
    for each in made:
        try:
            declare(registry, *each)
        except (BadNameError, NameTakenError, OverflowError):
            continue

    families = list(
        read_openmetrics(read(registry))
        if openmetrics
        else read_text(read(registry, openmetrics=False))
    )

    names = [family.name for family in families]
    assert len(names) == len(set(names))
    assert "process_cpu_seconds" in names


def test_labels_and_values_come_back_as_they_were() -> None:
    registry = expvar.Registry()
    odd = registry.new_map("odd", "what")
    for key in ('"', "\\n", "\n", "", "日本", "{}", "a,b=c", "%s"):
        odd.add(key, 2**60)

    for openmetrics in (True, False):
        text = read(registry, openmetrics)
        for key in odd:
            assert samples(text)[f"odd_total[('what', {key!r})]"] == 2**60


def test_counters_below_zero_are_shown_without_a_type() -> None:
    registry = expvar.Registry()
    codes = registry.new_map("codes", "code", "codes")
    codes.add("200")
    assert "# TYPE codes counter" in read(registry)

    codes.add("404", -2)

    text = read(registry)
    assert "# TYPE codes_total unknown" in text
    assert samples(text)["codes_total[('code', '404')]"] == -2
    codes.add("404", 5)
    assert "# TYPE codes counter" in read(registry)


def test_nested_maps_have_a_label_for_each_level() -> None:
    registry = expvar.Registry()
    registry.new_map("a", "shop").new_map("x", "shop").add("y", 4)

    assert samples(read(registry))["a_total[('shop', 'x'), ('shop_2', 'y')]"] == 4


def test_what_is_deleted_is_gone() -> None:
    registry = expvar.Registry()
    codes = registry.new_map("codes", "code")
    codes.add("200", 3)
    codes.add("404")

    codes.delete("404")

    found = samples(read(registry))
    assert found["codes_total[('code', '200')]"] == 3
    assert "codes_total[('code', '404')]" not in found


def test_all_workers_are_added_up_and_each_can_be_asked_for() -> None:
    registries, _ = workers(3)
    for at, registry in enumerate(registries):
        registry.new_map("codes", "code").add("200", at + 1)

    assert samples(read(registries[0]))["codes_total[('code', '200')]"] == 6
    each = samples(read(registries[1], by="worker"))
    assert each["codes_total[('code', '200'), ('slot', '2')]"] == 3
    assert samples(read(registries[0], worker="101"))["codes_total[('code', '200')]"] == 2


def test_histograms_show_a_trace_of_what_they_counted(app: Flask, client: FlaskClient) -> None:
    client.get("/order/7", buffered=True)

    text = client.get("/debug/metrics", headers={"Accept": PROMETHEUS}).text

    found = [
        sample
        for family in read_openmetrics(text)
        for sample in family.samples
        if sample.exemplar is not None
    ]
    (one,) = found
    assert one.name == "http_request_seconds_bucket"
    assert one.labels["route"] == "/order/<int:n>"
    assert 0 < one.exemplar.value <= float(one.labels["le"])
    trace = json.loads(client.get("/debug/traces?fam=GET /order/<int:n>").text)["traces"][0]
    told = json.loads(client.get("/debug/traces", query_string={"trace": trace["id"]}).text)
    assert one.exemplar.labels["trace_id"] == told["trace"]["traceparent"].split("-")[1]
    assert "trace_id" not in client.get("/debug/metrics").text


def test_the_build_texts_and_functions_are_told(registry: expvar.Registry) -> None:
    expvar.publish_build_info("shop", "1.2", 86400, registry=registry)
    registry.new_string("shop/where").set("here")
    registry.publish("shop/busy", lambda: {"a": 1, "b": "text", "c": True}, "busy")
    registry.publish("shop/bad", lambda: "text")

    found = samples(read(registry))

    date = "1970-01-02 00:00:00 +0000"
    assert found[f"shop_build_info[('source_date', '{date}'), ('version', '1.2')]"] == 1
    assert found["shop_where_info[('where', 'here')]"] == 1
    assert found["shop_busy[('key', 'c')]"] == 1
    assert found["shop_source_date_timestamp"] == 86400


def test_figures_of_the_process_are_called_as_prometheus_client_calls_them(
    registry: expvar.Registry,
) -> None:
    def heads(text: str) -> set[str]:
        return set(re.findall(r"^# (?:HELP|TYPE) (?:process|python)_.*", text, re.MULTILINE))

    theirs = heads(prometheus_client.generate_latest(prometheus_client.REGISTRY).decode())

    assert heads(read(registry, openmetrics=False)) == theirs
    assert len(theirs) >= 2 * 10


def test_opentelemetrys_names_are_one_setting(registry: expvar.Registry) -> None:
    app = Flask("shop")
    app.config.update(EXPVAR_ACCESS=lambda request: True, EXPVAR_METRICS_NAMES="otel")
    expvar.Expvar(app, registry=registry)
    app.add_url_rule("/x/<name>", "x", lambda name: name, methods=["GET", "POST"])
    client = app.test_client()
    for _ in range(3):
        client.get("/x/a", buffered=True)
    client.post("/x/b", buffered=True)
    client.open("/nowhere", method="BREW", buffered=True)

    text = client.get("/debug/metrics").text

    found, name = samples(text), "http_server_request_duration_seconds"
    assert f"# TYPE {name} histogram" in text
    counts = {key: value for key, value in found.items() if key.startswith(f"{name}_count")}

    def labels(method: str, code: str, route: str) -> str:
        given = {"request_method": method, "response_status_code": code, "route": route}
        return str([(f"http_{name}", value) for name, value in sorted(given.items())])

    assert counts == {
        f"{name}_count{labels('GET', '200', '/x/<name>')}": 3,
        f"{name}_count{labels('POST', '200', '/x/<name>')}": 1,
        f"{name}_count{labels('_OTHER', '404', '(no route)')}": 1,
    }
    sums = [value for key, value in found.items() if key.startswith(f"{name}_sum")]
    ours = [value for key, value in found.items() if key.startswith("http_request_seconds_sum")]
    assert sum(sums) == pytest.approx(sum(ours))
    text = client.get("/debug/metrics", headers={"Accept": PROMETHEUS}).text
    every = [each for family in read_openmetrics(text) for each in family.samples]
    examples = [each for each in every if each.exemplar and each.name == f"{name}_bucket"]
    assert {each.labels["http_request_method"] for each in examples} == {"GET", "POST", "_OTHER"}
    assert all(each.value > 0 for each in examples)
    assert found["http_server_active_requests"] == 0
    assert found["http_responses_total[('http_response_status_code', '404')]"] == 1
    # What every dashboard of these names asks is what ours asks.
    board = expvar.dashboard(registry, names="otel")
    assert f"{name}_bucket" in board
    assert dashboard_of(client.get("/debug/metrics.json").json["metrics"]) == board


def test_durations_are_split_only_for_those_names(registry: expvar.Registry) -> None:
    app = Flask("shop")
    expvar.Expvar(app, registry=registry)
    app.test_client().get("/nowhere")

    assert "http/durationSeconds" not in registry.snapshot()


# -- the page ----------------------------------------------------------------------------------


def test_the_answer_says_what_it_is(client: FlaskClient) -> None:
    old, new = (client.get("/debug/metrics", headers={"Accept": a}) for a in ("*/*", PROMETHEUS))

    assert old.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert new.content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert {*new.vary} == {"Accept", "Accept-Encoding"}
    assert old.headers["Cache-Control"] == "no-store"


def test_the_text_is_compressed_for_those_who_ask(client: FlaskClient) -> None:
    packed = client.get("/debug/metrics", headers={"Accept-Encoding": "deflate, gzip;q=0.5"})
    refused = client.get("/debug/metrics", headers={"Accept-Encoding": "gzip;q=0, *"})

    assert packed.headers["Content-Encoding"] == "gzip"
    assert samples(gzip.decompress(packed.data).decode()).keys() == samples(refused.text).keys()


def test_names_can_be_asked_for(client: FlaskClient, registry: expvar.Registry) -> None:
    registry.new_int("a", "see # HELP b").add(1)
    registry.new_histogram("b").observe(1)

    text = client.get("/debug/metrics?name[]=a_total&name[]=b&format=openmetrics").text

    assert {family.name for family in read_openmetrics(text)} == {"a", "b"}
    assert client.get("/debug/metrics?name[]=none&format=openmetrics").text == "# EOF\n"
    assert client.get("/debug/metrics?name[]=none").text == ""


@pytest.mark.parametrize("query", ["format=xml", "by=pid", "name[]=" + "x" * 300, "worker=no"])
def test_a_wrong_parameter_is_refused(client: FlaskClient, query: str) -> None:
    answer = client.get(f"/debug/metrics?{query}")

    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.text


def test_people_get_a_table_and_links_to_the_text(
    client: FlaskClient, registry: expvar.Registry
) -> None:
    registry.new_int("shop/orders", "<b>orders</b>").add(4242)
    page = client.get("/debug/metrics?q=orders", headers={"Accept": "text/html"})

    shown = html.unescape(page.text)
    assert page.content_type.startswith("text/html")
    assert "shop_<wbr>orders_<wbr>total" in shown  # may be broken there, and nowhere else
    assert "4242" in shown
    assert "<b>orders" not in page.text
    text = client.get("/debug/metrics?format=text", headers={"Accept": "text/html"})
    assert text.content_type.startswith("text/plain")


def test_the_twin_tells_types_and_values(client: FlaskClient, registry: expvar.Registry) -> None:
    registry.new_int("shop/orders", "orders").add(4)
    registry.new_float("shop/inf", multiprocess_mode="max").set(1e308)

    told = json.loads(client.get("/debug/metrics.json").text)

    (orders,) = [each for each in told["metrics"] if each["expvar"] == "shop/orders"]
    assert orders["type"] == "counter"
    assert orders["series"] == [{"labels": {}, "value": 4}]
    assert told["workers"]
    assert told["missing"] == []


def test_the_text_is_at_a_path_of_choice_behind_the_same_gate() -> None:
    app = Flask("shop")
    app.config.update(EXPVAR_METRICS_PATH="/metrics", EXPVAR_TOKEN="kQ3-x8_ZpL0vWm2T")
    app.register_blueprint(expvar.blueprint(registry=expvar.Registry()))
    client = app.test_client()
    header = {"Authorization": "Bearer kQ3-x8_ZpL0vWm2T"}

    assert client.get("/metrics").status_code == 401
    assert "process_cpu_seconds_total" in client.get("/metrics", headers=header).text
    browser = client.get("/metrics", headers={**header, "Accept": "text/html"})
    assert browser.content_type.startswith("text/plain")
    assert client.post("/metrics", headers=header).status_code == 405
    assert client.post("/metrics").status_code == 401


def test_promtool_has_nothing_to_say(
    client: FlaskClient, registry: expvar.Registry, need_tool: Callable[[str], str]
) -> None:
    promtool = need_tool("promtool")
    client.get("/order/7", buffered=True)
    client.get("/nowhere", buffered=True)
    expvar.publish_build_info("shop", "1.2", 86400, registry=registry)
    registry.new_map("shop/orderStatus", "status", "orders").add("paid")
    registry.publish("shop/busy", lambda: 3)

    for query in ("", "?by=worker"):
        text = client.get(f"/debug/metrics{query}").data
        done = subprocess.run(
            [promtool, "check", "metrics"], input=text, capture_output=True, timeout=60
        )

        assert (done.stdout, done.stderr, done.returncode) == (b"", b"", 0)
