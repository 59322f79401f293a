"""Login: a token, a password or a link is exchanged for a cookie."""

from __future__ import annotations

import re
import secrets
from typing import Any

from flask import Response, request

from ..exceptions import ParameterError
from ..variables.registry import Registry
from ..workers.membership import membership
from .access import Gate
from .answers import plain
from .decision import DENIED, Decision
from .files import render
from .origins import is_foreign
from .tickets import COOKIE, LASTING, LINK_LASTING

#: A form is short.
LONGEST_FORM = 10_000
NO_KEY = (
    "Cookies are signed with the application's SECRET_KEY, and it has none. Set it, or send a"
    " token in the header Authorization."
)
BAD_LINK = (
    "This link is no good any more: it lasts 120 seconds and works once. Make another with"
    " flask expvar login-url."
)
#: Where to go after the login: a page below the mount, never another site.
_NEXT = re.compile(r"[A-Za-z0-9_-][\w.-]*(?:/[\w.-]+)*(?:\?[^\s\\#]*)?", re.ASCII)


class Login:
    """The form, and what it is sent to."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def answer(self, gate: Gate) -> Response:
        """Answer a request for the form, or with it."""
        if not gate.identifies:
            return plain(403, DENIED)
        if gate.tickets is None:
            return plain(501, NO_KEY)
        if request.method in ("GET", "HEAD"):
            # A link that is only looked at is not used up: scanners of mails look at all.
            return self.form(200, gate, link=request.args.get("ticket", ""))
        if request.method != "POST":
            response = plain(405, "Only GET, HEAD and POST are allowed here.")
            response.headers["Allow"] = "GET, HEAD, POST"
            return response
        return self._log_in(gate)

    def form(
        self, status: int, gate: Gate, *, problem: str = "", link: str = "", base: str = "",
        next: str = "",
    ) -> Response:  # fmt: skip
        """Return the form."""
        body = render(
            "login", problem=problem, link=link, base=base, user=gate.has_users,
            token=gate.has_tokens, next=next or request.args.get("next", ""),
        )  # fmt: skip
        return Response(body, status=status, mimetype="text/html")

    def _log_in(self, gate: Gate) -> Response:
        if is_foreign(request.environ):
            return plain(403, DENIED)
        if not 0 < (request.content_length or 0) <= LONGEST_FORM:
            return plain(413, f"A form of at most {LONGEST_FORM} bytes is allowed here.")
        form = request.form
        if form.get("ticket"):
            who = self._who_has_link(gate, form["ticket"])
            if not who:
                return self.form(403, gate, problem=BAD_LINK)
        else:
            token, user, password = (form.get(key, "") for key in ("token", "user", "password"))
            decision = gate.log_in(token.strip(), user, password, request.environ)
            if not decision.admitted:
                return self._again(gate, decision, form.get("next", ""))
            who = decision.who
        return self._admit(gate, who, form.get("next", ""))

    def _again(self, gate: Gate, decision: Decision, next: str) -> Response:
        problem = decision.sentence if decision.wait else "That was not right."
        response = self.form(429 if decision.wait else 403, gate, problem=problem, next=next)
        if decision.wait:
            response.headers["Retry-After"] = str(decision.wait)
        return response

    def _who_has_link(self, gate: Gate, link: str) -> str:
        assert gate.tickets is not None
        number = gate.tickets.number(link)
        if number is None or not membership(self._registry).spend(number, LINK_LASTING):
            return ""
        return "link"

    def _admit(self, gate: Gate, who: str, next: str) -> Response:
        assert gate.tickets is not None
        response = plain(303, "You are logged in.")
        response.headers["Location"] = next if _NEXT.fullmatch(next) else "./"
        self._set(response, gate.tickets.cookie(who), LASTING)
        return response

    def log_out(self) -> Response:
        """Take the cookie away."""
        if request.method != "POST" or is_foreign(request.environ):
            response = plain(405, "Only POST is allowed here.")
            response.headers["Allow"] = "POST"
            return response
        response = plain(303, "You are logged out.")
        response.headers["Location"] = "login"
        self._set(response, "", 0)
        return response

    def _set(self, response: Response, value: str, seconds: int) -> None:
        mount = f"{request.root_path}{request.path}".rpartition("/")[0]
        response.set_cookie(
            COOKIE, value, max_age=seconds, path=f"{mount}/", secure=request.is_secure,
            httponly=True, samesite="Strict",
        )  # fmt: skip


def new_number() -> str:
    """Return a number for a link that nobody can guess."""
    return secrets.token_hex(16)


def level_parameter(given: Any) -> bool:
    """Tell whether the URL asks for less than it may see: ``sensitive=0``.

    :raises ParameterError: if it is neither 0 nor 1.
    """
    value = given.get("sensitive", "1")
    if value not in ("0", "1"):
        raise ParameterError("sensitive", value, "0 or 1; it shows no more than you may see")
    return bool(value == "0")
