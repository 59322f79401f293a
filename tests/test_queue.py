"""``/debug/queue``: what waits in queues, whatever their sources do."""

from __future__ import annotations

import json
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from html import unescape
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
from flask_expvar import QueueItem, Recipient
from flask_expvar.pages.page import Query
from flask_expvar.pages.queue_items import OddError, tell
from flask_expvar.pages.queue_plain import merge_queues, tell_queues
from flask_expvar.pages.queue_question import question
from flask_expvar.pages.queue_text import moment, quoted, span, text
from flask_expvar.pages.registered import registered

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
NOW = 1764000000.0
HOSTILE = [
    "<script>alert(1)</script>", '"><img src=x onerror=y>', "\x1b[31mred", "\u202eevil", "nul \x00",
    "\ud800 alone", "x\n## Item forged\nfrom: nobody", "{{ 7*7 }}", "x" * 1_000_000, "&amp;q=x", "",
]  # fmt: skip


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


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
def get(client: FlaskClient) -> Callable[..., Any]:
    """Return ``get("?name=mail")``: the queues of the JSON."""

    def get(query: str = "") -> Any:
        answer = client.get(f"/debug/queue.json{query}")
        assert answer.status_code == 200, answer.text
        return json.loads(answer.text, parse_constant=pytest.fail)["queues"]

    return get


def register(registry: expvar.Registry, fetch: Any, name: str = "mail", **how: Any) -> None:
    expvar.register_queue(name, fetch, registry=registry, **how)


MAIL = QueueItem(
    "QT_Nb0f5EHM",
    created=NOW - 88.4,
    sender="user@testserver",
    to=["a@x", "b@x"],
    recipients=[
        Recipient(
            "temp@testserver",
            last_failure='MDA delivery failed: exit status 75 - "temporary failure\n"',
        ),
        {"address": "c@y", "status": "sent", "type": "PIPE", "original": "alias@y"},
    ],
    attempts=3,
    next_attempt=datetime.fromtimestamp(NOW + 95, tz=timezone.utc),
)
JOB = {"id": "7", "created": NOW - 7200.25, "summary": "shop.send", "status": "PENDING"}


def page(registry: expvar.Registry, query: str = "", *, sensitive: bool = True) -> Any:
    """Return the sections of one process, at a moment that does not move."""
    given = dict(pair.split("=") for pair in query.split("&") if pair)
    asked = question(Query(given))
    queues = registered(registry).queues
    told = tell_queues(queues, asked, speaks=True, sensitive=sensitive, wall=lambda: NOW)
    return merge_queues({11: told}, asked, [])


# -- the text ------------------------------------------------------------------------------------


def test_text_is_chasquids_and_ours_in_between(registry: expvar.Registry) -> None:
    register(registry, lambda: [MAIL, JOB])

    assert (
        text(page(registry), [], NOW)
        == """\
# Queue status

date: 2025-11-24 16:00:00 +0000 UTC
length: 2

## Item 7
created at: 2025-11-24 13:59:59.75 +0000 UTC
summary: shop.send
age: 2h0m0s
status: PENDING

## Item QT_Nb0f5EHM
created at: 2025-11-24 15:58:31.6 +0000 UTC
from: user@testserver
to: [a@x b@x]
age: 1m28s
attempts: 3
next attempt: 2025-11-24 16:01:35 +0000 UTC (in 1m35s)
PENDING temp@testserver (EMAIL)
  original address: temp@testserver
  last failure: "MDA delivery failed: exit status 75 - \\"temporary failure\\n\\""
SENT c@y (PIPE)
  original address: alias@y
  last failure: ""

"""
    )


def test_text_of_an_item_that_tells_only_what_chasquid_does_is_chasquids(
    registry: expvar.Registry,
) -> None:
    old = {"id": "A", "sender": "u@x", "to": ["v@y"], "recipients": [Recipient("v@y")]}
    register(registry, lambda: [old])

    assert (
        text(page(registry), [], NOW)
        == """\
# Queue status

date: 2025-11-24 16:00:00 +0000 UTC
length: 1

## Item A
from: u@x
to: [v@y]
PENDING v@y (EMAIL)
  original address: v@y
  last failure: ""

"""
    )


