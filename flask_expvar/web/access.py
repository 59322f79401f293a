"""The gate: who may look at the pages, decided on the raw WSGI environ before any work."""

from __future__ import annotations

import hmac
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from ..settings import MAKE_A_TOKEN, Settings
from .headers import text_of
from .loopback import refusing_rule
from .origins import is_foreign
from .refusals import RefusalLog

# All that a refused client is told: nothing of the rule that refused it.
DENIED = "You may not look at this page."
UNIDENTIFIED = "This page wants to know who is asking."

CHALLENGE = 'Bearer realm="expvar"'


class Level(IntEnum):
    """What a request may do; each level includes those below it.

    READ hides exception messages, raw paths and sensitive events, SENSITIVE shows them, ACT may
    also use the actions that ``EXPVAR_ACTIONS`` names.
    """

    NONE = 0
    READ = 1
    SENSITIVE = 2
    ACT = 3


@dataclass(frozen=True)
class Decision:
    """The gate's answer for one request: what it may do, and which rule says so.

    *rule* and *hint*, how to open, are for the log; the client gets *sentence* and *headers*.
    """

    level: Level
    status: int
    rule: str
    hint: str = ""

    @property
    def admitted(self) -> bool:
        """Whether the request may see anything at all."""
        return self.level > Level.NONE

    @property
    def sentence(self) -> str:
        """The one constant sentence that a refused client gets; empty if it is admitted."""
        return {401: UNIDENTIFIED, 403: DENIED}.get(self.status, "")

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers that the answer must carry."""
        return [("WWW-Authenticate", CHALLENGE)] if self.status == 401 else []


_HINTS = {
    "token": "send the header 'Authorization: Bearer <token>' with one of EXPVAR_TOKEN",
    "auto": f"set EXPVAR_TOKEN (make one with: {MAKE_A_TOKEN}), or set EXPVAR_ACCESS to a"
    " callable, or run 'flask run --debug' and ask from this machine",
    "loopback": "ask the server itself from its own machine, at 127.0.0.1 or through"
    " 'ssh -L', or set EXPVAR_TOKEN",
    "listener": "EXPVAR_ACCESS is 'listener': ask at EXPVAR_MONITORING_ADDRESS",
    "open": "EXPVAR_ACCESS = 'open' is for tests and demos: it needs app.testing, app.debug or"
    " pytest; set EXPVAR_TOKEN and EXPVAR_ACCESS = 'auto' instead",
    "callable": "EXPVAR_ACCESS is a callable, and it alone decides",
    "cross-site": "a page of another site asked; follow a link or type the address instead",
    "unknown": "make the settings with Settings.load(), which checks EXPVAR_ACCESS",
}


class Gate:
    """Decides who may look, by the settings of one app.

    It reads the environ alone, so it can stand before routing and costs microseconds; only a
    callable rule gets a request object, made when it is needed. It never raises: what it does
    not understand it refuses. Safe to share between threads and across a fork.

    :param process_environ: the environment variables of the process, in which pytest leaves
        its mark; only ``EXPVAR_ACCESS = "open"`` looks there.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        process_environ: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._access = settings.access
        self._tokens = tuple(token.encode() for token in settings.tokens)
        self._process_environ = process_environ
        self._log = RefusalLog(clock)

    def decide(
        self,
        environ: Mapping[str, Any],
        *,
        request: Callable[[], Any] | None = None,
        debug: bool,
        testing: bool,
    ) -> Decision:
        """Say what the request of *environ* may do, and log it if that is nothing.

        :param request: makes the object that a callable rule is given.
        :param debug: whether the app is in debug mode.
        :param testing: whether the app is being tested.
        """
        decision = self._decide(environ, request, debug, testing)
        if not decision.admitted:
            self._log.add(decision.status, decision.rule, decision.hint)
        return decision

    def _decide(
        self,
        environ: Mapping[str, Any],
        request: Callable[[], Any] | None,
        debug: bool,
        testing: bool,
    ) -> Decision:
        access = self._access
        if callable(access):
            return _ask(access, environ, request)
        if access == "auto":
            return self._auto(environ, debug)
        if access == "loopback":
            return self._loopback(environ)
        if access == "open":
            return self._open(environ, debug or testing)
        # The listener's own gate admits there. Nothing in an environ may: if a mark is ever
        # needed, it must be the listener object itself, which no proxy can send.
        return _refused("listener:own-port" if access == "listener" else "unknown:access")

    def _auto(self, environ: Mapping[str, Any], debug: bool) -> Decision:
        if self._tokens:
            return self._token(environ) or self._unidentified(environ)
        if not debug:
            return _refused("auto:not-debug")
        if not (text_of(environ, "SERVER_SOFTWARE") or "").startswith("Werkzeug/"):
            return _refused("auto:not-dev-server")
        rule = refusing_rule(environ)
        return _refused(rule) if rule else _admitted("auto:dev-server")

    def _loopback(self, environ: Mapping[str, Any]) -> Decision:
        if decision := self._token(environ):
            return decision
        rule = refusing_rule(environ)
        if rule is None:
            return _admitted("loopback")
        # With a token the client has a way in, so it is told to show one.
        return _refused(rule, 401 if self._tokens else 403)

    def _open(self, environ: Mapping[str, Any], trial: bool) -> Decision:
        # PYTEST_VERSION is there all the time since pytest 8.2, the other during a test.
        marks = ("PYTEST_VERSION", "PYTEST_CURRENT_TEST")
        if not trial and not any(mark in self._process_environ for mark in marks):
            return _refused("open:not-a-test")
        return _refused("cross-site") if is_foreign(environ) else _admitted("open")

    def _token(self, environ: Mapping[str, Any]) -> Decision | None:
        """Admit the bearer of a configured token, whatever page asks: no browser adds it.

        The level is ACT: a token is for operators, and ``EXPVAR_ACTIONS`` is empty until they
        say otherwise.
        """
        sent = _bearer(environ)
        if not sent:
            return None
        # Every token is compared, on bytes: the time tells neither which one nor how far.
        matches = [hmac.compare_digest(token, sent) for token in self._tokens]
        return _admitted("token") if any(matches) else None

    def _unidentified(self, environ: Mapping[str, Any]) -> Decision:
        return _refused("token:wrong" if _bearer(environ) else "token:missing", 401)


