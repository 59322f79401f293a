"""Gates and environs for the tests of who may look."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask_expvar.settings import Settings
from flask_expvar.web.access import Gate
from flask_expvar.web.decision import Decision

TOKEN = "kQ3-x8_ZpL0vWm2T"
OLD_TOKEN = "old-token-of-last-month"
PYTEST = {"PYTEST_VERSION": "8.2"}

Environ = dict[str, Any]

DIRECT: Environ = {
    "REQUEST_METHOD": "GET",
    "SERVER_SOFTWARE": "Werkzeug/3.1.9",
    "REMOTE_ADDR": "127.0.0.1",
    "HTTP_HOST": "127.0.0.1:8011",
}


class FakeClock:
    """A clock that stands until it is told to go on."""

    def __init__(self) -> None:
        self.now = 1000.3

    def __call__(self) -> float:
        return self.now


def gate(
    access: str | Callable[[Any], Any] = "auto",
    *tokens: str,
    clock: Callable[[], float] | None = None,
    marks: Mapping[str, str] | None = None,
) -> Gate:
    settings = Settings(access=access, tokens=tokens)
    return Gate(settings, process_environ=marks or {}, clock=clock or FakeClock())


def decide(gate: Gate, environ: Environ, *, debug: bool = False, testing: bool = False) -> Decision:
    return gate.decide(environ, request=lambda: "request", debug=debug, testing=testing)


def bearer(token: str) -> Environ:
    return {"REQUEST_METHOD": "GET", "HTTP_AUTHORIZATION": f"Bearer {token}"}


def boom(request: object) -> bool:
    raise LookupError(f"no such header: {TOKEN}")