def test_text_of_several_queues_tells_them_apart(registry: expvar.Registry) -> None:
    register(registry, list, "b")
    register(registry, lambda limit, offset: ([JOB], 250), "a")
    sections = page(registry, "limit=1&page=3")
    sections += [{**sections[1], "worker": 12}]

    assert (
        text(sections, [13], NOW)
        == """\
# Queue status

queue: a
date: 2025-11-24 16:00:00 +0000 UTC
length: 250
showing: 3 to 3 of 250

## Item 7
created at: 2025-11-24 13:59:59.75 +0000 UTC
summary: shop.send
age: 2h0m0s
status: PENDING

# Queue status

queue: b
worker: 11
date: 2025-11-24 16:00:00 +0000 UTC
length: 0

# Queue status

queue: b
worker: 12
date: 2025-11-24 16:00:00 +0000 UTC
length: 0

# Queue status

error: worker 13 did not answer in time
"""
    )


def test_text_without_a_queue_says_how_to_register_one(client: FlaskClient) -> None:
    answer = client.get("/debug/queue")

    assert answer.content_type == "text/plain; charset=utf-8"
    assert answer.text == (
        "# Queue status\n\nno queue is registered: call flask_expvar.register_queue(name, fetch)\n"
    )
    assert "No queue yet" in client.get("/debug/queue", headers=HTML).text


def test_no_text_of_an_item_begins_a_line(registry: expvar.Registry, client: FlaskClient) -> None:
    bad = "x\n## Item forged\r\u2028from: nobody"
    recipient = Recipient(bad, bad, bad, bad, bad)
    item = QueueItem(bad, None, bad, [bad], [recipient], 1, None, bad, bad, bad)
    register(registry, lambda: [item], bad.partition("\n")[0])

    lines = client.get("/debug/queue").text.splitlines()

    assert [line for line in lines if line.startswith("## Item")] == [
        "## Item x\\n## Item forged\\r\\u2028from: nobody"
    ]
    assert sum(line.startswith("from:") for line in lines) == 1


def test_spans_moments_and_quotes_are_gos() -> None:
    assert [span(each) for each in (0, 59.4, 60, 3600, 90061, -3)] == [
        "0s", "59s", "1m0s", "1h0m0s", "25h1m1s", "-3s",
    ]  # fmt: skip
    assert moment(NOW + 0.120003) == "2025-11-24 16:00:00.120003 +0000 UTC"
    assert quoted('a"b\\c\n\x1b\u202eé') == '"a\\"b\\\\c\\n\\x1b\\u202eé"'


# -- paging, order, search -----------------------------------------------------------------------


def test_a_source_pages_by_itself(registry: expvar.Registry, get: Callable[..., Any]) -> None:
    asked = []

    def fetch(limit: int, offset: int) -> Any:
        asked.append((limit, offset))
        return [QueueItem(str(n)) for n in range(offset, offset + limit)], 10_000

    register(registry, fetch)

    assert [item["id"] for item in get("?page=3&limit=4")[0]["items"]] == ["8", "9", "10", "11"]
    assert get()[0]["showing"] == 100
    assert get("?q=9")[0]["scanned"] == 1000
    assert asked == [(4, 8), (100, 0), (1000, 0)]


