"""The blueprint: routes under any prefix, one gate over all of them, and what it answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

import flask_expvar as expvar

TOKEN = "a-token-of-the-tests-0123456789"
OPEN = {"Authorization": f"Bearer {TOKEN}"}
HTML = {**OPEN, "Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def registry() -> expvar.Registry:
    return expvar.Registry()


@pytest.fixture
def app(registry: expvar.Registry) -> Flask:
    app = Flask("shop")
    app.config["EXPVAR_TOKEN"] = TOKEN
    expvar.Expvar(app, registry=registry)
    app.add_url_rule("/hello", view_func=lambda: "hello")
    return app


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    with app.test_client() as client:
        yield client


def strict(text: str) -> Any:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


PATHS = ["/debug", "/debug/", "/debug/.json", "/debug/vars", "/debug/vars.json", "/debug/none",
         "/debug/a/b", "/debug/vars/", "/debug/assets/expvar.css"]  # fmt: skip
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", PATHS)
def test_everything_below_the_prefix_is_refused_at_the_gate(
    client: FlaskClient, path: str, method: str
) -> None:
    answer = client.open(path, method=method)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", PATHS)
def test_without_a_setting_nobody_gets_in(path: str) -> None:
    app = Flask("shop")
    expvar.Expvar(app, registry=expvar.Registry())

    answer = app.test_client().get(path)

    assert answer.status_code == 403
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("method", [m for m in METHODS if m not in ("GET", "HEAD")])
def test_other_methods_are_405_with_what_is_allowed(client: FlaskClient, method: str) -> None:
    answer = client.open("/debug/vars", method=method, headers=OPEN)

    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD"


def test_head_has_the_headers_of_get_and_no_body(client: FlaskClient) -> None:
    answer = client.head("/debug/vars", headers=OPEN)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.data == b""


def test_vars_is_one_object_with_sorted_keys_a_line_each(
    client: FlaskClient, registry: expvar.Registry
) -> None:
    registry.new_int("b").add(2)
    registry.new_map("a").add("x")
    registry.new_float("Z").add(1.5)
    registry.publish("bad", lambda: float("nan"))
    registry.publish("worse", lambda: 1 / 0)

    text = client.get("/debug/vars", headers=OPEN).text

    assert text.startswith("{\n")
    assert text.endswith("\n}\n")
    names = list(strict(text))
    assert names == sorted(names)
    for line in ('"Z": 1.5,', '"a": {"x": 1},', '"b": 2,', '"bad": null,', '"worse": null'):
        assert line in text.splitlines() or line + "," in text.splitlines()


def test_memstats_has_gos_names_and_types(client: FlaskClient) -> None:
    stats = strict(client.get("/debug/vars", headers=OPEN).text)["memstats"]

    floats, booleans = {"GCCPUFraction"}, {"EnableGC", "DebugGC"}
    lists = {"PauseNs", "PauseEnd", "BySize"}
    names = {
        "Alloc", "TotalAlloc", "Sys", "Lookups", "Mallocs", "Frees", "HeapAlloc", "HeapSys",
        "HeapIdle", "HeapInuse", "HeapReleased", "HeapObjects", "StackInuse", "StackSys",
        "MSpanInuse", "MSpanSys", "MCacheInuse", "MCacheSys", "BuckHashSys", "GCSys", "OtherSys",
        "NextGC", "LastGC", "PauseTotalNs", "NumGC", "NumForcedGC", *floats, *booleans, *lists,
    }  # fmt: skip
    assert set(stats) == names
    assert len(names) == 32
    assert all(type(stats[name]) is bool for name in booleans)
    for name in names - floats - booleans - lists:
        assert type(stats[name]) is int, name
        assert 0 <= stats[name] < 2**63, name
    for name in ("PauseNs", "PauseEnd"):
        assert len(stats[name]) == 256
        assert all(type(each) is int for each in stats[name])


def test_a_collection_shows_in_the_ring_where_go_has_it(client: FlaskClient) -> None:
    import gc

    before = strict(client.get("/debug/vars", headers=OPEN).text)["memstats"]
    gc.collect()
    after = strict(client.get("/debug/vars", headers=OPEN).text)["memstats"]

    newest = (after["NumGC"] + 255) % 256
    assert after["NumGC"] > before["NumGC"]
    assert after["PauseNs"][newest] > 0
    assert after["PauseEnd"][newest] == after["LastGC"] == max(after["PauseEnd"])
    assert after["PauseTotalNs"] > before["PauseTotalNs"]


def test_cmdline_hides_secrets(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "shop", "--password", "hunter2hunter2"])
    text = client.get("/debug/vars", headers=OPEN).text

    assert strict(text)["cmdline"][:4] == ["python", "-m", "shop", "--password"]
    assert "hunter2" not in text


def test_looking_changes_nothing(client: FlaskClient) -> None:
    client.get("/hello").close()
    reads = [strict(client.get("/debug/vars", headers=OPEN).text) for _ in range(3)]
    client.get("/debug/none")

    assert reads[0]["http/responseCodeCount"] == {"200": 1}
    assert reads[2]["http/responseCodeCount"] == {"200": 1}
    assert reads[2]["http/requestCount"] == {"GET": 1}
    assert reads[2]["http/requestsInFlight"] == 0
    assert reads[2]["http/requestSeconds"]["/hello"]["count"] == 1


def test_full_tells_kind_help_and_each_workers_value(
    client: FlaskClient, registry: expvar.Registry
) -> None:
    registry.new_int("shop/orders", "orders placed").add(3)
    registry.new_string("shop/where").set("here")

    full = client.get("/debug/vars.json?full=1", headers=OPEN).json
    assert full is not None
    (pid,) = full["workers"]
    assert full["vars"]["shop/orders"] == {
        "kind": "int", "help": "orders placed", "label": None, "multiprocess_mode": None,
        "value": 3, "workers": {str(pid): 3},
    }  # fmt: skip
    assert full["vars"]["shop/where"]["workers"] == {str(pid): "here"}
    assert full["missing"] == []


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("worker=x", 400, "worker"),
        ("worker=999999", 404, "999999"),
        ("worker=-1", 400, "worker"),
        ("worker=٣", 400, "whole number"),
        ("full=2", 400, "0 or 1"),
        ("q=" + "x" * 300, 400, "256"),
    ],
)
def test_a_bad_parameter_is_named(client: FlaskClient, query: str, status: int, says: str) -> None:
    answer = client.get(f"/debug/vars.json?{query}", headers=OPEN)

    assert answer.status_code == status
    assert says in answer.text


def test_a_browser_gets_html_and_a_program_json(client: FlaskClient) -> None:
    assert client.get("/debug/vars", headers=HTML).mimetype == "text/html"
    assert client.get("/debug/", headers=HTML).mimetype == "text/html"
    assert client.get("/debug/none", headers=HTML).mimetype == "text/html"
    assert client.get("/debug/vars", headers={**OPEN, "Accept": "*/*"}).mimetype.endswith("json")
    assert client.get("/debug/", headers=OPEN).json["pages"][0]["name"] == "vars"


def test_hostile_text_stays_text(client: FlaskClient, registry: expvar.Registry) -> None:
    hostile = ["<script>alert(1)</script>", '"><img onerror=x>', "\x1b[31m", "\u202eevil", "\ud800"]
    for text in hostile:
        registry.new_map("m").add(text)
        registry.new_string("s").set(text)
    page = client.get("/debug/vars", headers=HTML)

    assert page.status_code == 200
    for raw in ("<script>alert", "<img onerror", "\x1b", "\u202e"):
        assert raw not in page.text
    strict(client.get("/debug/vars", headers=OPEN).text)


@pytest.mark.parametrize("prefix", ["/debug", "/a/b", "/"])
@pytest.mark.parametrize("script", ["", "/app"])
def test_links_are_relative_under_any_prefix(prefix: str, script: str) -> None:
    import re

    app = Flask("shop")
    app.config["EXPVAR_TOKEN"] = TOKEN
    expvar.Expvar(app, registry=expvar.Registry(), url_prefix=prefix)
    client = app.test_client()
    mount = prefix.rstrip("/")
    environ = {"SCRIPT_NAME": script}
    for path in (f"{mount}/", f"{mount}/vars", f"{mount}/x/y"):
        page = client.get(path, headers=HTML, environ_overrides=environ).text
        links = re.findall(r'(?:href|src|action)="([^"]*)"', page)
        assert links
        for link in links:
            assert not link.startswith("/"), link
            assert ":" not in link, link


def test_the_prefix_without_a_slash_leads_to_the_one_with(client: FlaskClient) -> None:
    answer = client.get("/debug?worker=1", headers=OPEN)

    assert answer.status_code == 308
    assert answer.headers["Location"] == "debug/?worker=1"


def test_a_page_has_no_slash_at_its_end_and_the_prefix_may_have_one(client: FlaskClient) -> None:
    answer = client.get("/debug/vars/?worker=1", headers=OPEN)
    assert (answer.status_code, answer.headers["Location"]) == (308, "../vars?worker=1")

    app = Flask("shop")
    app.config["EXPVAR_TOKEN"] = TOKEN
    expvar.Expvar(app, registry=expvar.Registry(), url_prefix="/a/b/")
    other = app.test_client()
    assert other.get("/a/b/vars", headers=OPEN).status_code == 200
    assert other.get("/a/b/", headers=OPEN).status_code == 200
    assert other.get("/a/b", headers=OPEN).headers["Location"] == "b/"


@pytest.mark.parametrize(("host", "elsewhere"), [(None, 200), ("debug.example", 404)])
def test_an_application_that_matches_hosts_has_the_pages_too(
    host: str | None, elsewhere: int
) -> None:
    app = Flask("shop", host_matching=True, static_host="static.example")
    app.config.update(EXPVAR_TOKEN=TOKEN, EXPVAR_METRICS_PATH="/metrics")
    options = {} if host is None else {"host": host}
    app.register_blueprint(expvar.blueprint(registry=expvar.Registry("hosts")), **options)

    def status(path: str, host: str) -> int:
        asked = {"base_url": f"http://{host}", "headers": {"Authorization": f"Bearer {TOKEN}"}}
        return app.test_client().get(path, **asked).status_code  # type: ignore[arg-type]

    for path in ("/debug/", "/debug/vars", "/debug/assets/expvar.css", "/metrics"):
        assert status(path, "debug.example") == 200
        assert status(path, "shop.example") == elsewhere


def test_a_registry_mounted_twice_and_two_apps_with_their_own() -> None:
    one, other = expvar.Registry(), expvar.Registry()
    app = Flask("shop")
    app.config["EXPVAR_TOKEN"] = TOKEN
    app.register_blueprint(expvar.blueprint(registry=one))
    app.register_blueprint(expvar.blueprint(registry=other, name="o", url_prefix="/other"))
    one.new_int("x").add(1)
    other.new_int("x").add(2)
    client = app.test_client()

    assert client.get("/debug/vars", headers=OPEN).json["x"] == 1
    assert client.get("/other/vars", headers=OPEN).json["x"] == 2


def test_a_wrong_setting_fails_at_set_up() -> None:
    app = Flask("shop")
    app.config["EXPVAR_ACESS"] = "open"
    with pytest.raises(expvar.SettingError, match="EXPVAR_ACCESS"):
        app.register_blueprint(expvar.blueprint())


def test_ten_thousand_variables_make_a_bounded_page(
    client: FlaskClient, registry: expvar.Registry
) -> None:
    for number in range(10_000):
        registry.new_int(f"v/{number:05}").add(number)
    page = client.get("/debug/vars?limit=2000", headers=HTML)

    assert len(page.data) < 2 * 2**20
    assert "2,000" in page.text or "2000" in page.text
    assert len(client.get("/debug/vars", headers=OPEN).json) >= 10_000
