"""Pages of the application's own: they have all that ours have, whatever they return."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from apps import SHOP
from apps import TOKEN as TOKEN_OF_SHOP
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers import Gunicorn

import flask_expvar as expvar
from flask_expvar.pages.overview import all_pages
from flask_expvar.pages.own_plain import merge_page
from flask_expvar.pages.registered import RESERVED

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def registry() -> expvar.Registry:
    return expvar.Registry()


@pytest.fixture
def level() -> list[expvar.Level]:
    return [expvar.Level.SENSITIVE]


@pytest.fixture
def client(registry: expvar.Registry, level: list[Any]) -> Iterator[FlaskClient]:
    app = Flask("shop")
    app.config["EXPVAR_ACCESS"] = lambda request: level[0]
    expvar.Expvar(app, registry=registry)
    with app.test_client() as client:
        yield client


@pytest.fixture
def show(registry: expvar.Registry, client: FlaskClient) -> Callable[..., Any]:
    """Return ``show(data)``: the JSON of a page that returns *data*, and its HTML."""

    def show(collect: Any, query: str = "") -> tuple[Any, str]:
        if not callable(collect):
            data = collect
            collect = lambda: data  # noqa: E731
        expvar.register_page("caches", "Caches", collect, registry=registry)
        told = client.get(f"/debug/caches.json{query}")
        html = client.get(f"/debug/caches{query}", headers=HTML)
        assert (told.status_code, html.status_code) == (200, 200), told.text
        assert told.content_type == "application/json; charset=utf-8"
        assert max(len(told.data), len(html.data)) < 2 * 2**20
        return json.loads(told.text, parse_constant=pytest.fail), html.text

    return show


def body(html: str) -> str:
    """Return what stands between the frame, one element a line."""
    main = (
        "<h1"
        + html.partition('tabindex="-1">')[2].partition("</ul>\n<h1")[2].partition("</main>")[0]
    )
    lines = re.sub(r">\s*<(?=[^/]|/d|/t[rhba])", ">\n<", main)
    return "\n".join(line.strip() for line in lines.splitlines() if line.strip())


# -- what is shown -------------------------------------------------------------------------------


def test_scalars_are_a_list_of_definitions(show: Callable[..., Any]) -> None:
    told, html = show({"entries": 1234, "ratio": 0.25, "name": "a<b", "on": True, "none": None})

    assert told["merged"] == {
        "entries": 1234,
        "name": "a<b",
        "none": None,
        "on": True,
        "ratio": 0.25,
    }
    assert (
        body(html)
        == """\