def test_a_source_that_returns_all_is_ordered_and_paged(
    registry: expvar.Registry, get: Callable[..., Any]
) -> None:
    items = [QueueItem(f"{n:03}", created=NOW - n // 2) for n in range(10)] + [QueueItem("late")]
    register(registry, lambda: set(items[:10]) and items[::-1])

    found = get("?limit=4")[0]
    last = get("?limit=4&page=3")[0]

    assert [item["id"] for item in found["items"]] == ["008", "009", "006", "007"]
    assert [item["id"] for item in last["items"]] == ["000", "001", "late"]
    assert (found["depth"], found["of"], found["oldestIsOfAll"]) == (11, 11, True)


def test_ten_thousand_items_are_bounded(
    registry: expvar.Registry, client: FlaskClient, get: Callable[..., Any]
) -> None:
    long = "a rather long failure " * 400
    many = [
        QueueItem(f"{n}", NOW, "a@b", ["c@d"] * 200, [Recipient("c@d", last_failure=long)] * 200)
        for n in range(10_000)
    ]
    register(registry, lambda: many)
    register(registry, lambda limit, offset: (many, 10_000), "same")

    for headers in ({}, HTML):
        answer = client.get("/debug/queue?limit=1000", headers=headers)
        assert answer.status_code == 200
        assert len(answer.data) < 2 * 2**20
    # On a busy machine one may have had no turn within its second.
    tries = (get("?limit=1000&name=mail")[0] for _ in range(20))
    found = next(each for each in tries if "showing" in each)
    assert 0 < found["showing"] < 1000
    assert (found["depth"], found["items"][0]["recipientsOf"]) == (10_000, 200)


def test_search_finds_what_is_shown_and_not_what_is_hidden(
    registry: expvar.Registry, get: Callable[..., Any], level: list[Any]
) -> None:
    register(registry, lambda: [MAIL, JOB])

    assert [item["id"] for item in get("?q=TEMP%40test")[0]["items"]] == ["QT_Nb0f5EHM"]
    assert get("?q=nothing")[0]["of"] == 0
    level[0] = expvar.Level.READ
    assert get("?q=TEMP%40test")[0]["of"] == 0


# -- who sees what -------------------------------------------------------------------------------


def test_addresses_and_failures_are_hidden_from_readers(
    registry: expvar.Registry, client: FlaskClient, level: list[Any]
) -> None:
    level[0] = expvar.Level.READ
    register(registry, lambda: [MAIL])

    for path, headers in (("queue", {}), ("queue", HTML), ("queue.json", {})):
        answer = client.get(f"/debug/{path}", headers=headers).text
        assert "QT_Nb0f5EHM" in answer
        assert "hidden" in answer
        for personal in ("testserver", "a@x", "c@y", "alias", "temporary"):
            assert personal not in answer


def test_secrets_are_hidden_from_everybody(registry: expvar.Registry, client: FlaskClient) -> None:
    secret = "ghp_0123456789abcdefABCDEF0123456789"
    item = QueueItem(
        f"job-{secret}", summary=f"https://u:{secret}@x/", last_failure=f"token={secret}"
    )
    register(registry, lambda: [item], f"queue of {secret}")
    register(registry, lambda: 1 / {}[secret], "raises")

    for path, headers in (("queue", {}), ("queue", HTML), ("queue.json", {})):
        assert secret not in client.get(f"/debug/{path}", headers=headers).text


# -- sources that fail ---------------------------------------------------------------------------


ODD, NO_PAIR = (
    "fetch(limit, offset) returned something of class",
    "not a pair of items and their number",
)


def fail() -> Any:
    raise ValueError("no <database> at 10.1.2.3")


@pytest.mark.parametrize(
    ("fetch", "said"),
    [
        (fail, "ValueError: no <database> at 10.1.2.3"),
        (lambda: None, "fetch() returned None, not a list of items"),
        (lambda: 7, "fetch() returned something of class int, not a list of items"),
        (lambda: "text", "fetch() returned something of class str, not a list of items"),
        (lambda limit, offset: [], f"{ODD} list, {NO_PAIR}"),
        (lambda limit, offset: ([], -1), f"{ODD} tuple, {NO_PAIR}"),
        (lambda: exec("raise SystemExit(3)"), "SystemExit: 3"),
    ],
)  # fmt: skip
def test_a_source_that_fails_costs_its_own_section_only(
    registry: expvar.Registry, client: FlaskClient, get: Callable[..., Any], fetch: Any, said: str
) -> None:
    register(registry, fetch, "bad")
    register(registry, lambda: [JOB], "good")

    bad, good = get()

    assert bad["error"] == said
    assert [item["id"] for item in good["items"]] == ["7"]
    assert f"error: {said}\n" in client.get("/debug/queue").text
    assert "No answer" in client.get("/debug/queue", headers=HTML).text


def test_readers_are_told_only_the_class_of_an_exception(
    registry: expvar.Registry, get: Callable[..., Any], level: list[Any]
) -> None:
    level[0] = expvar.Level.READ
    register(registry, fail)

    assert get()[0]["error"] == "ValueError"


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (7, "it is of class int, neither QueueItem nor a mapping"),
        ({"id": object()}, "id is of class object, not str"),
        ({"id": "a", "created": "now"}, "created is of class str, no seconds and no datetime"),
        ({"id": "a", "created": float("nan")}, "created is no moment from 1970 to 9999"),
        ({"id": "a", "created": 1e300}, "created is no moment from 1970 to 9999"),
        ({"id": "a", "to": 5}, "to is of class int, not a list"),
        ({"id": "a", "recipients": [5]}, "a recipient is of class int"),
        ({"id": "a", "attempts": -1}, "attempts is no whole number from 0"),
    ],
)
def test_an_odd_item_costs_itself_only(
    registry: expvar.Registry, client: FlaskClient, get: Callable[..., Any], item: Any, said: str
) -> None:
    register(registry, lambda: [item, JOB])

    assert [each.get("problem") for each in get()[0]["items"]] == [None, said]
    assert f"## Item\nerror: {said}\n" in client.get("/debug/queue").text
    assert said in client.get("/debug/queue", headers=HTML).text


