"""Origins: what pages of other sites may make a browser ask."""

from __future__ import annotations

import pytest
from gates import Environ, decide, gate

from flask_expvar.web.origins import is_foreign

NAVIGATION = {"HTTP_SEC_FETCH_MODE": "navigate", "HTTP_SEC_FETCH_DEST": "document"}


@pytest.mark.parametrize(
    ("method", "more", "foreign"),
    [
        ("GET", {}, False),
        ("GET", {"HTTP_SEC_FETCH_SITE": "none"}, False),
        ("GET", {"HTTP_SEC_FETCH_SITE": "same-origin"}, False),
        ("GET", {"HTTP_SEC_FETCH_SITE": "cross-site"}, True),
        ("GET", {"HTTP_SEC_FETCH_SITE": "same-site"}, True),
        ("GET", {"HTTP_SEC_FETCH_SITE": "else"}, True),
        ("GET", {"HTTP_SEC_FETCH_SITE": "cross-site", **NAVIGATION}, False),
        ("HEAD", {"HTTP_SEC_FETCH_SITE": "same-site", **NAVIGATION}, False),
        (
            "GET",
            {"HTTP_SEC_FETCH_SITE": "cross-site", **NAVIGATION, "HTTP_SEC_FETCH_DEST": "iframe"},
            True,
        ),
        ("GET", {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_SEC_FETCH_MODE": "navigate"}, True),
        ("GET", {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_SEC_FETCH_MODE": "no-cors"}, True),
        ("POST", {}, False),
        ("POST", {"HTTP_SEC_FETCH_SITE": "same-origin"}, False),
        ("POST", {"HTTP_SEC_FETCH_SITE": "cross-site", **NAVIGATION}, True),
        ("POST", {"HTTP_HOST": "a.org", "HTTP_ORIGIN": "https://a.org"}, False),
        ("POST", {"HTTP_HOST": "a.org", "HTTP_ORIGIN": "https://b.org"}, True),
        ("POST", {"HTTP_HOST": "a.org", "HTTP_ORIGIN": "null"}, True),
    ],
)
def test_pages_of_other_sites_are_refused_by_open_and_callable(
    method: str, more: Environ, foreign: bool
) -> None:
    environ = {"REQUEST_METHOD": method, **more}
    called = []

    def rule(request: object) -> bool:
        called.append(request)
        return True

    by_open = decide(gate("open"), environ, testing=True)
    by_callable = decide(gate(rule), environ)

    expected = "cross-site" if foreign else None
    assert by_open.rule == (expected or "open")
    assert by_callable.rule == (expected or "callable")
    assert bool(called) is not foreign


def test_a_link_from_elsewhere_may_start_no_work() -> None:
    environ = {"REQUEST_METHOD": "GET", "HTTP_SEC_FETCH_SITE": "cross-site", **NAVIGATION}

    assert is_foreign(environ, navigation=False)
    assert not is_foreign({"REQUEST_METHOD": "GET"}, navigation=False)
