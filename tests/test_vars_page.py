"""``/debug/vars`` in the browser: prefixes, trends, and a page for each variable."""

from __future__ import annotations

import re
import time
from html import unescape

import pytest
from flask.testing import FlaskClient

import flask_expvar as expvar
from flask_expvar.pages.vars_one import largest
from flask_expvar.variables.history import history_of

TOKEN = "a-token-of-the-tests-0123456789"
OPEN = {"Authorization": f"Bearer {TOKEN}"}
HTML = {**OPEN, "Accept": "text/html"}


def names(text: str) -> list[str]:
    return re.findall(r'<a href="\?name=([^"&]+)', unescape(text))


def test_prefixes_lead_down_and_back_up(client: FlaskClient, registry: expvar.Registry) -> None:
    for name in ("shop/orders", "shop/cart/open", "shop/cart/left", "jobs/done"):
        registry.new_int(name)

    text = client.get("/debug/vars", headers=HTML).text
    assert 'href="?under=shop%2F"><bdi>shop/</bdi></a> <span class="muted">3</span>' in text

    text = client.get("/debug/vars?under=shop/", headers=HTML).text
    assert 'href="?under=shop%2Fcart%2F"><bdi>shop/cart/</bdi>' in text
    assert '<a href="?"><bdi>all</bdi></a>' in text
    assert names(text) == ["shop%2Fcart%2Fleft", "shop%2Fcart%2Fopen", "shop%2Forders"]
    both = client.get("/debug/vars?under=shop/&q=open", headers=HTML).text
    assert names(both) == ["shop%2Fcart%2Fopen"]