def test_a_source_that_hangs_holds_one_thread_and_costs_its_own_section(
    registry: expvar.Registry, get: Callable[..., Any]
) -> None:
    free, done = threading.Event(), threading.Event()
    calls = []

    def hang() -> Any:
        calls.append(1)
        free.wait(30)
        done.set()
        return []

    register(registry, hang, "a")
    register(registry, lambda: [JOB], "b")
    try:
        first = get()
        began = time.monotonic()
        others = [get() for _ in range(5)]
        seconds = time.monotonic() - began
    finally:
        free.set()

    assert first[0]["error"] == "no answer within 0.8 s; it is still running"
    assert others[-1][0]["error"].startswith("an earlier call has been running for ")
    assert [len(each[1]["items"]) for each in [first, *others]] == [1] * 6
    assert len(calls) == 1
    assert seconds < 2  # nobody waits for it a second time
    assert done.wait(10)
    for _ in range(1000):
        if not (last := get())[0]["error"]:
            break
    assert last[0]["depth"] == 0


def test_a_call_waits_for_the_one_before_it(registry: expvar.Registry) -> None:
    inside, free = threading.Event(), threading.Event()

    def fetch(limit: int, offset: int) -> Any:
        inside.set()
        free.wait(30)
        return [], limit

    register(registry, fetch)
    bounded = registered(registry).queues["mail"].fetch
    first = bounded.start(1, 0, then=list)
    assert inside.wait(10)
    second = bounded.start(2, 0, then=list)
    free.set()

    until = time.monotonic() + 10
    assert (second.result(until)[1], first.result(until)[1]) == (2, 1)


# -- registering ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 101, 7, None])
def test_a_bad_name_is_refused(name: Any) -> None:
    with pytest.raises(expvar.BadNameError, match="cannot name a queue"):
        expvar.register_queue(name, list, registry=expvar.Registry())


def test_what_cannot_be_called_is_refused(registry: expvar.Registry) -> None:
    for fetch in (None, 7, lambda one: one, lambda a, b, c: a):
        with pytest.raises(expvar.BadKindError, match=r"fetch\(limit, offset\), or fetch\(\)"):
            register(registry, fetch)


def test_the_same_name_again_replaces(registry: expvar.Registry, get: Callable[..., Any]) -> None:
    register(registry, fail)
    register(registry, lambda: [JOB])

    assert [section["error"] for section in get()] == [""]


def test_names_are_404_and_parameters_400(registry: expvar.Registry, client: FlaskClient) -> None:
    register(registry, list, "jobs & more")

    assert client.get("/debug/queue?name=jobs+%26+more").status_code == 200
    answer = client.get("/debug/queue?name=mail")
    assert (answer.status_code, "jobs & more" in answer.text) == (404, True)
    for bad in ("page=0", "page=x", "limit=1001", "worker=x", "q=" + "x" * 201):
        answer = client.get(f"/debug/queue?{bad}")
        assert (answer.status_code, bad.partition("=")[0] in answer.text) == (400, True)


ANY = st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=9), st.binary(max_size=9))
NAMES = [*QueueItem.__dataclass_fields__, "from"]


