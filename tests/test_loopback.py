"""Loopback: the five rules, on the set-ups that were measured and on forgeries."""

from __future__ import annotations

import pytest
from gates import DIRECT, Environ, decide, gate

from flask_expvar.web.loopback import is_loopback_host, is_loopback_peer, refusing_rule

FORGED = {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}

ROWS = [
    pytest.param("127.0.0.1", "127.0.0.1:8011", {}, None, id="direct"),
    # The next three are the proxies that nobody can see; hence the start-up warning.
    pytest.param("127.0.0.1", "127.0.0.1:8011", {}, None, id="nginx-to-address"),
    pytest.param("127.0.0.1", "localhost:8011", {}, None, id="nginx-to-localhost"),
    pytest.param("127.0.0.1", "127.0.0.1:8012", {}, None, id="nginx-to-waitress"),
    pytest.param("", "localhost", {}, "peer", id="nginx-to-unix-socket"),
    pytest.param("127.0.0.1", "app.example.com", {}, "host", id="nginx-with-host"),
    pytest.param("127.0.0.1", "localhost", {}, None, id="nginx-with-forged-host"),
    pytest.param(
        "127.0.0.1",
        "app.example.com",
        {"HTTP_X_FORWARDED_FOR": "192.0.2.1"},
        "forwarded-header X-Forwarded-For",
        id="nginx-with-forwarded-for",
    ),
    pytest.param("127.0.0.1", "app.example.com", {}, "host", id="waitress-strips-the-header"),
    pytest.param("192.0.2.1", "app.example.com", {}, "peer", id="uwsgi-pass"),
    pytest.param(
        "127.0.0.1",
        "localhost",
        {**FORGED, "werkzeug.proxy_fix.orig": {"REMOTE_ADDR": "192.0.2.1"}},
        "proxy-fix",
        id="proxy-fix-with-forged-headers",
    ),
]


@pytest.mark.parametrize(("peer", "host", "more", "rule"), ROWS)
def test_loopback_rules_on_measured_set_ups(
    peer: str, host: str, more: Environ, rule: str | None
) -> None:
    environ = {"REQUEST_METHOD": "GET", "REMOTE_ADDR": peer, "HTTP_HOST": host, **more}

    decision = decide(gate("loopback"), environ)

    assert decision.admitted is (rule is None)
    assert decision.rule == ("loopback" if rule is None else f"loopback:{rule}")


@pytest.mark.parametrize(("peer", "host", "more", "rule"), ROWS)
def test_no_measured_set_up_opens_auto_in_production(
    peer: str, host: str, more: Environ, rule: str | None
) -> None:
    environ = {
        "REQUEST_METHOD": "GET",
        "SERVER_SOFTWARE": "gunicorn/27.0",
        "REMOTE_ADDR": peer,
        "HTTP_HOST": host,
        **more,
    }

    assert not decide(gate(), environ, debug=True).admitted


def test_first_rule_that_fails_is_named() -> None:
    environ: Environ = {
        "werkzeug.proxy_fix.orig": {},
        "REMOTE_ADDR": "10.0.0.1",
        "HTTP_VIA": "1.1 proxy",
        "HTTP_HOST": "evil.example",
        "HTTP_SEC_FETCH_SITE": "cross-site",
        "HTTP_ORIGIN": "https://elsewhere.example",
    }
    repaired = {"REMOTE_ADDR": "::1", "HTTP_HOST": "[::1]:8011"}
    rules = []
    for key in list(environ):
        rules.append(refusing_rule(environ))
        del environ[key]
        environ.update({key: repaired[key]} if key in repaired else {})

    assert rules == [
        "loopback:proxy-fix",
        "loopback:peer",
        "loopback:forwarded-header Via",
        "loopback:host",
        "loopback:sec-fetch-site",
        "loopback:origin",
    ]
    assert refusing_rule(environ) is None


