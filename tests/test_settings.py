"""Settings: where they come from, what each one takes, and what no message may tell."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_expvar.exceptions import SettingError
from flask_expvar.settings import EXAMPLE_TOKENS, KNOWN, Settings, parse_address

TOKEN = "kQ3-x8_ZpL0vWm2T"
OTHER = "Another.Token~2/=+"


def allow_all(request: object) -> bool:
    return True


async def allow_later(request: object) -> bool:
    return True


def test_nothing_said_is_the_default() -> None:
    assert Settings.load({}, {}) == Settings(
        access="auto",
        tokens=(),
        monitoring_address=None,
        directory=None,
        show=(),
        actions=(),
        exporter_config=None,
    )


GOOD = [
    ("EXPVAR_ACCESS", "access", "auto", "auto"),
    ("EXPVAR_ACCESS", "access", "loopback", "loopback"),
    ("EXPVAR_ACCESS", "access", "listener", "listener"),
    ("EXPVAR_ACCESS", "access", "open", "open"),
    ("EXPVAR_ACCESS", "access", allow_all, allow_all),
    ("EXPVAR_TOKEN", "tokens", TOKEN, (TOKEN,)),
    ("EXPVAR_TOKEN", "tokens", [TOKEN, OTHER], (TOKEN, OTHER)),
    ("EXPVAR_TOKEN", "tokens", (TOKEN,), (TOKEN,)),
    ("EXPVAR_TOKEN", "tokens", "with,a,comma,in,it", ("with,a,comma,in,it",)),
    ("EXPVAR_DIR", "directory", "/run/app", "/run/app"),
    ("EXPVAR_DIR", "directory", "/run/../run/app/", "/run/../run/app/"),
    ("EXPVAR_DIR", "directory", PurePosixPath("/run/app"), "/run/app"),
    ("EXPVAR_SHOW", "show", ["A", "FEATURE_*"], ("A", "FEATURE_*")),
    ("EXPVAR_SHOW", "show", {"B", "A"}, ("A", "B")),
    ("EXPVAR_SHOW", "show", [], ()),
    ("EXPVAR_ACTIONS", "actions", ["loggers", "tracemalloc"], ("tracemalloc", "loggers")),
    ("EXPVAR_ACTIONS", "actions", ("arm", "arm"), ("arm",)),
    ("EXPVAR_ACTIONS", "actions", (), ()),
    ("EXPVAR_EXPORTER_CONFIG", "exporter_config", "exporter.toml", "exporter.toml"),
    ("EXPVAR_EXPORTER_CONFIG", "exporter_config", PurePosixPath("/a.toml"), "/a.toml"),
    ("EXPVAR_MONITORING_ADDRESS", "monitoring_address", "127.0.0.1:1099", "127.0.0.1:1099"),
    ("EXPVAR_MONITORING_ADDRESS", "monitoring_address", "[::1]:0", "[::1]:0"),
    ("EXPVAR_MONITORING_ADDRESS", "monitoring_address", "unix:/run/a.sock", "unix:/run/a.sock"),
]


@pytest.mark.parametrize(("setting", "attribute", "value", "expected"), GOOD)
def test_config_takes(setting: str, attribute: str, value: Any, expected: Any) -> None:
    assert getattr(Settings.load({setting: value}, {}), attribute) == expected


@pytest.mark.parametrize(
    ("name", "attribute", "text", "expected"),
    [
        ("FLASK_EXPVAR_ACCESS", "access", "loopback", "loopback"),
        ("FLASK_EXPVAR_TOKEN", "tokens", TOKEN, (TOKEN,)),
        ("FLASK_EXPVAR_TOKEN", "tokens", f"{TOKEN}, {OTHER}", (TOKEN, OTHER)),
        ("FLASK_EXPVAR_DIR", "directory", "/run/app", "/run/app"),
        ("FLASK_EXPVAR_SHOW", "show", "A, FEATURE_*", ("A", "FEATURE_*")),
        ("FLASK_EXPVAR_SHOW", "show", "", ()),
        ("FLASK_EXPVAR_ACTIONS", "actions", "arm,loggers", ("arm", "loggers")),
        ("FLASK_EXPVAR_EXPORTER_CONFIG", "exporter_config", "e.toml", "e.toml"),
        ("FLASK_EXPVAR_MONITORING_ADDRESS", "monitoring_address", "[::1]:80", "[::1]:80"),
    ],
)
def test_environment_takes(name: str, attribute: str, text: str, expected: Any) -> None:
    found = getattr(Settings.load({}, {name: text}), attribute)

    assert found == expected
    assert type(found) in (str, tuple)


BAD: list[tuple[str, Any, str]] = [
    ("EXPVAR_ACCESS", "opne", "did you mean 'open'"),
    ("EXPVAR_ACCESS", "Open", "did you mean 'open'"),
    ("EXPVAR_ACCESS", "open ", "did you mean 'open'"),
    ("EXPVAR_ACCESS", "", "auto, loopback, listener, open"),
    ("EXPVAR_ACCESS", "token", "or a callable"),
    ("EXPVAR_ACCESS", True, "of type bool"),
    ("EXPVAR_ACCESS", ["open"], "of type list"),
    ("EXPVAR_ACCESS", allow_later, "coroutine"),
    ("EXPVAR_TOKEN", "", "secrets.token_urlsafe(32)"),
    ("EXPVAR_TOKEN", [], "secrets.token_urlsafe(32)"),
    ("EXPVAR_TOKEN", [TOKEN, ""], "token 2 of 2 is empty"),
    ("EXPVAR_TOKEN", "fifteen-letters", "15 characters"),
    ("EXPVAR_TOKEN", "has a space inside it", "a space"),
    ("EXPVAR_TOKEN", "ends-with-a-newline\n", "not printable ASCII"),
    ("EXPVAR_TOKEN", "not-äscii-at-all-ever", "not printable ASCII"),
    ("EXPVAR_TOKEN", b"sixteen-bytes-ok", "of type bytes"),
    ("EXPVAR_TOKEN", [TOKEN, 12345], "of type int"),
    ("EXPVAR_TOKEN", {TOKEN: 1}, "of type dict"),
    ("EXPVAR_DIR", "", "no path"),
    ("EXPVAR_DIR", "run/app", "not absolute"),
    ("EXPVAR_DIR", "/run/\0app", "no path"),
    ("EXPVAR_DIR", b"/run/app", "of type bytes"),
    ("EXPVAR_DIR", 3, "of type int"),
    ("EXPVAR_SHOW", "SITE_NAME", "bare string"),
    ("EXPVAR_SHOW", ["A", ""], "no name"),
    ("EXPVAR_SHOW", [1], "of type int"),
    ("EXPVAR_SHOW", {"A": 1}, "of type dict"),
    ("EXPVAR_ACTIONS", "arm", "bare string"),
    ("EXPVAR_ACTIONS", ["arm", "exit"], "'exit'"),
    ("EXPVAR_ACTIONS", [["arm"]], "of type list"),
    ("EXPVAR_ACTIONS", True, "of type bool"),
    ("EXPVAR_EXPORTER_CONFIG", "", "no path"),
    ("EXPVAR_METRICS_PATH", "metrics", "a path such as"),
    ("EXPVAR_METRICS_PATH", "/<x>", "a path such as"),
    ("EXPVAR_METRICS_NAMES", "OTel", "'otel'"),
    ("EXPVAR_EXPORTER_CONFIG", {}, "of type dict"),
    ("EXPVAR_MONITORING_ADDRESS", 1099, "of type int"),
    ("EXPVAR_MONITORING_ADDRESS", "", "the port"),
    ("EXPVAR_MONITORING_ADDRESS", "localhost", "the port"),
    ("EXPVAR_MONITORING_ADDRESS", ":1099", "the host"),
]


@pytest.mark.parametrize(("setting", "value", "text"), BAD)
def test_config_refuses(setting: str, value: Any, text: str) -> None:
    with pytest.raises(SettingError) as caught:
        Settings.load({setting: value}, {})

    assert caught.value.name == setting
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("FLASK_EXPVAR_ACCESS", "everyone", "auto, loopback, listener, open"),
        ("FLASK_EXPVAR_TOKEN", "", "secrets.token_urlsafe(32)"),
        ("FLASK_EXPVAR_TOKEN", f"{TOKEN},", "token 2 of 2 is empty"),
        ("FLASK_EXPVAR_DIR", "", "no path"),
        ("FLASK_EXPVAR_SHOW", "A,,B", "no name"),
        ("FLASK_EXPVAR_ACTIONS", "arm exit", "no action"),
    ],
)
def test_environment_refuses(name: str, value: str, text: str) -> None:
    with pytest.raises(SettingError, match=f"^{name} ") as caught:
        Settings.load({}, {name: value})

    assert text in str(caught.value)


def test_environment_offers_no_callable() -> None:
    with pytest.raises(SettingError) as caught:
        Settings.load({}, {"FLASK_EXPVAR_ACCESS": "package:rule"})

    assert "callable" not in str(caught.value)


@pytest.mark.parametrize("token", sorted(EXAMPLE_TOKENS))
def test_token_of_the_documentation_is_refused(token: str) -> None:
    with pytest.raises(SettingError, match="example of the documentation") as caught:
        Settings.load({"EXPVAR_TOKEN": token.title()}, {})

    assert token not in str(caught.value).lower()


def test_config_wins_over_environment() -> None:
    settings = Settings.load({"EXPVAR_ACCESS": "open"}, {"FLASK_EXPVAR_ACCESS": "loopback"})

    assert settings.access == "open"


def test_a_wrong_environment_does_not_matter_where_config_wins() -> None:
    settings = Settings.load({"EXPVAR_TOKEN": TOKEN}, {"FLASK_EXPVAR_TOKEN": ""})

    assert settings.tokens == (TOKEN,)


@pytest.mark.parametrize("setting", KNOWN)
def test_none_in_config_is_as_if_not_there(setting: str) -> None:
    assert Settings.load({setting: None}, {}) == Settings()


def test_none_in_config_leaves_the_default_to_the_environment() -> None:
    assert Settings.load({"EXPVAR_TOKEN": None}, {"FLASK_EXPVAR_TOKEN": TOKEN}).tokens == (TOKEN,)


def test_text_that_flask_copied_from_the_environment_is_split_as_well() -> None:
    environ = {"FLASK_EXPVAR_SHOW": "A,B", "FLASK_EXPVAR_TOKEN": "1234567890123456"}
    copied = {"EXPVAR_SHOW": "A,B", "EXPVAR_TOKEN": 1234567890123456}

    settings = Settings.load(copied, environ)

    assert settings.show == ("A", "B")
    assert settings.tokens == ("1234567890123456",)


@pytest.mark.parametrize("name", ["EXPVAR_TOKENS", "EXPVAR_", "EXPVAR_token"])
def test_unknown_name_in_config_lists_the_known(name: str) -> None:
    with pytest.raises(SettingError, match=f"^{name} is not a setting") as caught:
        Settings.load({name: None}, {})

    assert all(known in str(caught.value) for known in KNOWN)


def test_unknown_name_in_environment_lists_the_known() -> None:
    with pytest.raises(SettingError, match=r"did you mean FLASK_EXPVAR_ACCESS\?") as caught:
        Settings.load({}, {"FLASK_EXPVAR_ACCES": "open"})

    assert all(f"FLASK_{known}" in str(caught.value) for known in KNOWN)


def test_unknown_name_far_from_all_suggests_nothing() -> None:
    with pytest.raises(SettingError) as caught:
        Settings.load({"EXPVAR_ZZZZZZZZZZZZZZZZZZ": 1}, {})

    assert "did you mean" not in str(caught.value)


def test_other_peoples_names_are_left_alone() -> None:
    others = {"SECRET_KEY": "x", "EXPVARS": 1, "MY_EXPVAR_THING": 1, "expvar_access": 1}

    assert Settings.load(others, {"FLASK_APP": "app", "EXPVAR_DIRT": "x"}) == Settings()


def test_repr_holds_no_token() -> None:
    settings = Settings.load({"EXPVAR_TOKEN": [TOKEN, OTHER]}, {})

    assert TOKEN not in repr(settings)
    assert OTHER not in repr(settings)


# The others take any text: a list of names, a relative path.
@pytest.mark.parametrize(
    "setting",
    [
        "EXPVAR_ACCESS",
        "EXPVAR_TOKEN",
        "EXPVAR_DIR",
        "EXPVAR_ACTIONS",
        "EXPVAR_MONITORING_ADDRESS",
    ],
)
@pytest.mark.parametrize("in_config", [True, False])
def test_no_message_quotes_a_token_put_into_any_setting(setting: str, in_config: bool) -> None:
    secret = "hunter2 hunter2 hunter2"
    config = {setting: secret} if in_config else {}
    environ = {} if in_config else {f"FLASK_{setting}": secret}

    with pytest.raises(SettingError) as caught:
        Settings.load(config, environ)

    assert "hunter2" not in str(caught.value)


@given(st.text(min_size=3), st.text(min_size=3))
def test_no_message_quotes_any_part_of_a_bad_token(token: str, other: str) -> None:
    marked = [f"⟦{token}", f"⟦{other}"]

    with pytest.raises(SettingError) as caught:
        Settings.load({"EXPVAR_TOKEN": marked}, {})

    assert "⟦" not in str(caught.value)


def test_loading_looks_nothing_up_in_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "FLASK_EXPVAR_ACCESS", "open")

    assert Settings.load({}, {}).access == "auto"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:1099", ("127.0.0.1", 1099)),
        ("0.0.0.0:65535", ("0.0.0.0", 65535)),
        ("localhost:0", ("localhost", 0)),
        ("my_host.example-1.org:80", ("my_host.example-1.org", 80)),
        ("[::1]:1099", ("::1", 1099)),
        ("[::]:1099", ("::", 1099)),
        ("unix:/run/app/expvar.sock", "/run/app/expvar.sock"),
    ],
)
def test_address_is_taken_apart(text: str, address: object) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "port"),
        ("1099", "host"),
        (":1099", "host"),
        ("host", "port"),
        ("host:", "port"),
        ("host:http", "port"),
        ("host:65536", "port"),
        ("host:-1", "port"),
        ("host:+1", "port"),
        ("host:1 ", "port"),
        ("host:1\n", "port"),
        ("host:\N{ARABIC-INDIC DIGIT THREE}", "port"),
        ("ho st:1", "host"),
        ("-host:1", "host"),
        ("http://host:1", "host"),
        ("user@host:1", "host"),
        ("256.0.0.1:1", "256"),
        ("127.1:1", "4 octets"),
        ("::1:1099", "host"),
        ("[::1]", "port"),
        ("[::1]1099", "port"),
        ("[127.0.0.1]:1", "127.0.0.1"),
        ("[]:1", "empty"),
        ("unix:", "absolute"),
        ("unix:run/a.sock", "absolute"),
        ("unix:/run/", "absolute"),
        ("unix:/a\0b", "absolute"),
        ("UNIX:/a", "port"),
    ],
)
def test_malformed_address_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_address(text)


@given(st.text())
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert parse_address(text)