@given(
    items=st.lists(
        st.one_of(ANY, st.dictionaries(st.sampled_from(NAMES), st.one_of(ANY, st.lists(ANY)))),
        max_size=5,
    ),
    query=st.dictionaries(
        st.sampled_from(["name", "q", "page", "limit", "worker", "odd"]), st.text(max_size=9)
    ),
    level_given=st.sampled_from([expvar.Level.READ, expvar.Level.ACT]),
)
@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_items_and_no_parameters_break_the_page(
    client: FlaskClient,
    registry: expvar.Registry,
    level: list[Any],
    items: list[Any],
    query: dict[str, str],
    level_given: expvar.Level,
) -> None:
    level[0] = level_given
    register(registry, lambda: items)

    for path, headers in (("queue", {}), ("queue", HTML), ("queue.json", {})):
        answer = client.get(f"/debug/{path}", query_string=query, headers=headers)
        assert answer.status_code in (200, 400, 404)


@pytest.mark.parametrize("bad", HOSTILE)
def test_hostile_text_stays_text(registry: expvar.Registry, client: FlaskClient, bad: str) -> None:
    recipient = Recipient(bad, bad, bad, bad, bad)
    register(
        registry, lambda: [QueueItem(bad, NOW, bad, [bad], [recipient], 1, NOW, bad, bad, bad)]
    )

    for query in ("", "?q=x"):
        answer = client.get(f"/debug/queue{query}", headers=HTML)
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
        assert "<img src=x" not in answer.text
        assert "\u202e" not in answer.text
        assert "\x1b" not in answer.text
        assert len(answer.data) < 100_000


def test_links_lead_to_pages_that_are_there(registry: expvar.Registry, client: FlaskClient) -> None:
    register(registry, lambda: [{"id": f"a{n}"} for n in range(30)], "a&b")
    register(registry, fail, "c")

    body = client.get("/debug/queue?name=a%26b&limit=10&page=2&q=a", headers=HTML).text

    links = [unescape(each) for each in re.findall(r'href="(\?[^"]*)"', body)]
    assert any("page=3" in link for link in links)
    for link in links:
        assert client.get(f"/debug/queue{link}", headers=HTML).status_code == 200


# -- ready sources -------------------------------------------------------------------------------


def test_a_queue_of_the_standard_library_is_looked_at_and_not_emptied() -> None:
    jobs: queue.Queue[Any] = queue.Queue()
    for each in ("text", 7, MAIL):
        jobs.put(each)
    fetch = expvar.from_queue(jobs)

    assert fetch(2, 1) == ([QueueItem("2", summary="int"), MAIL], 3)
    assert fetch(10, 3) == ([], 3)
    assert jobs.qsize() == 3


def test_a_queue_describes_its_items_as_the_program_says() -> None:
    jobs: queue.PriorityQueue[Any] = queue.PriorityQueue()
    jobs.put((1, "send"))
    fetch = expvar.from_queue(jobs, lambda item: {"id": item[1]})

    assert fetch(10, 0) == ([{"id": "send"}], 1)


def test_of_a_simple_queue_the_depth_is_known() -> None:
    jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
    jobs.put(1)

    assert expvar.from_queue(jobs)(10, 0) == ([], 1)


def test_a_queue_whose_mutex_is_held_costs_its_own_section(
    registry: expvar.Registry, get: Callable[..., Any]
) -> None:
    jobs: queue.Queue[Any] = queue.Queue()
    register(registry, expvar.from_queue(jobs))

    with jobs.mutex:
        assert get()[0]["error"] == "no answer within 0.8 s; it is still running"


def test_celery_tells_how_many_tasks_wait() -> None:
    celery = pytest.importorskip("celery")
    app = celery.Celery("shop", broker="memory://test-queue")
    fetch = expvar.from_celery(app, "mails")
    assert fetch(10, 0) == ([], 0)

    for _ in range(3):
        app.send_task("shop.send", ["a@b"], queue="mails")

    assert fetch(10, 0) == ([], 3)
    assert fetch.shared  # type: ignore[attr-defined]


def test_celery_on_redis_tells_which_tasks_wait() -> None:
    celery = pytest.importorskip("celery")
    fake = pytest.importorskip("fakeredis")
    app = celery.Celery("shop", broker="memory://test-queue-of-redis")
    client = fake.FakeRedis()
    for number in range(3):
        with app.connection_for_write() as connection:
            sent = sent_message(app, connection, number)
        client.lpush("celery", json.dumps(sent))
    client.lpush("celery", b"\xff not a message")

    found = expvar.from_celery(Broker(client))(3, 1)

    assert found == (
        [
            QueueItem("id-1", summary="shop.send", attempts=1, status="PENDING"),
            QueueItem("id-2", summary="shop.send", attempts=2, status="PENDING"),
            QueueItem("", summary="a message that Celery did not write"),
        ],
        4,
    )