@pytest.mark.parametrize(
    ("key", "header"),
    [
        ("HTTP_FORWARDED", "Forwarded"),
        ("HTTP_VIA", "Via"),
        ("HTTP_X_FORWARDED", "X-Forwarded"),
        ("HTTP_X_FORWARDED_FOR", "X-Forwarded-For"),
        ("HTTP_X_FORWARDED_HOST", "X-Forwarded-Host"),
        ("HTTP_X_FORWARDED_PROTO", "X-Forwarded-Proto"),
        ("HTTP_X_FORWARDED_SECRET_HUNTER2", "X-Forwarded-*"),
        ("HTTP_X_REAL_IP", "X-Real-IP"),
        ("HTTP_X_CLIENT_IP", "X-Client-IP"),
        ("HTTP_X_CLUSTER_CLIENT_IP", "X-Cluster-Client-IP"),
        ("HTTP_X_ORIGINAL_URL", "X-Original-*"),
        ("HTTP_TRUE_CLIENT_IP", "True-Client-IP"),
        ("HTTP_CF_CONNECTING_IP", "CF-Connecting-IP"),
        ("HTTP_CF_IPCOUNTRY", "CF-*"),
        ("HTTP_FASTLY_CLIENT_IP", "Fastly-Client-IP"),
        ("HTTP_FLY_CLIENT_IP", "Fly-Client-IP"),
        ("HTTP_X_ENVOY_EXTERNAL_ADDRESS", "X-Envoy-*"),
    ],
)
@pytest.mark.parametrize("value", ["", "127.0.0.1"])
def test_any_forwarding_header_refuses_whatever_it_says(key: str, header: str, value: str) -> None:
    environ = {**DIRECT, key: value}

    assert refusing_rule(environ) == f"loopback:forwarded-header {header}"


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.255.255.254", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1"]
)
def test_loopback_peer(address: str) -> None:
    assert is_loopback_peer(address)


@pytest.mark.parametrize(
    "address",
    [
        None,
        "",
        "unix:",
        "localhost",
        "10.0.0.1",
        "128.0.0.1",
        "0.0.0.0",
        "::",
        "::2",
        "::ffff:10.0.0.1",
        "127.0.0.1 ",
        "127.0.0.1:80",
        "127.1",
        "2130706433",
        "127.0.0.1, 10.0.0.1",
        "[::1]",
        "\xff",
    ],
)
def test_no_loopback_peer(address: str | None) -> None:
    assert not is_loopback_peer(address)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost:5000",
        "localhost.",
        "localhost.:5000",
        "app.localhost",
        "a.b-c.localhost:5000",
        "127.0.0.1",
        "127.0.0.1:5000",
        "127.8.9.10:80",
        "[::1]",
        "[::1]:5000",
        "[0:0:0:0:0:0:0:1]:5000",
    ],
)
def test_loopback_host(host: str) -> None:
    assert is_loopback_host(host)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        ":5000",
        ".localhost",
        "localhost..",
        "a..localhost",
        "notlocalhost",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1.nip.io",
        "evil.example",
        "localhost,evil.example",
        "localhost evil.example",
        "localhost\n",
        " localhost",
        "user@localhost",
        "localhost:port",
        "localhost:٣",
        "localhost:",
        "localhost:123456",
        "localhost/",
        "0.0.0.0",
        "128.0.0.1",
        "127.1",
        "::1",
        "[::1",
        "[::2]",
        "[::1%eth0]",
        "[localhost]",
        "[]",
        "loca\N{LATIN SMALL LETTER LONG S}host",
        "\xff",
    ],
)
def test_no_loopback_host(host: str | None) -> None:
    assert not is_loopback_host(host)


def test_a_rebound_name_is_refused_though_the_browser_calls_it_same_origin() -> None:
    environ = {
        **DIRECT,
        "HTTP_HOST": "rebind.evil.example:8011",
        "HTTP_ORIGIN": "http://rebind.evil.example:8011",
        "HTTP_SEC_FETCH_SITE": "same-origin",
    }

    assert decide(gate(), environ, debug=True).rule == "loopback:host"


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        ({"HTTP_SEC_FETCH_SITE": "none"}, None),
        ({"HTTP_SEC_FETCH_SITE": "same-origin"}, None),
        ({"HTTP_SEC_FETCH_SITE": "same-site"}, "loopback:sec-fetch-site"),
        ({"HTTP_SEC_FETCH_SITE": "cross-site"}, "loopback:sec-fetch-site"),
        ({"HTTP_SEC_FETCH_SITE": ""}, "loopback:sec-fetch-site"),
        ({"HTTP_ORIGIN": "http://127.0.0.1:8011"}, None),
        ({"HTTP_ORIGIN": "HTTP://127.0.0.1:8011"}, None),
        ({"HTTP_ORIGIN": "http://127.0.0.1:3000"}, "loopback:origin"),
        ({"HTTP_ORIGIN": "http://localhost:8011"}, "loopback:origin"),
        ({"HTTP_ORIGIN": "ftp://127.0.0.1:8011"}, "loopback:origin"),
        ({"HTTP_ORIGIN": "127.0.0.1:8011"}, "loopback:origin"),
        ({"HTTP_ORIGIN": "null"}, "loopback:origin"),
        ({"HTTP_ORIGIN": ""}, "loopback:origin"),
        ({"HTTP_ORIGIN": "\xff://\xff"}, "loopback:origin"),
    ],
)
def test_other_sites_pages_are_refused_on_loopback(more: Environ, rule: str | None) -> None:
    assert refusing_rule({**DIRECT, **more}) == rule
