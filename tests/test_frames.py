"""The frame: refreshing, the command for a terminal, what is off, what looking costs."""

from __future__ import annotations

import shlex
from html import unescape

import pytest
from flask.testing import FlaskClient

import flask_expvar as expvar

TOKEN = "a-token-of-the-tests-0123456789"
HTML = {"Authorization": f"Bearer {TOKEN}", "Accept": "text/html"}


def test_without_script_a_page_is_asked_for_again_when_the_url_says_so(
    client: FlaskClient,
) -> None:
    text = client.get("/debug/vars?refresh=5&q=a", headers=HTML).text

    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in text
    assert 'href="?refresh=15&amp;q=a"' in text
    assert 'href="traces?refresh=5"' in text
    assert "http-equiv" not in client.get("/debug/vars", headers=HTML).text


@pytest.mark.parametrize(("asked", "content"), [("1", "2"), ("300", "300")])
def test_nobody_refreshes_faster_than_every_two_seconds(
    client: FlaskClient, asked: str, content: str
) -> None:
    text = client.get(f"/debug/?refresh={asked}", headers=HTML).text

    assert f'content="{content}"></noscript>' in text


@pytest.mark.parametrize("asked", ["301", "-1", "x", "1.5"])
def test_another_interval_is_refused_inside_the_frame(client: FlaskClient, asked: str) -> None:
    answer = client.get(f"/debug/vars?refresh={asked}", headers=HTML)

    assert answer.status_code == 400
    assert "a whole number from 0 to 300" in unescape(answer.text)
    assert '<nav aria-label="Debug pages">' in answer.text


def test_a_page_that_says_the_same_is_not_sent_again(
    client: FlaskClient, registry: expvar.Registry
) -> None:
    orders = registry.new_int("orders")
    first = client.get("/debug/vars?q=orders", headers=HTML)
    tag = {"If-None-Match": first.headers["ETag"]}

    assert client.get("/debug/vars?q=orders", headers=HTML | tag).status_code == 304
    orders.add(1)
    assert client.get("/debug/vars?q=orders", headers=HTML | tag).status_code == 200


@pytest.mark.parametrize("path", ["/debug/", "/debug/vars?q=it's", "/debug/queue"])
def test_the_command_for_a_terminal_names_the_token_and_never_tells_it(
    client: FlaskClient, path: str
) -> None:
    text = unescape(client.get(path, headers=HTML).text)
    command = text.partition("<code>curl ")[2].partition("</code>")[0]

    *_, header, url = shlex.split(command)
    assert header == "Authorization: Bearer $EXPVAR_TOKEN"
    assert TOKEN not in text
    answer = client.get(url.removeprefix("http://localhost"), headers={**HTML, "Accept": "*/*"})
    assert answer.status_code == 200
    assert answer.is_json


def test_a_page_that_is_off_stays_in_the_navigation_and_says_how_to_turn_it_on(
    client: FlaskClient, registry: expvar.Registry
) -> None:
    assert "Queue<span" in client.get("/debug/vars", headers=HTML).text
    assert "register_queue()" in client.get("/debug/vars", headers=HTML).text

    expvar.register_queue("mails", lambda limit, offset: ([], 0), registry=registry)

    assert "Queue</a>" in client.get("/debug/vars", headers=HTML).text


def test_the_footer_tells_what_looking_costs(client: FlaskClient) -> None:
    assert "own cost 0." in client.get("/debug/vars", headers=HTML).text
