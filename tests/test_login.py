"""Ways in: passwords, the form, links to log in, cookies, and what ends them."""

from __future__ import annotations

import base64
import logging
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import pbkdf2_hmac
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask, Response, abort, redirect, request
from flask.testing import FlaskClient
from gates import FakeClock
from itsdangerous import URLSafeTimedSerializer
from werkzeug.security import generate_password_hash

import flask_expvar as expvar
from flask_expvar.settings import Settings
from flask_expvar.web.attempts import MOST, MOST_PEERS, WITHIN, Attempts
from flask_expvar.web.passwords import Passwords, sent_pair
from flask_expvar.web.permits import Permits
from flask_expvar.web.tickets import COOKIE, LASTING, LINK_LASTING, Tickets
from flask_expvar.workers.spent import spend

TOKEN = "a-token-of-the-tests-0123456789"
OTHER = "another-token-of-the-tests-9876"
# Always the same: the ids of tests have it, and each process of a run must find the same tests.
SALT = "saltsaltsaltsalt"
HASH = (
    f"pbkdf2:sha256:1000${SALT}$" + pbkdf2_hmac("sha256", b"open sesame", SALT.encode(), 1000).hex()
)
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def make(prefix: str = "/debug", **config: Any) -> Flask:
    app = Flask("shop")
    app.config.update(SECRET_KEY="k" * 32, EXPVAR_TOKEN=TOKEN, EXPVAR_BASIC=f"ann:{HASH}")
    app.config.update(config)
    expvar.Expvar(app, registry=expvar.Registry(), url_prefix=prefix)
    return app


@pytest.fixture
def app() -> Flask:
    return make()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


def log_in(client: FlaskClient, **form: str) -> Any:
    return client.post("/debug/login", data=form or {"token": TOKEN})


# -- passwords -----------------------------------------------------------------------------------


def test_a_user_with_the_right_password_comes_in(client: FlaskClient) -> None:
    assert client.get("/debug/vars", headers=basic("ann", "open sesame")).status_code == 200
    for user, password in (("ann", "open"), ("bob", "open sesame"), ("", "open sesame")):
        answer = client.get("/debug/vars", headers=basic(user, password))
        assert answer.status_code == 401
        assert answer.headers.getlist("WWW-Authenticate") == [
            'Bearer realm="expvar"',
            'Basic realm="expvar", charset="UTF-8"',
        ]


def test_browsers_add_passwords_by_themselves_so_other_sites_are_refused(
    client: FlaskClient,
) -> None:
    headers = {**basic("ann", "open sesame"), "Sec-Fetch-Site": "cross-site"}

    assert client.get("/debug/vars", headers=headers).status_code == 403


def test_what_was_right_once_is_not_hashed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = Passwords([("ann", HASH)])
    assert passwords.check("ann", "open sesame")

    monkeypatch.setattr("flask_expvar.web.passwords.check_password_hash", pytest.fail)

    assert passwords.check("ann", "open sesame")
    assert not passwords.knows("ann", "open sesam")
    assert not passwords.knows("annopen", " sesame")
    assert not passwords.check("ann", "x" * 5000)


@pytest.mark.parametrize(
    "header",
    ["", "Basic", "Basic !!", "Basic YQ==", "Bearer YTpi", "Basic \xff", "Basic " + "A" * 9999],
)
def test_what_is_no_pair_is_none(header: str) -> None:
    assert sent_pair(header) is None


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("ann:secret-password", "perhaps the password itself"),
        ("ann", "no colon"),
        ([], "empty"),
        ({"a:b": HASH}, "a user that is empty"),
        ({"": HASH}, "a user that is empty"),
        (7, "type int"),
        ([7], "not of texts"),
    ],
)
def test_a_pair_that_cannot_be_used_is_an_error_without_the_password(value: Any, says: str) -> None:
    with pytest.raises(expvar.SettingError, match=says) as caught:
        Settings.load({"EXPVAR_BASIC": value}, {})

    assert "secret-password" not in str(caught.value)
    assert "generate_password_hash" in str(caught.value)