def test_help_and_texts_have_nothing_invisible_and_no_half_of_a_character(
    client: FlaskClient, registry: expvar.Registry
) -> None:
    registry.new_string("file", "read from \udcff\u202e").set("x\udcff\u202e\x00")

    for query in ("q=file", "name=file"):
        answer = client.get(f"/debug/vars?{query}", headers=HTML)
        assert answer.status_code == 200
        assert "read from \\udcff\\u202e" in answer.text
        assert not re.search("[\u202e\x00]", answer.text)


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no moment pass between what is counted and what is shown: a new point may begin."""
    now = time.time() // 15 * 15 + 7
    monkeypatch.setattr("flask_expvar.variables.history.time.time", lambda: now)


def grow(registry: expvar.Registry, each: expvar.Int, by: int) -> None:
    """Let five minutes pass in which *each* grows every second."""
    history, now = history_of(registry), time.time()
    for second in range(300):
        each.add(by)
        history.tick(now - 300 + second)


@pytest.mark.usefixtures("still")
def test_a_row_shows_its_rate_and_its_trend(client: FlaskClient, registry: expvar.Registry) -> None:
    grow(registry, registry.new_int("shop/orders"), 3)

    text = client.get("/debug/vars?q=shop/", headers=HTML).text

    assert "<span>3/s</span>" in text
    assert text.count('<svg class="spark"') == 1


@pytest.mark.usefixtures("still")
def test_a_variable_has_a_page_and_a_twin_with_its_past(
    client: FlaskClient, registry: expvar.Registry
) -> None:
    grow(registry, registry.new_int("shop/orders", "orders placed"), 2)

    text = client.get("/debug/vars?name=shop/orders&span=5m", headers=HTML).text
    twin = client.get("/debug/vars.json?name=shop/orders&span=5m", headers=OPEN).get_json()

    assert "orders placed" in text
    assert "all: now" in text
    assert (twin["value"], twin["kind"], twin["step"]) == (600, "int", 5)
    assert twin["history"]["points"][-10] == 2
    assert "shop/orders" in client.get("/debug/vars?name=x", headers={**OPEN}).get_json()


@pytest.mark.parametrize("name", ["http/requestSeconds", "memstats", "text", "empty"])
def test_every_kind_has_a_page(client: FlaskClient, registry: expvar.Registry, name: str) -> None:
    registry.new_string("text").set("<b>bold</b>")
    registry.new_map("empty")
    client.get("/none", buffered=True)

    answer = client.get(f"/debug/vars?name={name}", headers=HTML)

    assert answer.status_code == 200
    assert "<b>bold" not in answer.text


@pytest.mark.parametrize("path", ["/debug/vars", "/debug/vars.json"])
def test_an_unknown_variable_is_404_and_leads_to_all(client: FlaskClient, path: str) -> None:
    answer = client.get(f"{path}?name=shop/<b>", headers=HTML)

    assert answer.status_code == 404
    assert "There is no variable &#39;shop/&lt;b&gt;&#39;" in answer.text
    assert re.search(r'<a href="vars">(<bdi>)?All variables', answer.text)


def test_of_many_keys_the_largest_have_lines_of_their_own() -> None:
    keys: dict[str, list[float | None]] = {name: [float(at)] for at, name in enumerate("abcdef")}

    assert largest(keys) == {"f": [5], "e": [4], "d": [3], "3 others": [3]}


def test_ten_thousand_variables_are_no_trouble(
    client: FlaskClient, registry: expvar.Registry
) -> None:
    for number in range(10_000):
        registry.new_int(f"many/{number % 100}/{number}")
    history_of(registry).tick()

    began = time.thread_time()
    answer = client.get("/debug/vars?limit=2000", headers=HTML)

    assert time.thread_time() - began < 2
    assert len(answer.data) < 2 * 2**20
    assert "showing 2,000 of 10," in answer.text


def shown(client: FlaskClient, query: str) -> list[str]:
    """Return the names on the page, which are those of its twin and of the annotated one, too."""
    page = client.get(f"/debug/vars?limit=2000&{query}", headers=HTML)
    twin = client.get(f"/debug/vars.json?{query}", headers=OPEN).get_json()
    full = client.get(f"/debug/vars.json?full=1&{query}", headers=OPEN).get_json()
    found = [name.replace("%2F", "/") for name in names(page.text)]
    assert page.status_code == 200
    assert sorted(twin) == found
    assert sorted(full["vars"]) == [name for name in found if name not in full["runtime"]]
    assert full["shown"] == len(full["vars"]) <= full["total"]
    return found


def test_every_form_has_the_same_filters(client: FlaskClient, registry: expvar.Registry) -> None:
    registry.new_int("shop/orders").add(2)
    registry.new_int("shop/refunds")
    registry.new_map("shop/none")
    registry.new_map("shop/zeros").add("a", 0)
    registry.new_histogram("shop/seconds")
    registry.new_string("shop/text")
    registry.publish("shop/broken", lambda: 1 / 0)
    registry.new_int("jobs/orders").add(1)

    assert shown(client, "under=shop/&nonzero=1") == ["shop/broken", "shop/orders"]
    assert shown(client, "q=ORDERS") == ["jobs/orders", "shop/orders"]
    assert shown(client, "q=orders&under=shop/") == ["shop/orders"]
    assert "memstats" in shown(client, "nonzero=1")
    assert "shop/refunds" in shown(client, "nonzero=0")


def test_what_has_changed_since_a_moment_is_shown_alone(
    client: FlaskClient, registry: expvar.Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time() - 400
    monkeypatch.setattr("flask_expvar.variables.history.time.time", lambda: now)
    monkeypatch.setattr("flask_expvar.variables.said.time.time_ns", lambda: int(now * 1e9))
    counts = [registry.new_int(f"n/{name}") for name in ("never", "long", "lately")]
    gauge, keyed = registry.new_float("n/gauge", multiprocess_mode="max"), registry.new_map("n/map")
    text = registry.new_string("n/text")
    for each in counts:
        each.add(1)
    text.set("early")
    history = history_of(registry)
    for second in range(400):
        now += 1
        if second == 50:
            counts[1].add(1)
        if second == 350:
            counts[2].add(1)
            gauge.set(0.5)
            keyed.add("up", 1)
            keyed.add("down", -1)
            text.set("late")
            moment = now
        history.tick()

    late = ["n/gauge", "n/lately", "n/map", "n/text"]
    assert shown(client, "under=n/&since=1m") == late
    assert shown(client, f"under=n/&since={moment - 5:.0f}") == late
    assert shown(client, f"under=n/&since={moment + 1:.0f}") == []
    # Before the history begins, its beginning counts.
    assert shown(client, "under=n/&since=15m") == sorted([*late, "n/long"])
    assert shown(client, "under=n/&since=15m&nonzero=1&q=l") == ["n/lately", "n/long"]
    gauge.set(0.25)
    assert shown(client, "under=n/&since=now") == []
    assert "n/gauge" in shown(client, f"since={now:.0f}")


def test_the_form_keeps_its_filters_and_offers_to_watch_from_now_on(client: FlaskClient) -> None:
    page = unescape(client.get("/debug/vars?nonzero=1&since=5m&refresh=5", headers=HTML).text)
    assert '<input type="checkbox" name="nonzero" value="1" checked>' in page
    assert '<option value="5m" selected>in the last 5 min</option>' in page
    assert re.search(r'href="\?under=[^"]*&nonzero=1&since=5m|nonzero=1&since=5m[^"]*under=', page)

    page = unescape(client.get("/debug/vars?since=now&q=none", headers=HTML).text)
    link = re.search(r'href="(\?q=none&since=\d{10})">Look what has changed', page)
    assert link is not None
    assert client.get(f"/debug/vars{link[1]}", headers=HTML).status_code == 200


@pytest.mark.parametrize("query", ["since=yesterday", "since=1h", "since=-1", "nonzero=yes"])
@pytest.mark.parametrize("path", ["vars", "vars.json", "vars.json?full=1"])
def test_a_filter_that_is_not_allowed_is_named(client: FlaskClient, path: str, query: str) -> None:
    answer = client.get(f"/debug/{path}{'&' if '?' in path else '?'}{query}", headers=OPEN)
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.text
    assert "allowed" in answer.text