def _bearer(environ: Mapping[str, Any]) -> bytes:
    """Return the token that the client sent; empty if there is none."""
    scheme, _, token = (text_of(environ, "HTTP_AUTHORIZATION") or "").partition(" ")
    if scheme.lower() != "bearer":
        return b""
    # The encoding does not matter to tokens of ASCII, as long as it takes any text.
    return token.strip(" \t").encode("utf-8", "surrogatepass")


def _ask(
    rule: Callable[[Any], Any],
    environ: Mapping[str, Any],
    request: Callable[[], Any] | None,
) -> Decision:
    """Let the callable *rule* decide: True is ACT, False and None nothing, or a Level.

    Anything else is refused, an int or a response too: a rule that answers in another
    language must not open by being truthy.
    """
    if is_foreign(environ):
        return _refused("cross-site")
    if request is None:
        return _refused("callable:no-request")
    try:
        level = _level(rule(request()))
    except _BadAnswerError as bad:
        return _refused(f"callable:returned {bad}", hint="return a bool or a Level")
    except Exception as error:
        # Not the message, which may quote a header: type and place are enough to find it.
        name = f"callable:raised {type(error).__name__}"
        return _refused(name, hint=f"repair the callable of EXPVAR_ACCESS: {_place(error)}")
    return _admitted("callable", level) if level > Level.NONE else _refused("callable:refused")


class _BadAnswerError(Exception):
    """Raised when a callable rule answers with something else than a bool or a Level."""


def _level(answer: object) -> Level:
    if answer is None:
        return Level.NONE
    if isinstance(answer, Level):
        return answer
    # Not `is True`: a werkzeug LocalProxy of a bool is a good answer as well.
    if isinstance(answer, bool):
        return Level.ACT if answer else Level.NONE
    raise _BadAnswerError(type(answer).__name__)


def _place(error: Exception) -> str:
    """Return the calls that led to *error*, without any value and without reading a file."""
    calls = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    # The first is our own. Of a deep stack the innermost calls say most.
    steps = [f"{code.co_filename}:{line} in {code.co_name}" for code, line in calls[1:][-8:]]
    return " > ".join(steps) or "it cannot be called with one argument"


def _admitted(rule: str, level: Level = Level.ACT) -> Decision:
    return Decision(level, 200, rule)


def _refused(rule: str, status: int = 403, hint: str = "") -> Decision:
    return Decision(Level.NONE, status, rule, hint or _HINTS[rule.partition(":")[0]])


def startup_warnings(settings: Settings) -> list[str]:
    """Say what is risky or useless in *settings*, each as one line for the log at start-up."""
    warnings = []
    if settings.access == "loopback":
        warnings.append(
            "EXPVAR_ACCESS is 'loopback': whoever seems to ask from this machine may look. A"
            " proxy on this machine makes everybody seem so: with nginx and a bare 'proxy_pass"
            " http://127.0.0.1:8000' the whole internet sees these pages. Behind a proxy use"
            " EXPVAR_TOKEN with EXPVAR_ACCESS = 'auto', or EXPVAR_MONITORING_ADDRESS."
        )
    if settings.access == "open":
        warnings.append(
            "EXPVAR_ACCESS is 'open': everybody who reaches this server may look, as long as"
            " the app is tested, in debug mode or run by pytest; otherwise nobody may."
        )
    if settings.access == "listener" and settings.monitoring_address is None:
        warnings.append(
            "EXPVAR_ACCESS is 'listener' without EXPVAR_MONITORING_ADDRESS: nobody may look."
            " Set it, for example to '127.0.0.1:1099'."
        )
    return warnings
