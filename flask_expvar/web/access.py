"""The gate: who may look at the pages, decided on the raw WSGI environ before any work."""

from __future__ import annotations

import hmac
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from werkzeug.http import parse_cookie

from ..settings import MAKE_A_TOKEN, Settings
from .attempts import Attempts
from .decision import Decision, Level
from .headers import text_of
from .loopback import refusing_rule
from .origins import is_foreign
from .passwords import Passwords, sent_pair
from .refusals import RefusalLog
from .tickets import COOKIE, Tickets

_HINTS = {
    "token": "send the header 'Authorization: Bearer <token>' with one of EXPVAR_TOKEN",
    "basic": "send a user of EXPVAR_BASIC and the password",
    "cookie": "log in again: the cookie is too old, or what it was given for was taken out",
    "attempts": "somebody tries tokens or passwords; the right token is let in all the same",
    "decorator": "a decorator of blueprint() lets through whom it likes",
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
    :param tickets: what browsers that have logged in show; None where they cannot.
    :param decorated: whether decorators have decided already who comes this far.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        process_environ: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
        tickets: Tickets | None = None,
        decorated: bool = False,
    ) -> None:
        self._access = settings.access
        self._tokens = tuple(token.encode() for token in settings.tokens)
        self._passwords = Passwords(settings.basic)
        self._attempts = Attempts(clock)
        self._decorated = decorated
        self.tickets = tickets
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
        return decision if decision.admitted else self._logged(decision)

    def _decide(
        self,
        environ: Mapping[str, Any],
        request: Callable[[], Any] | None,
        debug: bool,
        testing: bool,
    ) -> Decision:
        access = self._access
        if self._decorated:
            return _refused("cross-site") if is_foreign(environ) else _admitted("decorator")
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

    @property
    def identifies(self) -> bool:
        """Whether there is something to identify by: a token, or a user and a password."""
        by_rule = not self._decorated and self._access in ("auto", "loopback")
        return by_rule and bool(self._tokens or self._passwords)

    @property
    def has_tokens(self) -> bool:
        """Whether a token is configured."""
        return bool(self._tokens)

    @property
    def has_users(self) -> bool:
        """Whether users and passwords are configured."""
        return bool(self._passwords)

    def _auto(self, environ: Mapping[str, Any], debug: bool) -> Decision:
        if self.identifies:
            return self._identified(environ) or self._unidentified(environ)
        if not debug:
            return _refused("auto:not-debug")
        if not (text_of(environ, "SERVER_SOFTWARE") or "").startswith("Werkzeug/"):
            return _refused("auto:not-dev-server")
        rule = refusing_rule(environ)
        return _refused(rule) if rule else _admitted("auto:dev-server")

    def _loopback(self, environ: Mapping[str, Any]) -> Decision:
        if decision := self._identified(environ):
            return decision
        rule = refusing_rule(environ)
        if rule is None:
            return _admitted("loopback")
        # With a token the client has a way in, so it is told to show one.
        return self._unidentified(environ, rule) if self.identifies else _refused(rule)

    def _open(self, environ: Mapping[str, Any], trial: bool) -> Decision:
        # PYTEST_VERSION is there all the time since pytest 8.2, the other during a test.
        marks = ("PYTEST_VERSION", "PYTEST_CURRENT_TEST")
        if not trial and not any(mark in self._process_environ for mark in marks):
            return _refused("open:not-a-test")
        return _refused("cross-site") if is_foreign(environ) else _admitted("open")

    def _identified(self, environ: Mapping[str, Any]) -> Decision | None:
        """Admit who shows what is configured; None if nothing right was shown.

        The level is ACT: this is for operators, and ``EXPVAR_ACTIONS`` is empty until they say
        otherwise.
        """
        header = text_of(environ, "HTTP_AUTHORIZATION") or ""
        who = self.holder(_bearer(environ))
        if who:
            return _admitted("token", who=who)  # whatever page asks: no browser adds it
        pair = sent_pair(header)
        if pair is not None and self._passwords and (user := self._user(*pair, environ)):
            rule = "basic"
        elif header or not (user := self._holder_of_cookie(environ)):
            return None
        else:
            rule = "cookie"
        # Browsers add these by themselves.
        return _refused("cross-site") if is_foreign(environ) else _admitted(rule, who=user)

    def holder(self, token: bytes) -> str:
        """Return which token this is, empty if it is none."""
        # Every token is compared, on bytes: the time tells neither which one nor how far.
        matches = [hmac.compare_digest(each, token) for each in self._tokens]
        return f"token {matches.index(True) + 1}" if token and any(matches) else ""

    def _user(self, user: str, password: str, environ: Mapping[str, Any]) -> str:
        if not self._passwords.knows(user, password) and self._attempts.wait(_peer(environ)):
            return ""  # no work for who guesses
        return f"user {user}" if self._passwords.check(user, password) else ""

    def _holder_of_cookie(self, environ: Mapping[str, Any]) -> str:
        if self.tickets is None or COOKIE not in (text_of(environ, "HTTP_COOKIE") or ""):
            return ""
        try:
            shown = parse_cookie(text_of(environ, "HTTP_COOKIE") or "").getlist(COOKIE)
        except Exception:  # what is no header of cookies
            return ""
        found = (self.tickets.who(each) for each in shown[:8])
        return next(filter(None, found), "")

    def log_in(self, token: str, user: str, password: str, environ: Mapping[str, Any]) -> Decision:
        """Say who may have a cookie: the *who* of the decision if it admits."""
        who = self.holder(token.encode("utf-8", "surrogatepass")) if token else ""
        if not who and user and self._passwords:
            who = self._user(user, password, environ)
        if who:
            return _admitted("login", who=who)
        return self._logged(self._failed("token:wrong" if token else "basic:wrong", environ))

    def _unidentified(self, environ: Mapping[str, Any], rule: str = "") -> Decision:
        pair = sent_pair(text_of(environ, "HTTP_AUTHORIZATION") or "") if self._passwords else None
        if not (pair or _bearer(environ)):
            has_cookie = COOKIE in (text_of(environ, "HTTP_COOKIE") or "")
            missing = "cookie:no-good" if has_cookie and self.tickets else "token:missing"
            return self._refused(rule or missing, 401)
        return self._failed("basic:wrong" if pair else "token:wrong", environ)

    def _failed(self, rule: str, environ: Mapping[str, Any]) -> Decision:
        peer = _peer(environ)
        wait = self._attempts.wait(peer)
        if wait:
            return self._refused("attempts:too-many", 429, wait)
        self._attempts.fail(peer)
        return self._refused(rule, 401)

    def _refused(self, rule: str, status: int, wait: int = 0) -> Decision:
        hint = _HINTS[rule.partition(":")[0]]
        return Decision(Level.NONE, status, rule, hint, wait=wait, basic=bool(self._passwords))

    def _logged(self, decision: Decision) -> Decision:
        self._log.add(decision.status, decision.rule, decision.hint)
        return decision


def _peer(environ: Mapping[str, Any]) -> str:
    return (text_of(environ, "REMOTE_ADDR") or "")[:64]


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


def _admitted(rule: str, level: Level = Level.ACT, who: str = "") -> Decision:
    return Decision(level, 200, rule, who=who)


def _refused(rule: str, status: int = 403, hint: str = "") -> Decision:
    return Decision(Level.NONE, status, rule, hint or _HINTS[rule.partition(":")[0]])