@pytest.mark.parametrize("value", [f"ann:{HASH}", [f"ann:{HASH}"], {"ann": HASH}])
def test_pairs_may_be_given_in_several_ways(value: Any) -> None:
    assert Settings.load({"EXPVAR_BASIC": value}, {}).basic == (("ann", HASH),)
    assert HASH not in repr(Settings.load({"EXPVAR_BASIC": value}, {}))
    found = Settings.load({}, {"FLASK_EXPVAR_BASIC": f"ann:{HASH},bob:{HASH}"})
    assert [user for user, _ in found.basic] == ["ann", "bob"]


# -- too many ------------------------------------------------------------------------------------


def test_who_guesses_has_to_wait_and_the_right_token_has_not(client: FlaskClient) -> None:
    for _ in range(MOST):
        assert client.get("/debug/vars", headers=basic("ann", "guess")).status_code == 401

    for headers in (basic("ann", "open sesame"), {"Authorization": "Bearer guess"}):
        answer = client.get("/debug/vars", headers=headers)
        assert answer.status_code == 429
        assert 0 < int(answer.headers["Retry-After"]) <= WITHIN
    assert log_in(client, user="ann", password="open sesame").status_code == 429
    assert (
        client.get("/debug/vars", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    )
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    right = client.get(
        "/debug/vars", headers=basic("ann", "open sesame"), environ_overrides=elsewhere
    )
    assert right.status_code == 200


def test_a_minute_later_one_may_try_again_and_few_peers_are_remembered() -> None:
    clock = FakeClock()
    attempts = Attempts(clock)
    for number in range(MOST):
        attempts.fail("here")
        clock.now += 1
        assert bool(attempts.wait("here")) == (number == MOST - 1)
    assert attempts.wait("here") == WITHIN - MOST
    assert not attempts.wait("there")
    clock.now += attempts.wait("here")
    assert not attempts.wait("here")

    for number in range(3 * MOST_PEERS):
        attempts.fail(str(number))
    assert len(attempts._seen) == MOST_PEERS


def test_two_requests_are_answered_at_once_and_a_third_is_told_to_come_again(
    app: Flask, client: FlaskClient
) -> None:
    permits = app.extensions["expvar_mounts"]["expvar"]._permits
    with permits.one():
        assert client.get("/debug/vars", headers=BEARER).status_code == 200
        with permits.one():
            answer = client.get("/debug/vars", headers=BEARER)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
            assert client.get("/debug/assets/expvar.css", headers=BEARER).status_code == 200
            assert client.get("/debug/vars").status_code == 401

    assert client.get("/debug/vars", headers=BEARER).status_code == 200


BEARER = {"Authorization": f"Bearer {TOKEN}"}


def test_a_permit_comes_back_after_an_exception_and_in_a_forked_child() -> None:
    permits = Permits()
    for _ in range(5):
        with suppress(LookupError), permits.one() as permitted:
            assert permitted
            raise LookupError
    with permits.one(), permits.one(), permits.one() as third:
        assert not third
        pid = os.fork()
        if pid == 0:
            with permits.one() as permitted:
                os._exit(0 if permitted else 1)
        assert os.waitpid(pid, 0)[1] == 0


# -- the form ------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [{"token": TOKEN}, {"user": "ann", "password": "open sesame"}])
def test_the_form_gives_a_strict_cookie_for_the_mount(
    client: FlaskClient, form: dict[str, str]
) -> None:
    answer = log_in(client, **form)

    assert (answer.status_code, answer.headers["Location"]) == (303, "./")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly; Path=/debug/; SameSite=Strict" in cookie
    assert f"Max-Age={LASTING}" in cookie
    assert "Secure" not in cookie
    assert TOKEN not in cookie
    assert client.get("/debug/vars").status_code == 200
    assert client.get("/debug/none").status_code == 404
    assert "Log out" in client.get("/debug/", headers=HTML).text


def test_over_https_the_cookie_is_secure_and_its_path_has_the_script_name(app: Flask) -> None:
    answer = app.test_client().post(
        "/debug/login", data={"token": TOKEN}, base_url="https://example.org/shop"
    )

    assert "Secure; HttpOnly; Path=/shop/debug/;" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize(
    "form",
    [
        {"token": TOKEN[:-1]},
        {"token": "\ud800"},
        {"user": "ann", "password": "open"},
        {"user": "bob", "password": "open sesame"},
        {"ticket": "x"},
        {"x": "y"},
    ],
)
def test_what_is_wrong_gives_no_cookie(client: FlaskClient, form: dict[str, str]) -> None:
    answer = client.post(
        "/debug/login", data={k: v.encode("utf-8", "replace") for k, v in form.items()}
    )

    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers
    assert "no-store" in answer.headers["Cache-Control"]
    assert client.get("/debug/vars").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_another_site_cannot_log_anybody_in_or_out(
    client: FlaskClient, headers: dict[str, str]
) -> None:
    assert client.post("/debug/login", data={"token": TOKEN}, headers=headers).status_code == 403
    log_in(client)
    client.post("/debug/logout", headers=headers)
    assert client.get("/debug/vars").status_code == 200
    assert (
        client.get("/debug/vars", headers={**headers, "Sec-Fetch-Site": "cross-site"}).status_code
        == 403
    )


@pytest.mark.parametrize(
    ("next", "to"),
    [
        ("vars?q=a%20b", "vars?q=a%20b"),
        ("a/b", "a/b"),
        ("", "./"),
        ("//evil.example", "./"),
        ("https://evil.example", "./"),
        ("/elsewhere", "./"),
        ("\\evil", "./"),
        ("vars\r\nX: y", "./"),
        ("../..", "./"),
        ("javascript:alert(1)", "./"),
    ],
)
def test_the_way_on_leads_to_a_page_and_nowhere_else(
    client: FlaskClient, next: str, to: str
) -> None:
    assert log_in(client, token=TOKEN, next=next).headers["Location"] == to


@pytest.mark.parametrize(
    ("path", "action", "next"),
    [
        ("/debug", "debug/login", None),
        ("/debug/", "login", None),
        ("/debug/vars?q=a", "login", "vars?q=a"),
        ("/debug/a/b", "../login", "a/b"),
    ],
)
def test_a_browser_that_is_not_known_gets_the_form_at_once(
    client: FlaskClient, path: str, action: str, next: str | None
) -> None:
    answer = client.get(path, headers=HTML)

    assert answer.status_code == 401
    assert f'action="{action}"' in answer.text
    found = re.search(r'name="next" value="([^"]*)"', answer.text)
    assert (found[1] if found else None) == next
    assert client.get(path).text == "This page wants to know who is asking.\n"


def test_what_is_odd_at_the_form_is_refused(client: FlaskClient, app: Flask) -> None:
    assert client.get("/debug/login").status_code == 200
    assert client.head("/debug/login").data == b""
    assert client.put("/debug/login").status_code == 405
    assert client.get("/debug/logout").status_code == 405
    assert client.post("/debug/login").status_code == 413
    assert log_in(client, token="x" * 20_000).status_code == 413
    app.config["EXPVAR_ACCESS"] = "listener"
    assert client.get("/debug/login").status_code == 403
    app.config.update(EXPVAR_ACCESS="auto", EXPVAR_TOKEN=None, EXPVAR_BASIC=None)
    assert client.get("/debug/login").status_code == 403


def test_hostile_text_in_the_form_stays_text(client: FlaskClient) -> None:
    page = client.get('/debug/login?next="><script>&ticket="><script>', headers=HTML).text

    assert "<script" not in page


def test_without_a_key_there_is_no_cookie(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    app = make(SECRET_KEY=None)

    assert "without SECRET_KEY" in caplog.text
    answer = log_in(app.test_client())
    assert answer.status_code == 501
    assert "SECRET_KEY" in answer.text
    assert app.test_client().get("/debug/vars", headers=HTML).text.startswith("This page")


# -- what ends a cookie --------------------------------------------------------------------------


def test_a_cookie_ends_with_the_token_it_was_given_for(app: Flask, client: FlaskClient) -> None:
    log_in(client)
    app.config["EXPVAR_TOKEN"] = [OTHER, TOKEN]
    assert client.get("/debug/vars").status_code == 200

    app.config["EXPVAR_TOKEN"] = [OTHER]
    assert client.get("/debug/vars").status_code == 401


def test_a_cookie_ends_with_the_password_it_was_given_for(app: Flask, client: FlaskClient) -> None:
    log_in(client, user="ann", password="open sesame")
    assert client.get("/debug/vars").status_code == 200

    app.config["EXPVAR_BASIC"] = {"ann": generate_password_hash("new", "pbkdf2:sha256:1000")}
    assert client.get("/debug/vars").status_code == 401


def test_a_cookie_ends_with_the_key_unless_that_is_a_fallback(
    app: Flask, client: FlaskClient
) -> None:
    log_in(client)
    old, app.secret_key = app.secret_key, "n" * 32
    assert client.get("/debug/vars").status_code == 401

    app.config["SECRET_KEY_FALLBACKS"] = [old]
    assert client.get("/debug/vars").status_code == 200


def test_a_cookie_ends_after_twelve_hours(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(client)
    now = time.time()
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: now + LASTING - 5)
    assert client.get("/debug/vars").status_code == 200
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: now + LASTING + 5)

    assert client.get("/debug/vars").status_code == 401


def test_logging_out_takes_the_cookie_away(client: FlaskClient) -> None:
    log_in(client)
    answer = client.post("/debug/logout")

    assert (answer.status_code, answer.headers["Location"]) == (303, "login")
    assert client.get("/debug/vars").status_code == 401


@pytest.mark.parametrize(
    "cookie", ["", "x", "a.b.c", "\xff", "é", '"', f"{COOKIE}=", "x" * 5000, "; ; =", "eyJ.x.y"]
)
def test_no_other_cookie_admits(client: FlaskClient, cookie: str) -> None:
    header = f"{COOKIE}={cookie}".encode("latin-1", "replace").decode("latin-1")
    answer = client.get("/debug/vars", environ_overrides={"HTTP_COOKIE": header})

    assert answer.status_code == 401


@pytest.mark.parametrize("value", [["link", "x"], ["token 1"], "x", 7, None, [1, 2], {"a": 1}])
def test_what_the_key_has_signed_for_something_else_admits_nobody(value: Any) -> None:
    tickets = Tickets(["k" * 32], Settings(tokens=(TOKEN,)))
    for salt in ("flask_expvar cookie", "flask_expvar link"):
        text = URLSafeTimedSerializer("k" * 32, salt=salt).dumps(value)
        assert isinstance(text, str)
        assert tickets.who(text) is None
        assert tickets.number(text) is None
    assert tickets.who(tickets.link("abc")) is None
    assert tickets.number(tickets.cookie("token 1")) is None
    assert tickets.who(tickets.cookie("token 1")) == "token 1"


# -- links to log in -----------------------------------------------------------------------------


def link(app: Flask, *arguments: str) -> Any:
    return app.test_cli_runner().invoke(args=["expvar", "login-url", *arguments])


def cli(app: Flask) -> Flask:
    from flask_expvar.web.commands import group

    app.cli.add_command(group)  # an installed package is found by its entry point
    return app


def test_a_link_logs_in_once_and_looking_at_it_does_not_use_it_up() -> None:
    app = cli(make())
    done = link(app)
    assert done.exit_code == 0, done.output
    url = urlsplit(next(line for line in done.output.splitlines() if line.startswith("http")))
    assert url._replace(query="").geturl() == "http://127.0.0.1:5000/debug/login"
    (ticket,) = parse_qs(url.query)["ticket"]
    client = app.test_client()
    for _ in range(3):
        assert 'name="ticket"' in client.get(f"{url.path}?{url.query}", headers=HTML).text

    assert log_in(client, ticket=ticket).status_code == 303
    assert client.get("/debug/vars").status_code == 200
    assert log_in(app.test_client(), ticket=ticket).status_code == 403


def test_a_link_is_no_good_after_two_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    tickets = Tickets(["k" * 32], Settings(tokens=(TOKEN,)))
    text = tickets.link("abc")
    assert tickets.number(text) == "abc"
    now = time.time()
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: now + LINK_LASTING + 2)

    assert tickets.number(text) is None


