"""What a browser gets: links and searches that go on refreshing."""

from __future__ import annotations

import re
from html import unescape

import pytest
from flask.testing import FlaskClient

import flask_expvar as expvar

HTML = {"Authorization": "Bearer a-token-of-the-tests-0123456789", "Accept": "text/html"}
STILL = ("profile", "pprof/", "format=")


@pytest.mark.parametrize(
    "page",
    ["", "vars", "vars?under=shop/", "vars?name=shop/orders", "vars?q=none", "metrics", "traces",
     "traces?fam=bank", "traces?fam=bank&lat=1", "events", "events?fam=pool", "threads", "memory",
     "queue", "flags", "config?q=x", "stock"],
)  # fmt: skip
def test_links_and_searches_of_a_page_that_refreshes_go_on_with_it(
    client: FlaskClient, registry: expvar.Registry, page: str
) -> None:
    registry.new_int("shop/orders").add(1)
    expvar.register_queue("mails", lambda: [{"id": "1"}], registry=registry)
    expvar.register_page("stock", "Stock", lambda: {"honey": 3}, registry=registry)
    expvar.event_log("pool", "db1", registry=registry).error("lost")
    with expvar.trace("bank", '<a href="?x">', registry=registry):
        pass

    text = client.get(f"/debug/{page}{'&' if '?' in page else '?'}refresh=7", headers=HTML).text

    main = text.partition("<main")[2].partition("</main>")[0]
    links = [unescape(link) for link in re.findall(r'<a [^>]*?href="([^"]*)"', main)]
    lost = [link for link in links if "refresh=7" not in link and link[:1] != "#"]
    assert [link for link in lost if not any(each in link for each in STILL)] == []
    assert all(link.count("refresh=") <= 1 for link in links)
    searches = re.findall(r'<form [^>]*role="search".*?</form>', main, re.DOTALL)
    assert all('name="refresh" value="7"' in search for search in searches)
    again = next((link for link in links if link[:1] == "?" and "refresh=7" in link), "")
    assert client.get(f"/debug/{page.partition('?')[0]}{again}", headers=HTML).status_code == 200


def test_links_of_a_page_that_does_not_refresh_say_nothing_of_it(client: FlaskClient) -> None:
    main = client.get("/debug/vars", headers=HTML).text.partition("<main")[2].partition("</main>")
    assert "refresh" not in main[0]
