"""Every endpoint by every method at every level, every link, and the set-ups people have."""

from __future__ import annotations

import queue
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
from apps import TOKEN
from flask import Flask
from flask.testing import FlaskClient
from servers import Gunicorn, Nginx, Waitress
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

import flask_expvar as expvar
from flask_expvar.pages.overview import all_pages
from flask_expvar.pages.page import Query

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"]

# -- every endpoint, method and level --------------------------------------------------------------


class Switch:
    """A page that may be acted upon, as long as no page of ours can."""

    name, title, about = "switch", "Switch", "for tests"
    actions = {"on": "arm", "free": ""}  # noqa: RUF012  # read only

    def wants(self, scene: Any, part: Any) -> bool:
        return True

    def collect(self, registry: expvar.Registry, query: Query) -> Any:
        return {}

    def machine(self, scene: Any, twin: bool) -> tuple[str, str]:
        return "{}", "application/json"

    def html(self, scene: Any) -> dict[str, Any]:
        return {}

    def act(self, registry: expvar.Registry, action: str, query: Query) -> Any:
        to = query.whole("to", 0, 9)
        registry.new_map("acted").add(action)
        return {"to": to}


@pytest.fixture
def level() -> list[expvar.Level]:
    return [expvar.Level.ACT]


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch, level: list[expvar.Level]) -> Flask:
    for module in ("views", "joining"):
        pages = f"flask_expvar.web.{module}.all_pages"
        monkeypatch.setattr(pages, lambda: {**all_pages(), "switch": Switch()})
    app = Flask("shop")
    app.config.update(SECRET_KEY="k" * 32, EXPVAR_ACCESS=lambda request: level[0])
    app.config["EXPVAR_ACTIONS"] = ["arm"]
    expvar.Expvar(app, registry=expvar.Registry())
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


#: What each endpoint answers whoever may read; it and its kin are all of GET and HEAD.
READ = {"GET": 200, "HEAD": 200}
ROWS: dict[str, tuple[str, dict[str, int]]] = {
    "overview": ("/debug/", READ),
    "overview_json": ("/debug/.json", READ),
    **{name: (f"/debug/{name}", READ) for name in all_pages() if name},
    **{f"{name}_json": (f"/debug/{name}.json", READ) for name in all_pages() if name},
    "slash": ("/debug", {"GET": 308, "HEAD": 308}),
    # Whoever may look may take one, so it has a POST of its own; here none is taken.
    "profile": ("/debug/profile?id=none&action=stop", {"GET": 404, "HEAD": 404, "POST": 303}),
    "pprof": ("/debug/pprof/", READ),
    "pprof_slash": ("/debug/pprof", {"GET": 308, "HEAD": 308}),
    "pprof_named": ("/debug/pprof/cmdline", READ),
    "requests": ("/debug/requests", {"GET": 302, "HEAD": 302}),
    "assets": ("/debug/assets/expvar.css", READ),
    "rest": ("/debug/none/at/all", {"GET": 404, "HEAD": 404}),
    "memory": ("/debug/memory", {**READ, "POST": 403}),
    "config": ("/debug/config", {**READ, "POST": 403}),
    "switch": ("/debug/switch", {**READ, "POST": 403}),
    "switch_json": ("/debug/switch.json", READ),
    # Whoever may not read may log in, where there is something to log in with.
    "login": ("/debug/login", dict.fromkeys(METHODS, 403)),
    "logout": ("/debug/logout", {"POST": 303}),
}


ACTING = ("config", "memory", "switch")


def test_every_route_has_a_row(app: Flask) -> None:
    ours = {
        rule.endpoint.removeprefix("expvar.")
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("expvar.")
    }

    assert ours == set(ROWS)


@pytest.mark.parametrize("endpoint", ROWS)
def test_each_method_at_each_level(
    client: FlaskClient, level: list[expvar.Level], endpoint: str
) -> None:
    path, answers = ROWS[endpoint]
    for who in expvar.Level:
        level[0] = who
        for method in METHODS:
            found = client.open(path, method=method)
            wanted = answers.get(method, 405)
            if who is expvar.Level.NONE and endpoint not in ("login", "logout"):
                wanted = 403
            if endpoint in ACTING and method == "POST" and who is expvar.Level.ACT:
                wanted = 400  # without a form
            assert found.status_code == wanted, (method, who, found.text[:200])
            assert "frame-ancestors 'none'" in found.headers["Content-Security-Policy"]
            assert found.headers["X-Content-Type-Options"] == "nosniff"
            if who is expvar.Level.NONE and endpoint not in ("login", "logout"):
                assert found.text in ("", "You may not look at this page.\n")


