"""The gate: which environ is let in by which setting, and what the client is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError

import pytest
from gates import DIRECT, OLD_TOKEN, PYTEST, TOKEN, Environ, bearer, boom, decide, gate
from hypothesis import given
from hypothesis import strategies as st

from flask_expvar.settings import Settings
from flask_expvar.web.decision import CHALLENGE, DENIED, UNIDENTIFIED, Decision, Level
from flask_expvar.web.startup import startup_warnings


def test_auto_lets_in_the_developer_on_the_dev_server() -> None:
    assert decide(gate(), DIRECT, debug=True) == Decision(Level.ACT, 200, "auto:dev-server")


@pytest.mark.parametrize(
    ("environ", "debug", "rule"),
    [
        (DIRECT, False, "auto:not-debug"),
        ({**DIRECT, "SERVER_SOFTWARE": "gunicorn/27.0"}, True, "auto:not-dev-server"),
        ({**DIRECT, "SERVER_SOFTWARE": "werkzeug"}, True, "auto:not-dev-server"),
        ({**DIRECT, "SERVER_SOFTWARE": None}, True, "auto:not-dev-server"),
        ({**DIRECT, "REMOTE_ADDR": "10.0.0.7"}, True, "loopback:peer"),
        ({**DIRECT, "HTTP_HOST": "app.example.com"}, True, "loopback:host"),
    ],
)
def test_auto_lets_in_nobody_else(environ: Environ, debug: bool, rule: str) -> None:
    decision = decide(gate(), environ, debug=debug)

    assert (decision.level, decision.status, decision.rule) == (Level.NONE, 403, rule)


def test_testing_alone_opens_nothing_under_auto() -> None:
    assert not decide(gate("auto", marks=PYTEST), DIRECT, testing=True).admitted


@pytest.mark.parametrize("debug", [True, False])
def test_a_configured_token_decides_alone_even_for_the_developer(debug: bool) -> None:
    decision = decide(gate("auto", TOKEN), DIRECT, debug=debug)

    assert (decision.status, decision.rule) == (401, "token:missing")
    assert decision.headers == [("WWW-Authenticate", 'Bearer realm="expvar"')]


@pytest.mark.parametrize("token", [TOKEN, OLD_TOKEN])
def test_every_token_of_a_rotation_admits(token: str) -> None:
    decision = decide(gate("auto", TOKEN, OLD_TOKEN), bearer(token))

    assert decision.rule == "token"
    assert decision.level is Level.ACT
    assert decision.who == f"token {[TOKEN, OLD_TOKEN].index(token) + 1}"


def test_a_token_taken_out_of_the_rotation_no_longer_admits() -> None:
    assert decide(gate("auto", TOKEN), bearer(OLD_TOKEN)).rule == "token:wrong"


@pytest.mark.parametrize("header", [f"bearer {TOKEN}", f"BEARER  {TOKEN} ", f"Bearer \t{TOKEN}"])
def test_scheme_has_any_case_and_spaces_around_the_token(header: str) -> None:
    assert decide(gate("auto", TOKEN), {"HTTP_AUTHORIZATION": header}).admitted


@pytest.mark.parametrize(
    ("header", "rule"),
    [
        ("", "token:missing"),
        ("Bearer", "token:missing"),
        ("Bearer ", "token:missing"),
        (f"Basic {TOKEN}", "token:missing"),
        (TOKEN, "token:missing"),
        (f"Bearer{TOKEN}", "token:missing"),
        (f"Bearer {TOKEN}x", "token:wrong"),
        (f"Bearer {TOKEN[:-1]}", "token:wrong"),
        (f"Bearer {TOKEN.lower()}", "token:wrong"),
        (f"Bearer {TOKEN}, Bearer {TOKEN}", "token:wrong"),
        (f"Bearer {TOKEN}\xff", "token:wrong"),
        ("Bearer \xe4\xf6\xfc", "token:wrong"),
        ("Bearer \udcff", "token:wrong"),
        ("Bearer \0", "token:wrong"),
    ],
)
def test_wrong_credentials_are_401(header: str, rule: str) -> None:
    decision = decide(gate("auto", TOKEN), {"HTTP_AUTHORIZATION": header})

    assert (decision.status, decision.rule) == (401, rule)


def test_an_empty_token_in_unchecked_settings_admits_nobody() -> None:
    assert decide(gate("auto", ""), {"HTTP_AUTHORIZATION": "Bearer "}).status == 401


def test_token_is_not_looked_for_in_the_query() -> None:
    environ = {"QUERY_STRING": f"token={TOKEN}&access_token={TOKEN}"}

    assert not decide(gate("auto", TOKEN), environ).admitted


def test_every_token_is_compared_even_after_a_match(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(known: bytes, sent: bytes) -> bool:
        compared.append(known)
        return known == sent

    monkeypatch.setattr("flask_expvar.web.access.hmac.compare_digest", compare)
    decide(gate("auto", TOKEN, OLD_TOKEN), bearer(TOKEN))

    assert compared == [TOKEN.encode(), OLD_TOKEN.encode()]


def test_token_admits_across_sites_and_through_proxies() -> None:
    environ = {
        **bearer(TOKEN),
        "HTTP_SEC_FETCH_SITE": "cross-site",
        "HTTP_X_FORWARDED_FOR": "192.0.2.1",
    }

    assert decide(gate("auto", TOKEN), environ).admitted


def test_loopback_is_for_any_server_and_without_debug() -> None:
    environ = {**DIRECT, "SERVER_SOFTWARE": "gunicorn/27.0"}

    assert decide(gate("loopback"), environ) == Decision(Level.ACT, 200, "loopback")


def test_a_token_admits_beside_loopback() -> None:
    far = {**bearer(TOKEN), "REMOTE_ADDR": "192.0.2.1", "HTTP_HOST": "app.example.com"}

    assert decide(gate("loopback", TOKEN), far).rule == "token"
    assert decide(gate("loopback", TOKEN), DIRECT).rule == "loopback"


def test_loopback_asks_for_the_token_where_there_is_one() -> None:
    decision = decide(gate("loopback", TOKEN), {**DIRECT, "REMOTE_ADDR": "192.0.2.1"})

    assert (decision.status, decision.rule) == (401, "loopback:peer")


@pytest.mark.parametrize("mark", [True, "yes", object(), 1.0])
def test_listener_admits_nobody_on_the_apps_port(mark: object) -> None:
    environ = {**DIRECT, **bearer(TOKEN), "expvar.listener": mark}

    decision = decide(gate("listener", TOKEN), environ, debug=True, testing=True)

    assert (decision.status, decision.rule) == (403, "listener:own-port")


@pytest.mark.parametrize(
    ("debug", "testing", "marks"),
    [
        (True, False, {}),
        (False, True, {}),
        (False, False, {"PYTEST_VERSION": "8.2"}),
        (False, False, {"PYTEST_CURRENT_TEST": "test_x (call)"}),
    ],
)
def test_open_admits_in_tests_and_demos(debug: bool, testing: bool, marks: dict[str, str]) -> None:
    far = {"REQUEST_METHOD": "GET", "REMOTE_ADDR": "192.0.2.1"}

    decision = decide(gate("open", marks=marks), far, debug=debug, testing=testing)

    assert decision == Decision(Level.ACT, 200, "open")


def test_open_is_refused_elsewhere() -> None:
    decision = decide(gate("open", TOKEN, marks={"HOME": "/root"}), {**DIRECT, **bearer(TOKEN)})

    assert (decision.status, decision.rule) == (403, "open:not-a-test")


def test_unchecked_settings_with_another_word_admit_nobody() -> None:
    assert decide(gate("Open", marks=PYTEST), DIRECT, debug=True).status == 403


@pytest.mark.parametrize(
    ("answer", "level"),
    [
        (True, Level.ACT),
        (Level.ACT, Level.ACT),
        (Level.SENSITIVE, Level.SENSITIVE),
        (Level.READ, Level.READ),
    ],
)
def test_callable_opens_up_to_its_level(answer: object, level: Level) -> None:
    assert decide(gate(lambda request: answer), {}) == Decision(level, 200, "callable")


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        (False, "callable:refused"),
        (None, "callable:refused"),
        (Level.NONE, "callable:refused"),
        (1, "callable:returned int"),
        (3, "callable:returned int"),
        ("ACT", "callable:returned str"),
        ([True], "callable:returned list"),
        (object(), "callable:returned object"),
    ],
)
def test_callable_opens_with_nothing_else(answer: object, rule: str) -> None:
    decision = decide(gate(lambda request: answer), DIRECT, debug=True, testing=True)

    assert (decision.status, decision.rule) == (403, rule)


def test_callable_gets_the_request_made_only_for_it() -> None:
    seen = []
    made = []

    def rule(request: object) -> bool:
        seen.append(request)
        return True

    def request() -> object:
        made.append(1)
        return "the request"

    gate(rule).decide({}, request=request, debug=False, testing=False)
    gate("open").decide({}, request=request, debug=True, testing=False)
    assert seen == ["the request"]
    assert made == [1]


def test_callable_decides_alone_whatever_the_token_says() -> None:
    assert not decide(gate(lambda request: False, TOKEN), bearer(TOKEN)).admitted


def test_callable_that_raises_refuses_and_tells_where(caplog: pytest.LogCaptureFixture) -> None:
    decision = decide(gate(boom), {})

    assert (decision.status, decision.rule) == (403, "callable:raised LookupError")
    assert "gates.py" in caplog.text
    assert "in boom" in caplog.text
    assert TOKEN not in caplog.text


def test_callable_that_takes_no_argument_refuses() -> None:
    rule: Callable[..., bool] = lambda: True  # noqa: E731
    assert decide(gate(rule), {}).rule == "callable:raised TypeError"


def test_request_that_cannot_be_made_refuses() -> None:
    def request() -> object:
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad")

    decision = gate(lambda request: True).decide({}, request=request, debug=False, testing=False)

    assert decision.rule == "callable:raised UnicodeDecodeError"


def test_callable_without_a_request_refuses() -> None:
    decision = gate(lambda request: True).decide({}, debug=True, testing=True)

    assert decision.rule == "callable:no-request"


@pytest.mark.parametrize("exit", [SystemExit, KeyboardInterrupt])
def test_the_end_of_the_process_is_not_swallowed(exit: type[BaseException]) -> None:
    def rule(request: object) -> bool:
        raise exit

    with pytest.raises(exit):
        decide(gate(rule), {})


def test_the_client_learns_nothing_of_the_rule() -> None:
    refused = [
        decide(gate(), DIRECT),
        decide(gate("listener"), DIRECT),
        decide(gate("open"), DIRECT),
        decide(gate("loopback"), {}),
        decide(gate(boom), {}),
    ]

    assert {(each.status, each.sentence, *each.headers) for each in refused} == {(403, DENIED)}


def test_401_asks_for_a_bearer_token() -> None:
    decision = decide(gate("auto", TOKEN), DIRECT)

    assert decision.sentence == UNIDENTIFIED
    assert dict(decision.headers) == {"WWW-Authenticate": CHALLENGE}


def test_an_admitted_request_gets_no_sentence() -> None:
    decision = decide(gate("auto", TOKEN), bearer(TOKEN))

    assert (decision.admitted, decision.sentence, decision.headers) == (True, "", [])


def test_a_decision_cannot_be_raised_afterwards() -> None:
    decision = decide(gate(), DIRECT)

    with pytest.raises(FrozenInstanceError):
        decision.level = Level.ACT  # type: ignore[misc]


def test_levels_include_those_below() -> None:
    assert Level.NONE < Level.READ < Level.SENSITIVE < Level.ACT


def test_start_up_shouts_about_loopback_and_the_proxy() -> None:
    [warning] = startup_warnings(Settings(access="loopback"))

    assert "proxy" in warning
    assert "the whole internet" in warning


@pytest.mark.parametrize(
    ("settings", "number"),
    [
        (Settings(), 0),
        (Settings(tokens=(TOKEN,)), 0),
        (Settings(access=boom), 0),
        (Settings(access="open"), 1),
        (Settings(access="listener"), 1),
        (Settings(access="listener", monitoring_address="127.0.0.1:1099"), 0),
    ],
)
def test_start_up_is_silent_unless_something_is_risky(settings: Settings, number: int) -> None:
    assert len(startup_warnings(settings)) == number


KEYS = [
    "REQUEST_METHOD",
    "SERVER_SOFTWARE",
    "REMOTE_ADDR",
    "HTTP_HOST",
    "HTTP_AUTHORIZATION",
    "HTTP_ORIGIN",
    "HTTP_SEC_FETCH_SITE",
    "HTTP_SEC_FETCH_MODE",
    "HTTP_SEC_FETCH_DEST",
    "HTTP_X_FORWARDED_FOR",
    "werkzeug.proxy_fix.orig",
    "expvar.listener",
]
TEXTS = st.text() | st.sampled_from(
    ["GET", "Werkzeug/3", "127.0.0.1", "::1", "localhost", "[::1]:1", "Bearer ", "null", "none"]
)
ENVIRONS = st.dictionaries(
    st.sampled_from(KEYS) | st.text(), TEXTS | st.none() | st.integers() | st.binary()
)


@given(ENVIRONS, st.booleans())
def test_auto_without_debug_never_raises_and_never_admits(environ: Environ, testing: bool) -> None:
    decision = gate(marks=PYTEST).decide(environ, debug=False, testing=testing)

    assert (decision.level, decision.status) == (Level.NONE, 403)


@given(ENVIRONS, TEXTS)
def test_no_text_but_the_token_admits(environ: Environ, sent: str) -> None:
    environ["HTTP_AUTHORIZATION"] = f"Bearer {sent}"

    decision = gate("auto", TOKEN).decide(environ, debug=True, testing=True)

    assert (decision.level, decision.status) == (Level.NONE, 401)


@given(ENVIRONS, st.sampled_from(["auto", "loopback", "listener", "open"]), st.booleans())
def test_no_environ_makes_the_gate_raise(environ: Environ, access: str, debug: bool) -> None:
    for tokens in ((), (TOKEN,)):
        decision = gate(access, *tokens).decide(environ, debug=debug, testing=False)

        assert decision.admitted is (decision.status == 200)
        assert decision.admitted or decision.hint