<h1>
<bdi>Caches</bdi></h1>
<section>
<dl class="own">
<div>
<dt>
<bdi>entries</bdi>
</dt>
<dd>
<bdi class="lines">1,234</bdi>
</dd>
</div>
<div>
<dt>
<bdi>name</bdi>
</dt>
<dd>
<bdi class="lines">a&lt;b</bdi>
</dd>
</div>
<div>
<dt>
<bdi>none</bdi>
</dt>
<dd>
<bdi class="lines">–</bdi>
</dd>
</div>
<div>
<dt>
<bdi>on</bdi>
</dt>
<dd>
<bdi class="lines">true</bdi>
</dd>
</div>
<div>
<dt>
<bdi>ratio</bdi>
</dt>
<dd>
<bdi class="lines">0.25</bdi>
</dd>
</div>
</dl>
</section>"""
    )


def test_mappings_are_rows_of_a_table(show: Callable[..., Any]) -> None:
    told, html = show([{"b": 1, "a": "x"}, {"c": [1, 2]}, "alone"])

    assert told["merged"] == [{"a": "x", "b": 1}, {"c": [1, 2]}, "alone"]
    heads = re.findall(r'<th scope="col"( class="num")?><bdi>(.*?)</bdi>', html)
    assert heads == [("", "a"), (' class="num"', "b"), ("", "c"), ("", "–")]
    cells = re.findall(r'<bdi class="lines">(.*?)</bdi>', html)
    assert cells == ["x", "1", "–", "–", "–", "–", "[1,2]", "–", "–", "–", "–", "alone"]


def test_headings_stand_over_lists_and_tables(show: Callable[..., Any]) -> None:
    _, html = show({"size": 7, "Rows": [{"n": 1}], "Sums": {"x": {"deep": 1}}, "empty": []})

    assert re.findall(r"<caption.*?><bdi>(.*?)</bdi>", html) == ["Rows"]
    assert re.findall(r"<h2><bdi>(.*?)</bdi>", html) == ["Sums"]
    assert re.findall(r"<dt><bdi>(.*?)</bdi>", html) == ["empty", "size", "x"]
    assert '<dd class="code"><bdi class="lines">{&#34;deep&#34;:1}</bdi>' in html


def test_dates_and_decimals_are_texts(show: Callable[..., Any]) -> None:
    told, _ = show({"day": date(2026, 2, 3), "price": Decimal("1.10"), 5: 6, None: 7})

    assert told["merged"]["day"] == "2026-02-03"
    assert told["merged"]["price"] == "1.10"
    assert told["merged"]["5"] == 6


def test_parameters_of_the_url_are_handed_on(
    show: Callable[..., Any], registry: expvar.Registry, client: FlaskClient
) -> None:
    told, html = show(lambda query: query, "?a=1&b=%26")

    assert told["merged"] == {"a": "1", "b": "&"}
    assert 'href="caches.json?a=1&amp;b=%26"' in html

    def strict(query: Any) -> Any:
        raise expvar.ParameterError("depth", query["depth"], "1 to 3")

    expvar.register_page("caches", "Caches", strict, registry=registry)
    answer = client.get("/debug/caches?depth=9")
    assert (answer.status_code, "depth='9'" in answer.text) == (400, True)


def test_secrets_are_hidden(show: Callable[..., Any]) -> None:
    secret = "ghp_0123456789abcdefABCDEF0123456789"
    data = {
        "password": "hunter2",
        "tokens": ["hunter2", "hunter2"],
        secret: 1,
        "url": f"https://u:{secret}@host/path",
        "Rows": [{"api_key": "hunter2", "note": f"Bearer {secret}"}],
        "deep": [{"a": {"secret": ["hunter2"]}}],
    }

    told, html = show(data)

    for text in (json.dumps(told), html):
        assert "hunter2" not in text
        assert secret not in text
    assert told["merged"]["password"] == "hidden"


# -- odd data ------------------------------------------------------------------------------------


NO_DATA = "cannot be shown: it is no plain data, or too much of it"


class Odd:
    def __repr__(self) -> str:
        raise RuntimeError("nobody may call this")

    __str__ = __repr__


def circle() -> Any:
    found: dict[str, Any] = {"a": 1, "nan": float("nan"), "odd": Odd()}
    found["me"] = found
    return found


def test_what_json_does_not_know_is_null_at_its_place(show: Callable[..., Any]) -> None:
    told, html = show(circle)

    assert told["merged"] == {"a": 1, "me": None, "nan": None, "odd": None}
    assert html.count("<dd>") == 4


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (None, "There is nothing to show."),
        (Odd(), f"a value of class Odd {NO_DATA}"),
        (range(200_000), f"a value of class range {NO_DATA}"),
    ],
    ids=["none", "object", "too much"],
)  # fmt: skip
def test_what_cannot_be_shown_is_named(show: Callable[..., Any], data: Any, problem: str) -> None:
    told, html = show(data)

    assert list(told["problems"].values()) == [problem]
    assert problem in html


def test_much_is_cut_and_counted(show: Callable[..., Any]) -> None:
    told, html = show({"Rows": [{"n": n} for n in range(5000)], "long": "x " * 10_000_000})

    assert len(told["merged"]["Rows"]) == 1000
    assert list(told["cuts"].values()) == [{"Rows": 5000}]
    assert "showing 1,000 of 5,000" in html
    assert len(told["merged"]["long"]) < 2000


@pytest.mark.parametrize(
    "data",
    [
        {"Rows": [{f"column{n}": "&" * 500 for n in range(90)} for _ in range(900)]},
        {f"Section {n}": {f"name{m}": "\u202e" * 300 for m in range(20)} for n in range(900)},
        [10**4000] * 900,
        {"&" * 200 + str(n): n for n in range(1000)},
        [[[[[["x"] * 9] * 9] * 9] * 9] * 9] * 9,
    ],
    ids=["wide", "sections", "numbers", "names", "deep"],
)
def test_pages_stay_below_two_mebibytes(show: Callable[..., Any], data: Any) -> None:
    show(data)  # which asserts it


def test_hostile_text_stays_text(show: Callable[..., Any]) -> None:
    bad = "<script>alert(1)</script>\u202e\x1b[31m\x00'\">"
    _, html = show({bad: bad, "Rows": [{bad: bad}], bad + "s": [bad]}, "?a=<script>alert(1)")

    assert "<script>alert" not in html
    for char in "\u202e\x1b\x00":
        assert char not in html


JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9),
              st.binary(max_size=9), st.builds(Odd)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.text(), st.integers(), st.none()), inner, max_size=4),
    ),
    max_leaves=12,
)  # fmt: skip


@given(data=JUNK, query=st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3))
@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_data_and_no_parameters_break_the_page(
    registry: expvar.Registry, client: FlaskClient, data: Any, query: dict[str, str]
) -> None:
    expvar.register_page("caches", "Caches", lambda: data, registry=registry)

    for path in ("caches", "caches.json"):
        answer = client.get(f"/debug/{path}", query_string=query, headers=HTML)
        assert answer.status_code in ((200,) if "worker" not in query else (200, 400, 404))


# -- functions that fail -------------------------------------------------------------------------


def test_a_function_that_raises_costs_its_own_section(
    show: Callable[..., Any], level: list[Any]
) -> None:
    def fail() -> Any:
        raise LookupError("at 10.1.2.3")

    told, html = show(fail)
    assert list(told["problems"].values()) == ["LookupError: at 10.1.2.3"]
    assert "LookupError" in html

    level[0] = expvar.Level.READ
    assert list(show(fail)[0]["problems"].values()) == ["LookupError"]


def test_a_function_that_hangs_is_waited_for_once(show: Callable[..., Any]) -> None:
    free, done = threading.Event(), threading.Event()

    def hang() -> Any:
        yield_from = free.wait(30)
        done.set()
        return yield_from

    try:
        told, _ = show(hang)
    finally:
        free.set()

    assert list(told["problems"].values()) == ["no answer within 0.8 s; it is still running"]
    assert done.wait(10)


def test_a_list_that_hangs_while_it_is_read_is_not_waited_for(show: Callable[..., Any]) -> None:
    free, done = threading.Event(), threading.Event()

    class Lazy(list[int]):
        def __iter__(self) -> Iterator[int]:
            free.wait(30)
            done.set()
            return iter([1])

    try:
        told, _ = show(lambda: Lazy([1]))
    finally:
        free.set()

    assert list(told["problems"].values()) == ["no answer within 0.8 s; it is still running"]
    assert done.wait(10)


# -- registering ---------------------------------------------------------------------------------


def test_a_page_is_in_the_navigation_and_on_the_overview(
    registry: expvar.Registry, client: FlaskClient
) -> None:
    client.get("/debug/")  # the blueprint has answered before
    expvar.register_page("caches", "My caches", dict, about="What is kept", registry=registry)

    html = client.get("/debug/", headers=HTML).text
    assert '<a href="caches">My caches</a></li>' in html
    assert "What is kept" in html
    assert "caches" in [page["name"] for page in client.get("/debug/").json["pages"]]
    html = client.get("/debug/caches", headers=HTML).text
    assert '<a href="caches" aria-current="page">My caches</a>' in html
    assert "<title>My caches — shop@" in html
    moved = client.get("/debug/caches/", headers=HTML)
    assert (moved.status_code, moved.headers["Location"]) == (308, "../caches")


def test_a_page_stands_behind_the_gate(
    registry: expvar.Registry, client: FlaskClient, level: list[Any]
) -> None:
    asked: list[int] = []
    expvar.register_page("caches", "Caches", lambda: asked.append(1), registry=registry)
    level[0] = expvar.Level.NONE

    for path in ("caches", "caches.json", "nothing"):
        assert client.get(f"/debug/{path}").status_code == 403
    assert asked == []


def test_what_is_not_registered_is_404_and_post_405(
    registry: expvar.Registry, client: FlaskClient
) -> None:
    expvar.register_page("caches", "Caches", dict, registry=registry)

    for path in ("cache", "caches.json.json", "caches/x", "caches.jsonx", "Caches", "caches//"):
        assert client.get(f"/debug/{path}").status_code == 404, path
    assert client.post("/debug/caches").status_code == 405
    assert client.get("/debug/caches?worker=1").status_code == 404
    assert client.get("/debug/caches?worker=x").status_code == 400


def test_two_registries_have_pages_of_their_own(client: FlaskClient) -> None:
    expvar.register_page("caches", "Caches", dict, registry=expvar.Registry())

    assert client.get("/debug/caches").status_code == 404


@pytest.mark.parametrize("name", ["", "Caches", "a/b", "a.json", "1a", "-a", "a" * 41, "é", "a\n"])
def test_a_bad_address_is_refused(name: str) -> None:
    with pytest.raises(expvar.BadNameError, match="cannot name a page: it is no address"):
        expvar.register_page(name, "Title", dict, registry=expvar.Registry())


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_the_address_of_one_of_our_pages_is_refused(name: str) -> None:
    with pytest.raises(expvar.NameTakenError, match=f"take another name, for example 'app-{name}'"):
        expvar.register_page(name, "Title", dict, registry=expvar.Registry())


def test_all_our_pages_are_reserved() -> None:
    assert set(all_pages()) - {""} <= RESERVED


@pytest.mark.parametrize(("title", "collect"), [("", dict), (7, dict), ("Title", 7)])
def test_bad_titles_and_functions_are_refused(title: Any, collect: Any) -> None:
    with pytest.raises(expvar.BadKindError):
        expvar.register_page("caches", title, collect, registry=expvar.Registry())


def test_a_hundred_pages_are_enough(registry: expvar.Registry) -> None:
    for number in range(100):
        expvar.register_page(f"page{number}", "Title", dict, registry=registry)

    expvar.register_page("page7", "Again", dict, registry=registry)
    with pytest.raises(expvar.BadNameError, match="there are 100 already"):
        expvar.register_page("another", "Title", dict, registry=registry)


# -- several workers -----------------------------------------------------------------------------


def test_equal_data_is_merged_and_other_data_is_not() -> None:
    one = {"data": {"a": 1}, "cuts": {}, "problem": ""}
    bad = {"data": None, "cuts": {}, "problem": "ValueError"}

    assert merge_page({1: one, 2: one}, [])["merged"] == {"a": 1}
    assert merge_page({1: one, 2: {**one, "data": 2}}, [])["equal"] is False
    assert merge_page({1: one, 2: bad}, [])["equal"] is False
    assert merge_page({}, [3]) == {
        "workers": {}, "cuts": {}, "problems": {}, "equal": False, "merged": None, "missing": [3],
    }  # fmt: skip


PAGES = """
expvar.register_page("pids", "Pids", lambda: [{"pid": os.getpid()}])
expvar.register_page("same", "The same", lambda: {"a": 1})
"""


def test_a_page_speaks_for_all_workers(gunicorn: Callable[..., Gunicorn]) -> None:
    server = gunicorn(SHOP + PAGES, "-w", "2")

    def get(path: str, **headers: str) -> Any:
        answer = server.get(f"/debug/{path}", headers={**TOKEN_OF_SHOP, **headers})
        assert answer.status == 200, answer.text
        return answer

    def joined() -> bool:
        pids = server.worker_pids()
        return len(pids) == 2 and len(get("same").json()["workers"]) == 2

    server.wait_until(joined, what="both workers join")
    pids = [str(pid) for pid in server.worker_pids()]
    for _ in range(5):
        same, other = get("same").json(), get("pids.json").json()
        assert (same["merged"], same["workers"]) == ({"a": 1}, {pid: {"a": 1} for pid in pids})
        assert other["workers"] == {pid: [{"pid": int(pid)}] for pid in pids}
        assert (other["equal"], other["merged"], other["missing"]) == (False, None, [])
    html = get("pids", Accept="text/html").text
    assert re.findall(r"<h2>Worker (\d+)</h2>", html) == pids
    assert "The same in all 2 workers." in get("same", Accept="text/html").text
    one = get(f"pids?worker={pids[1]}", Accept="text/html").text
    assert f"worker <b>{pids[1]}</b> only" in one
    assert "<h2>Worker" not in one
    assert f"{int(pids[1]):,}" in one
