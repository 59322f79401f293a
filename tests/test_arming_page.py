"""``/debug/profile``: profiles of single requests, asked for and found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import work
from flask import Flask
from flask.testing import FlaskClient

import flask_expvar as expvar
from flask_expvar.pages.arming import profile_link
from flask_expvar.stacks import hook
from flask_expvar.stacks.arms import arms_of
from flask_expvar.traces.tracer import tracer_of

TOKEN = "a-token-of-the-tests-0123456789"
OPEN = {"Authorization": f"Bearer {TOKEN}"}
HTML = {**OPEN, "Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def registry() -> expvar.Registry:
    return expvar.Registry("shop")


@pytest.fixture
def client(registry: expvar.Registry) -> Iterator[FlaskClient]:
    app = Flask("shop")
    app.config.update(EXPVAR_TOKEN=TOKEN, EXPVAR_ACTIONS=("arm",))
    expvar.Expvar(app, registry=registry)
    app.add_url_rule("/work", view_func=lambda: str(work.once(0.0002)))
    with app.test_client() as client:
        yield client
    arms_of(registry).disarm()


def post(client: FlaskClient, headers: dict[str, str] = OPEN, **fields: str) -> Any:
    return client.post("/debug/profile", data=fields, headers=headers)


def listed(client: FlaskClient) -> Any:
    return client.get("/debug/profile.json", headers=OPEN).get_json()


def test_next_requests_are_profiled_and_then_no_more(client: FlaskClient) -> None:
    told = post(client, action="arm", count="2", route="/work", slower="0.25ms", **{"for": "60"})
    armed = listed(client)["armed"]
    for _ in range(3):
        client.get("/work", buffered=True)
    found = listed(client)

    assert told.get_json()["action"] == "arm"
    (waiting,) = armed
    assert 0 < waiting.pop("ends_in") <= 60
    assert waiting | {"worker": 0} == {"left": 2, "route": "/work", "slower": 0.00025, "worker": 0}
    assert found["armed"] == []
    assert [each["route"] for each in found["requests"]] == ["/work", "/work"]


def test_trace_links_the_profile_of_its_request(
    client: FlaskClient, registry: expvar.Registry
) -> None:
    post(client, action="arm", count="1")
    client.get("/work", buffered=True)
    (kept,) = listed(client)["requests"]

    assert tracer_of(registry).find(kept["trace"]) is not None
    page = client.get("/debug/traces", query_string={"trace": kept["trace"]}, headers=HTML).text
    (link,) = re.findall(r'href="(profile\?id=[^"]+)"', page)
    shown = client.get(f"/debug/{link}", headers=HTML)

    assert link == f"profile?id={kept['id']}"
    assert shown.status_code == 200
    assert "seventy" in shown.text
    assert "pyinstrument" in shown.text


def test_page_arms_by_a_form_and_disarms_by_a_button(client: FlaskClient) -> None:
    before = client.get("/debug/profile", headers=HTML).text
    armed = post(client, HTML, action="arm", count="3", route="", slower="", **{"for": ""})
    while_armed = client.get(f"/debug/{armed.headers['Location']}", headers=HTML).text
    post(client, HTML, action="disarm")

    assert "Profile the next requests" in before
    assert "Wait no more" not in before
    assert armed.status_code == 303
    assert re.search(r"waits for 3 more\s+of any route", while_armed)
    assert "Wait no more" in while_armed
    assert listed(client)["armed"] == []


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("count", "0", "1 to 100"),
        ("count", "many", "1 to 100"),
        ("slower", "-1", "seconds"),
        ("slower", "4000", "3600"),
        ("for", "0", "3600"),
        ("route", "x" * 257, "256 characters"),
    ],
)
def test_field_that_is_not_allowed_is_named(
    client: FlaskClient, field: str, value: str, allowed: str
) -> None:
    answer = post(client, action="arm", **{field: value})

    assert answer.status_code == 400
    assert field in answer.text
    assert allowed in answer.text
    assert listed(client)["armed"] == []


def test_debug_pages_are_not_watched_themselves(client: FlaskClient) -> None:
    post(client, action="arm", count="3")
    found = [listed(client) for _ in range(5)][-1]

    assert [each["left"] for each in found["armed"]] == [3]
    assert found["requests"] == []
    assert hook.left() == 0


def test_nobody_arms_unless_a_setting_allows_it(client: FlaskClient) -> None:
    client.application.config["EXPVAR_ACTIONS"] = ()

    refused = post(client, action="arm")
    page = client.get("/debug/profile", headers=HTML).text

    assert refused.status_code == 403
    assert "EXPVAR_ACTIONS does not allow arm" in refused.text
    assert "EXPVAR_ACTIONS does not allow arm" in page
    assert listed(client)["armed"] == []


def test_page_of_another_site_arms_nothing(client: FlaskClient) -> None:
    answer = post(client, {**OPEN, "Sec-Fetch-Site": "cross-site"}, action="arm")

    assert answer.status_code == 403
    assert listed(client)["armed"] == []


def test_route_of_hostile_text_changes_nothing_else(client: FlaskClient) -> None:
    post(client, action="arm", route="<script>\u202ealert(1)</script>")

    page = client.get("/debug/profile", headers=HTML).text

    assert "<script>\u202e" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("value", ["javascript:alert(1)", "1-r1&x=y", "", 5, None])
def test_fact_of_an_application_is_no_link(value: object) -> None:
    assert profile_link(value) == ""