def test_a_link_has_the_address_that_browsers_know() -> None:
    app = cli(make(prefix="/a/b"))

    done = link(app, "--base-url", "https://shop.example/under")
    assert "https://shop.example/under/a/b/login?ticket=" in done.output


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"EXPVAR_TOKEN": None, "EXPVAR_BASIC": None}, "Set EXPVAR_TOKEN"),
        ({"SECRET_KEY": None}, "Set SECRET_KEY"),
        ({"EXPVAR_ACCESS": "listener"}, "decides by itself"),
    ],
)
def test_a_link_that_would_not_work_is_not_made(config: dict[str, Any], says: str) -> None:
    done = link(cli(make(**config)))

    assert done.exit_code == 1
    assert says in done.output


def test_a_blueprint_that_is_not_there_is_an_error() -> None:
    done = link(cli(make()), "--name", "other")
    assert "there are: expvar" in done.output
    bare = Flask("bare")
    bare.config.update(SECRET_KEY="k" * 32, EXPVAR_TOKEN=TOKEN)
    assert "no debug pages" in link(cli(bare)).output


def test_what_was_used_is_forgotten_when_it_is_no_good_any_more(tmp_path: Path) -> None:
    now = time.time()
    assert spend(tmp_path, "a", 120)
    assert not spend(tmp_path, "a", 120)
    assert spend(tmp_path, "b", 120, clock=lambda: now + 300)
    assert [path.name for path in tmp_path.iterdir()] == ["spent-b"]