def sent_message(app: Any, connection: Any, number: int) -> Any:
    """Return the message that Celery itself writes for a task, as its broker has it."""
    name = f"of-test-{number}"
    app.send_task("shop.send", ["a@b"], queue=name, task_id=f"id-{number}", retries=number)
    return connection.channel()._get(name)


class Broker:
    """An application of Celery's whose broker is *client*: no server of Redis is needed."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def connection_for_read(self) -> Any:
        return self

    channel = connection_for_read

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        return


def test_rq_tells_which_jobs_wait_and_changes_nothing() -> None:
    rq = pytest.importorskip("rq")
    fake = pytest.importorskip("fakeredis")
    jobs = rq.Queue("mails", connection=fake.FakeRedis())
    made = [jobs.enqueue("shop.send", f"{n}@b", job_id=f"id-{n}") for n in range(3)]
    jobs.connection.delete(made[1].key)
    before = jobs.connection.lrange(jobs.key, 0, -1)

    items, depth = expvar.from_rq(jobs)(10, 0)

    assert depth == len(before)
    assert [(item.id, item.summary) for item in items] == [
        ("id-0", "shop.send"), ("id-1", "an expired job"), ("id-2", "shop.send"),
    ]  # fmt: skip
    assert tell(items[0], time.time(), True)["age"] < 60
    assert jobs.connection.lrange(jobs.key, 0, -1) == before


def test_an_odd_error_is_no_trouble() -> None:
    class Odd(dict[str, Any]):
        def get(self, *args: Any) -> Any:
            raise RuntimeError("no")

    assert tell(Odd(), NOW, True)["problem"] == "it cannot be read: RuntimeError"
    assert issubclass(OddError, Exception)


# -- several workers -----------------------------------------------------------------------------

QUEUES = """
import queue

jobs = queue.Queue()
jobs.put("in " + str(os.getpid()))
expvar.register_queue("jobs", expvar.from_queue(jobs, lambda item: {"id": item}))
expvar.register_queue("table", lambda: [{"id": str(os.getpid())}], shared=True)
"""


def test_a_shared_queue_is_listed_once_and_others_by_each_worker(
    gunicorn: Callable[..., Gunicorn],
) -> None:
    server = gunicorn(SHOP + QUEUES, "-w", "2")

    def ask(path: str) -> Any:
        """Return an answer in which no worker of a busy machine was late."""
        answers: list[Any] = []

        def is_whole() -> bool:
            answers.append(server.get(path, headers=TOKEN_OF_SHOP))
            return "X-Expvar-Missing" not in answers[-1].headers

        server.wait_until(is_whole, what="all workers answer")
        assert answers[-1].status == 200, answers[-1].text
        return answers[-1]

    def seen(query: str = "") -> Any:
        return ask(f"/debug/queue.json{query}").json()

    def joined() -> bool:
        # A worker answers before its module, whose last lines register the queues, is read.
        pids = server.worker_pids()
        found = [each["worker"] for each in seen()["queues"] if each["name"] == "jobs"]
        return len(pids) == 2 and sorted(found) == pids

    server.wait_until(joined, what="both workers join")
    pids = server.worker_pids()

    for _ in range(10):
        found = seen()
        assert [(each["name"], each["worker"]) for each in found["queues"]] == [
            ("jobs", pids[0]), ("jobs", pids[1]), ("table", None),
        ]  # fmt: skip
        assert [each["items"][0]["id"] for each in found["queues"][:2]] == [
            f"in {pid}" for pid in pids
        ]
    for pid in pids:
        one = seen(f"?worker={pid}")["queues"]
        assert [each["items"][0]["id"] for each in one] == [f"in {pid}", str(pid)]
    text = ask("/debug/queue?name=jobs").text
    assert [line for line in text.splitlines() if line.startswith("worker:")] == [
        f"worker: {pid}" for pid in pids
    ]