# -- actions ---------------------------------------------------------------------------------------


def test_an_action_is_done_and_told(client: FlaskClient, app: Flask) -> None:
    done = client.post("/debug/switch", data={"action": "on", "to": "7"})

    assert done.status_code == 200
    assert list(done.json["workers"].values()) == [{"to": 7}]
    assert done.json["missing"] == []
    browser = client.post("/debug/switch", data={"action": "free"}, headers=HTML)
    assert (browser.status_code, browser.headers["Location"]) == (303, "switch?did=free")
    acted = app.extensions["expvar"].registry.get("acted")
    assert acted.value == {"on": 1, "free": 1}


@pytest.mark.parametrize(
    ("form", "headers", "status", "says"),
    [
        ({"action": "off"}, {}, 400, "on, free"),
        ({"action": "on", "to": "x"}, {}, 400, "to"),
        ({"action": "on", "worker": "1"}, {}, 404, "no worker 1"),
        ({"action": "on", "x": "x" * 70_000}, {}, 413, "bytes"),
        ({"action": "on"}, {"Sec-Fetch-Site": "cross-site"}, 403, ""),
        ({"action": "on"}, {"Sec-Fetch-Site": "same-site"}, 403, ""),
        ({"action": "on"}, {"Origin": "https://evil.example"}, 403, ""),
        (
            {"action": "on"},
            {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
            403,
            "",
        ),
    ],
)
def test_an_action_that_may_not_be_is_not_done(
    client: FlaskClient,
    app: Flask,
    form: dict[str, str],
    headers: dict[str, str],
    status: int,
    says: str,
) -> None:
    done = client.post("/debug/switch", data=form, headers=headers)

    assert done.status_code == status, done.text
    assert says in done.text
    assert app.extensions["expvar"].registry.get("acted") is None


def test_an_action_needs_its_word_and_its_level(
    client: FlaskClient, app: Flask, level: list[expvar.Level], caplog: pytest.LogCaptureFixture
) -> None:
    app.config["EXPVAR_ACTIONS"] = ["tracemalloc"]
    refused = client.post("/debug/switch", data={"action": "on"})
    assert refused.status_code == 403
    assert "EXPVAR_ACTIONS does not allow arm" in refused.text
    assert client.post("/debug/switch", data={"action": "free"}).status_code == 200

    level[0] = expvar.Level.SENSITIVE
    assert client.post("/debug/switch", data={"action": "free"}).status_code == 403
    lines = [each.getMessage() for each in caplog.records if each.name == "flask_expvar.access"]
    assert lines == [
        "action on of switch: somebody at level ACT by rule callable, answered with 403",
        "action free of switch: somebody at level ACT by rule callable, answered with 200",
        "action free of switch: somebody at level SENSITIVE by rule callable, answered with 403",
    ]


# -- every link ------------------------------------------------------------------------------------


def busy(registry: expvar.Registry) -> None:
    """Let something be on every page."""
    registry.new_map("shop/status").add("paid")
    registry.new_histogram("shop/seconds").observe(0.2)
    for number in range(3):
        with expvar.trace("mail", f"no. {number}", registry=registry) as trace:
            trace.log("sent")
            with trace.child("smtp", "one & <two>"):
                pass
            if number:
                trace.error("on purpose")
    log = expvar.event_log("connection", "to db", registry=registry)
    log.error("gone")
    jobs: queue.Queue[int] = queue.Queue()
    jobs.put(1)
    source = expvar.from_queue(jobs, lambda item: {"id": item})
    expvar.register_queue("jobs", source, registry=registry)
    expvar.register_page("mine", "My page", lambda: {"a": [{"b": 1}]}, registry=registry)


def crawl(get: Callable[[str], Any], mount: str, most: int = 400) -> dict[str, int]:
    """Follow every link from the overview; return what each address answered."""
    found: dict[str, int] = {}
    waiting = [mount]
    while waiting and len(found) < most:
        path = waiting.pop(0)
        if path in found:
            continue
        answer = get(path)
        found[path] = answer.status_code
        if "text/html" not in answer.headers["Content-Type"]:
            continue
        for link in re.findall(r'(?:href|src|action)="([^"]*)"', answer.text):
            assert not re.match(r"/|[a-z]+:", link), (path, link)
            to = urlsplit(urljoin(path, link.replace("&amp;", "&")))
            assert to.path.startswith(mount), (path, link)
            # What leads nowhere else than the page itself is no new page.
            waiting.append(f"{to.path}?{to.query}" if to.query else to.path)
    return found


@pytest.mark.parametrize(
    ("prefix", "script"), [("/debug", ""), ("/", ""), ("/a/b", "/shop"), ("/debug", "/x/y")]
)
def test_every_link_leads_to_a_page_below_the_mount(prefix: str, script: str) -> None:
    app = Flask("shop")
    app.config.update(EXPVAR_TOKEN=TOKEN["Authorization"].split()[1], SECRET_KEY="k" * 32)
    registry = expvar.Registry()
    expvar.Expvar(app, registry=registry, url_prefix=prefix)
    busy(registry)
    served = DispatcherMiddleware(Flask("nothing"), {script: app}) if script else app
    client = Client(served)

    mount = f"{script}{prefix}".rstrip("/") + "/"
    found = crawl(lambda path: client.get(path, headers={**TOKEN, **HTML}), mount)

    bad = {path: status for path, status in found.items() if status not in (200, 302)}
    bad.pop(f"{mount}logout", None)
    assert bad == {}
    assert len(found) > 40
    pages = {f"{mount}{name}" for name in (*all_pages(), "mine")}
    assert pages <= {path.partition("?")[0] for path in found}


def test_two_mounts_of_one_application_lead_each_to_its_own_pages() -> None:
    app = Flask("shop")
    app.config["EXPVAR_TOKEN"] = TOKEN["Authorization"].split()[1]
    for name in ("one", "two"):
        registry = expvar.Registry()
        app.register_blueprint(
            expvar.blueprint(registry=registry, name=name, url_prefix=f"/{name}")
        )
        busy(registry)
    client = app.test_client()

    for name in ("one", "two"):
        found = crawl(lambda path: client.get(path, headers={**TOKEN, **HTML}), f"/{name}/", 100)
        assert set(found.values()) <= {200, 302}


# -- set-ups ---------------------------------------------------------------------------------------

SETUP = """
import os

from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
import flask_expvar as expvar

TOKEN = "a-token-of-the-tests-0123456789"


def make(name, **config):
    app = Flask(name)
    app.config.update(config)
    expvar.Expvar(app, registry=expvar.Registry(name))
    return app


fixed = make("fixed", EXPVAR_ACCESS="loopback")
fixed.wsgi_app = ProxyFix(fixed.wsgi_app, x_for=1, x_host=1)
token = make("token", EXPVAR_TOKEN=TOKEN, SECRET_KEY="k" * 32)
app = DispatcherMiddleware(
    Flask("nothing"),
    {
        "/auto": make("auto"),
        "/loop": make("loop", EXPVAR_ACCESS="loopback"),
        "/token": token,
        "/fixed": fixed,
    },
)
"""

LOCATIONS = """
location /bare/ { proxy_pass http://UPSTREAM/; }
location /host/ { proxy_pass http://UPSTREAM/; proxy_set_header Host $host; }
location /named/ { proxy_pass http://UPSTREAM/; proxy_set_header Host app.example.com; }
location /forwarded/ {
    proxy_pass http://UPSTREAM/;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
}
location /socket/ { proxy_pass http://unix:SOCKET:/; }
"""

APP = {"Host": "app.example.com"}
#: Way, headers of the client, and whether "loopback" lets it in. Where it should not and does, the
#: start says so: that is why nothing trusts loopback by itself.
WAYS = [
    ("/bare", APP, True),  # wrong, and nothing tells
    ("/bare", {"Host": "localhost"}, True),  # wrong
    ("/host", APP, False),
    ("/host", {"Host": "localhost"}, True),  # wrong
    ("/named", {"Host": "localhost"}, False),
    ("/forwarded", APP, False),
    ("/socket", APP, False),
    ("", {"Host": "127.0.0.1"}, True),  # the server itself
    ("", {"Host": "127.0.0.1", "X-Forwarded-For": "127.0.0.1"}, False),
    ("", {"Host": "evil.example"}, False),  # rebinding
    ("", {"Host": "127.0.0.1", "Sec-Fetch-Site": "cross-site"}, False),
]


@pytest.fixture
def ways(
    gunicorn: Callable[..., Gunicorn], nginx: Callable[..., Nginx], tmp_path: Path
) -> Callable[[str], Gunicorn | Nginx]:
    """Return ``ways("/bare")``: the server to ask for that way."""
    server = gunicorn(SETUP, "-w", "2", "-b", "127.0.0.1:0", "-b", f"unix:{tmp_path}/s")
    host, port = server.address  # type: ignore[misc]  # bound to a port
    locations = LOCATIONS.replace("SOCKET", f"{tmp_path}/s")
    front = nginx(f"{host}:{port}", server=locations)
    return lambda way: front if way else server


def test_real_setups_are_closed_unless_they_are_opened(
    ways: Callable[[str], Gunicorn | Nginx],
) -> None:
    for way, headers, trusted in WAYS:
        server = ways(way)

        def status(path: str, more: dict[str, str]) -> int:
            return server.get(way + path, headers={**headers, **more}).status  # noqa: B023

        assert status("/auto/debug/vars", {}) == 403, (way, headers)
        assert status("/loop/debug/vars", {}) == (200 if trusted else 403), (way, headers)
        assert status("/token/debug/vars", {}) == 401, (way, headers)
        assert status("/token/debug/vars", TOKEN) == 200, (way, headers)
        # Who fixes what proxies say cannot be told from who forges it.
        forged = {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "localhost"}
        assert status("/fixed/debug/vars", forged) == 403, (way, headers)
        assert status("/fixed/debug/vars", {}) in (200, 403)


def test_a_link_is_used_once_whichever_worker_it_comes_to(
    ways: Callable[[str], Gunicorn | Nginx],
) -> None:
    from flask_expvar.settings import Settings
    from flask_expvar.web.tickets import Tickets

    tickets = Tickets(["k" * 32], Settings(tokens=(TOKEN["Authorization"].split()[1],)))
    form = {"Content-Type": "application/x-www-form-urlencoded", **APP}
    for number in range(3):
        body = f"ticket={tickets.link(f'n{number}')}"
        answers = [
            ways("/bare").post("/bare/token/debug/login", body, headers=form).status
            for _ in range(6)
        ]
        assert answers == [303, 403, 403, 403, 403, 403]


@pytest.fixture
def waitress(tmp_path: Path) -> Iterator[Waitress]:
    pytest.importorskip("waitress")
    with Waitress(SETUP, folder=tmp_path / "waitress") as server:
        yield server


def test_waitress_hides_that_a_proxy_is_in_play_so_nothing_trusts_it(waitress: Waitress) -> None:
    behind_a_proxy = {"Host": "127.0.0.1", "X-Forwarded-For": "192.0.2.7"}

    # It takes the header away: "loopback" cannot know, which its warning says.
    assert waitress.get("/loop/debug/vars", headers=behind_a_proxy).status == 200
    assert waitress.get("/auto/debug/vars", headers=behind_a_proxy).status == 403
    assert waitress.get("/token/debug/vars", headers=behind_a_proxy).status == 401
    assert waitress.get("/token/debug/vars", headers={**behind_a_proxy, **TOKEN}).status == 200
    assert "trust" in waitress.log or "loopback" in waitress.log


def test_a_form_that_was_opened_from_a_page_leads_back_there() -> None:
    app = Flask("shop")
    app.config.update(EXPVAR_TOKEN=TOKEN["Authorization"].split()[1], SECRET_KEY="k" * 32)
    expvar.Expvar(app, registry=expvar.Registry(), url_prefix="/a/b")
    client = app.test_client()
    page = client.get("/a/b/traces?q=GET%20/x", headers=HTML)
    (action,) = re.findall(r'action="([^"]*)"', page.text)
    (next_,) = re.findall(r'name="next" value="([^"]*)"', page.text)
    to = urljoin("/a/b/traces", action)

    done = client.post(to, data={"token": TOKEN["Authorization"].split()[1], "next": next_})

    back = urlsplit(urljoin(to, done.headers["Location"]))
    assert (back.path, parse_qs(back.query)) == ("/a/b/traces", {"q": ["GET /x"]})
    assert client.get(back.geturl(), headers=HTML).status_code == 200
