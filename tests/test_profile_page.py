"""``/debug/profile``: taken, kept, shown, compared and sent in every form."""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest
from flask import Flask
from flask.testing import FlaskClient
from made import HOSTILE, MAIN, PARSE, made
from servers import wait_until

import flask_expvar as expvar
from flask_expvar.pages.profile_flame import flame_html
from flask_expvar.pages.profile_question import Question
from flask_expvar.profiles.tree import tree
from flask_expvar.stacks.profile import Frame, Profile, merged
from flask_expvar.stacks.profiler import profiler

TOKEN = "a-token-of-the-tests-0123456789"
OPEN = {"Authorization": f"Bearer {TOKEN}"}
HTML = {**OPEN, "Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FORMATS = ("html", "text", "json", "speedscope", "pprof", "folded", "threads", "session")


@pytest.fixture
def client() -> Iterator[FlaskClient]:
    app = Flask("shop")
    app.config["EXPVAR_TOKEN"] = TOKEN
    expvar.Expvar(app, registry=expvar.Registry())
    with app.test_client() as client:
        yield client
    for each in filter(None, [profiler.running]):
        each.stop()
        wait_until(lambda: profiler.running is None)
    profiler._kept.clear()


class Kept:
    """A finished profile, as the profiler keeps it."""

    engine, error, done, left = "threads", "", True, 0.0

    def __init__(self, id: str, profile: Profile) -> None:
        self.id, self.profile = id, profile
        self.mode, self.seconds, self.started = profile.mode, profile.seconds, profile.started


@pytest.fixture
def keep(client: FlaskClient) -> Any:
    def keep(id: str, profile: Profile) -> None:
        profiler._kept.appendleft(Kept(id, profile))  # type: ignore[arg-type]

    return keep


def get(client: FlaskClient, query: str, headers: dict[str, str] = HTML, status: int = 200) -> Any:
    answer = client.get(f"/debug/profile{query}", headers=headers)
    assert answer.status_code == status, answer.text
    return answer


def svg_of(text: str) -> ElementTree.Element:
    found = re.search(r'<svg class="flame".*?\n</svg>', text, re.DOTALL)
    assert found is not None
    return ElementTree.fromstring(found[0])


# -- taking --------------------------------------------------------------------------------------


@pytest.fixture
def busy() -> Iterator[None]:
    event = threading.Event()

    def wait_here() -> None:
        event.wait()

    thread = threading.Thread(target=wait_here, name=HOSTILE)
    thread.start()
    yield
    event.set()
    thread.join(10)


@pytest.mark.usefixtures("busy")
def test_every_form_of_a_profile_taken_now(client: FlaskClient) -> None:
    texts = {}
    for format in FORMATS:
        answer = get(client, f"?seconds=0.1&format={format}", OPEN)
        texts[format] = answer.data
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Expvar-Workers"].isdigit()

    assert b"wait_here" in texts["text"]
    assert "wait_here" in json.dumps(json.loads(texts["json"]))
    assert b"wait_here" in gzip.decompress(texts["pprof"])
    assert b"wait_here" in texts["html"]
    for format in ("speedscope", "threads", "session"):
        assert b"wait_here" in texts[format]
        json.loads(texts[format])
    assert re.search(rb"^.*wait_here.* \d+$", texts["folded"], re.M)


@pytest.mark.usefixtures("busy")
def test_pyinstruments_page_has_a_policy_of_its_own(client: FlaskClient) -> None:
    answer = get(client, "?seconds=0.1&format=html", OPEN)

    policy = answer.headers["Content-Security-Policy"]
    nonce = re.search(r"script-src 'nonce-([\w-]+)'", policy)
    assert nonce is not None
    assert "sandbox allow-scripts" in policy
    assert re.findall(r"<script\b[^>]*>", answer.text) == [f'<script nonce="{nonce[1]}">'] * 2
    assert "https://" not in answer.text
    assert answer.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("seconds=0", "more than 0 and at most 120"),
        ("seconds=121", "more than 0 and at most 120"),
        ("seconds=-1", "seconds"),
        ("seconds=", "seconds"),
        ("seconds=junk", "seconds such as"),
        ("mode=both", "wall, cpu"),
        ("mode=", "wall, cpu"),
        ("format=xml", "html, text, json, speedscope, pprof"),
        ("engine=magic", "signal, threads, py-spy"),
        ("worker=x", "worker"),
        ("id=../x", "id"),
    ],
)
def test_bad_parameter_is_named_with_what_is_allowed(
    client: FlaskClient, query: str, said: str
) -> None:
    answer = get(client, f"?{query}", OPEN, 400)

    assert query.partition("=")[0] in answer.text
    assert said in answer.text