# -- what the host decides -------------------------------------------------------------------------


def test_a_decorator_decides_and_its_answer_goes_out_untouched() -> None:
    def login_required(view: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(**values: Any) -> Any:
            if request.headers.get("X-User") == "ann":
                return view(**values)
            return redirect("/login") if request.method == "GET" else abort(401)

        return wrapped

    app = Flask("shop")
    blueprint = expvar.blueprint(registry=expvar.Registry(), decorators=[login_required])
    app.register_blueprint(blueprint)
    client = app.test_client()

    for path in ("/debug", "/debug/", "/debug/vars", "/debug/vars.json", "/debug/none",
                 "/debug/assets/expvar.css", "/debug/login", "/debug/requests"):  # fmt: skip
        answer: Response = client.get(path)
        assert (answer.status_code, answer.headers["Location"]) == (302, "/login"), path
        assert client.post(path).status_code == 401
    assert client.get("/debug/vars", headers={"X-User": "ann"}).status_code == 200
    foreign = {"X-User": "ann", "Sec-Fetch-Site": "cross-site"}
    assert client.get("/debug/vars", headers=foreign).status_code == 403


def test_two_mounts_of_which_one_has_decorators_are_told(caplog: pytest.LogCaptureFixture) -> None:
    app = make()
    app.register_blueprint(
        expvar.blueprint(name="second", url_prefix="/two", registry=expvar.Registry(),
                         decorators=[lambda view: view])
    )  # fmt: skip
    app.register_blueprint(
        expvar.blueprint(name="third", url_prefix="/", registry=expvar.Registry())
    )

    assert "mounted twice" in caplog.text
    assert "mounted at '/'" in caplog.text


# -- the log -------------------------------------------------------------------------------------


def test_each_look_at_a_sensitive_page_has_a_line_without_parameters(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flask_expvar.access")
    client.get("/debug/traces?q=s3cret", headers=BEARER)
    client.get("/debug/vars?q=s3cret", headers=BEARER)
    client.get("/debug/traces?sensitive=0", headers=BEARER)
    log_in(client, user="ann", password="open sesame")
    client.get("/debug/config")

    lines = [each.getMessage() for each in caplog.records if each.name == "flask_expvar.access"]
    assert lines == [
        "looked at traces: token 1 at level ACT by rule token, answered with 200",
        "looked at config: user ann at level ACT by rule cookie, answered with 200",
    ]


def test_the_url_may_ask_for_less_and_for_nothing_else(client: FlaskClient) -> None:
    assert client.get("/debug/vars?sensitive=0", headers=BEARER).status_code == 200
    answer = client.get("/debug/vars?sensitive=2", headers=BEARER)
    assert answer.status_code == 400
    assert "sensitive" in answer.text