def test_unknown_profile_and_worker_are_not_found(client: FlaskClient) -> None:
    for query in ("?id=nope", "?worker=1&seconds=1", "?id=nope&format=pprof"):
        get(client, query, OPEN, 404)


def test_looking_at_a_head_takes_nothing(client: FlaskClient) -> None:
    answer = client.head("/debug/profile?seconds=60", headers=OPEN)

    assert answer.status_code == 200
    assert profiler.running is None
    assert profiler.kept == []


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_link_of_another_site_takes_no_profile(client: FlaskClient, site: str) -> None:
    link = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}

    answer = client.get("/debug/profile?seconds=1", headers={**HTML, **link})

    assert answer.status_code == 403
    assert profiler.kept == []
    assert client.get("/debug/profile", headers={**HTML, **link}).status_code == 200


# -- in the background ---------------------------------------------------------------------------


def begin(client: FlaskClient, **fields: str) -> Any:
    return client.post("/debug/profile", data={"action": "start", **fields}, headers=HTML)


def test_one_is_begun_in_the_background_shown_and_stopped(client: FlaskClient) -> None:
    answer = begin(client, seconds="60")
    assert answer.status_code == 303
    where = answer.headers["Location"]
    query = where.removeprefix("profile")

    running = get(client, query).text
    assert "Running" in running
    assert 'http-equiv="refresh"' in running
    listed = get(client, ".json", OPEN).json["running"]
    assert [each["id"] for each in listed] == [query.removeprefix("?id=")]
    assert 50 < listed[0]["left"] <= 60
    busy = get(client, "?seconds=1", OPEN, 409)
    assert "is being profiled already" in busy.text
    assert begin(client, seconds="1").status_code == 409

    client.post("/debug/profile", data={"action": "stop", "id": listed[0]["id"]}, headers=HTML)
    wait_until(lambda: profiler.running is None)
    assert "How it was taken" in get(client, query).text
    assert listed[0]["id"] in get(client, "").text


def test_profile_that_is_not_done_cannot_be_had(client: FlaskClient) -> None:
    id = begin(client, seconds="60").headers["Location"].partition("=")[2]

    answer = get(client, f"?id={id}&format=pprof", OPEN, 409)

    assert "will be done in" in answer.text


def test_another_sites_form_begins_nothing(client: FlaskClient) -> None:
    headers = {**HTML, "Sec-Fetch-Site": "cross-site"}

    answer = client.post("/debug/profile", data={"seconds": "60"}, headers=headers)

    assert answer.status_code == 403
    assert profiler.running is None


@pytest.mark.parametrize(
    "fields", [{"seconds": "0"}, {"mode": "x"}, {"action": "burn"}, {"action": "stop"}]
)
def test_bad_field_begins_nothing(client: FlaskClient, fields: dict[str, str]) -> None:
    assert begin(client, **fields).status_code == 400
    assert profiler.running is None


# -- the result ----------------------------------------------------------------------------------


def test_result_recovers_the_shares(client: FlaskClient, keep: Any) -> None:
    keep("a1", made())

    data = get(client, ".json?id=a1", OPEN).json

    assert [(f["name"], f["self_ns"], f["total_ns"]) for f in data["functions"]] == [
        ("Shop.parse", 700_000_000, 700_000_000),
        ("add.<locals>.<lambda>", 200_000_000, 200_000_000),
        ("Shop.handle", 100_000_000, 1_000_000_000),
        ("<module>", 0, 1_000_000_000),
    ]
    assert "CPU approximate" in data["profiles"][0]["said"]
    shown = get(client, "?id=a1").text
    assert "approximate: bursts under 3 ms show at the next wait" in shown
    assert "<b>70.0%</b>" in shown
    assert "add.&lt;locals&gt;.&lt;lambda&gt;" in shown


def test_hostile_names_are_only_text_everywhere(client: FlaskClient, keep: Any) -> None:
    evil = Frame(HOSTILE, f"/a/{HOSTILE}/\u202e.py", 1, 1)
    keep("a1", made([(2, (evil, evil), 10)]))
    keep("a2", made([(2, (evil, MAIN), 10)]))

    for query in ("", "?id=a1", "?id=a1&by=thread&focus=1", "?id=a1&before=a2"):
        text = get(client, query).text
        assert "<script>" not in text
        assert "\u202e" not in text
    page = get(client, "?id=a1&format=html").text
    assert page.count("<script") == page.count("</script") == 2


def test_graph_is_a_picture_of_links_with_names(client: FlaskClient, keep: Any) -> None:
    keep("a1", made())

    drawn = svg_of(get(client, "?id=a1").text)

    links = drawn.findall("a")
    assert [link.get("href") for link in links] == [
        f"?id=a1&focus={number}#flame" for number in (1, 2, 3, 4)
    ]
    named = links[2].get("aria-label")
    assert named is not None
    assert named.startswith("Shop.parse, shop/views.py: 700 ms, 70.0% of all; itself 700 ms")
    box = links[2].find("svg")
    assert box is not None
    assert (box.get("x"), box.get("width"), box.get("class")) == ("0.000%", "70.000%", "fa1")
    assert drawn.find("title") is not None
    assert drawn.find("desc") is not None
    assert not [each for each in drawn.iter() if "style" in each.attrib]


def test_focus_draws_one_function_over_the_whole_width_with_the_way_back(
    client: FlaskClient, keep: Any
) -> None:
    keep("a1", made())

    text = get(client, "?id=a1&focus=3").text

    assert 'href="?id=a1#flame"><bdi>all threads</bdi>' in text
    boxes = svg_of(text).findall(".//svg")
    assert [box.get("width") for box in boxes] == ["100.000%"]
    get(client, "?id=a1&focus=99", status=404)
    get(client, "?id=a1&focus=x", status=400)


@pytest.mark.parametrize(
    ("sort", "first"),
    [("self", "Shop.parse"), ("total", "Shop.handle"), ("samples", "Shop.handle"),
     ("name", "<module>")],
)  # fmt: skip
def test_table_is_sorted_as_asked(client: FlaskClient, keep: Any, sort: str, first: str) -> None:
    keep("a1", made())

    data = get(client, f".json?id=a1&sort={sort}", OPEN).json

    assert data["functions"][0]["name"] == first
    assert (
        f'aria-sort="{"a" if sort == "name" else "de"}scending"'
        in get(client, f"?id=a1&sort={sort}").text
    )


def test_comparison_tells_what_grew(client: FlaskClient, keep: Any) -> None:
    keep("a1", made())
    keep("a2", made([(1, (PARSE, MAIN), 100)]))

    text = get(client, "?id=a2&before=a1").text
    data = get(client, ".json?id=a2&before=a1", OPEN).json

    assert "▲ grew" in text
    assert "▼ gone" in text
    assert data["functions"][0] == {
        "name": "Shop.parse", "file": "/srv/shop/views.py",
        "self_before": 0.7, "self_after": 1.0, "total_before": 0.7, "total_after": 1.0,
    }  # fmt: skip


def test_secrets_in_names_of_threads_do_not_leave(client: FlaskClient, keep: Any) -> None:
    profile = made()
    profile.threads[1].name = "connection postgres://shop:hunter22secret@db/shop"
    keep("a1", profile)

    for query in ("?id=a1&by=thread", "?id=a1&format=text", "?id=a1&format=folded", ".json?id=a1"):
        assert "hunter22secret" not in get(client, query).text, query
    pprof = gzip.decompress(get(client, "?id=a1&format=pprof").data)
    assert b"hunter22secret" not in pprof
    assert b"postgres://shop:hidden@db" in pprof


def test_large_profile_is_a_small_page(client: FlaskClient, keep: Any) -> None:
    frames = [Frame(f"function_{n}" * 8, f"/srv/{n}.py", n, n) for n in range(400)]
    rows = [
        (thread, tuple(frames[(thread * 7 + n * k) % 400] for k in range(1, 30)), 5 + n % 7)
        for thread in range(64)
        for n in range(8)
    ]
    keep("a1", made(rows))

    text = get(client, "?id=a1&limit=1000&by=thread").text

    assert len(text.encode()) < 2 * 2**20
    assert "smaller ones left out" in text
    assert len(svg_of(text).findall(".//rect")) <= 2000


def test_deep_calls_are_drawn_as_far_as_one_can_look() -> None:
    deep = tuple(Frame(f"f{n}", "/a.py", n, n) for n in range(250))
    asked = Question("a1", "", 0, False, "self", 10, {})

    drawn = flame_html(tree(merged([made([(1, deep, 10)])])), asked)

    assert len(drawn["boxes"]) == 120
    assert drawn["hidden"] == 131
