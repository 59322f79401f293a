"""Answers: the headers that each one has, and to whom it goes."""

from __future__ import annotations

from flask import Response, request

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Robots-Tag": "noindex",
}
PLAIN = "text/plain; charset=utf-8"
READING = "GET, HEAD"
TITLES = {
    400: "Bad request", 403: "Forbidden", 404: "Not found", 405: "Not allowed", 409: "Conflict",
    411: "No length", 413: "Too long", 429: "Too many tries", 501: "Not possible here",
    503: "Not now",
}  # fmt: skip


class Problem(Exception):
    """Raised by a view that answers with a sentence: one for HTML and for text."""

    def __init__(self, status: int, sentence: str, **headers: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def is_browser() -> bool:
    """Tell whether the request asks for HTML by name, and not rather for JSON."""
    accepted = request.accept_mimetypes
    html = accepted["text/html"]
    return (
        html > 0
        and any(value == "text/html" for value, _ in accepted)
        and (html >= accepted["application/json"] or "application/json" not in accepted.values())
    )


def plain(status: int, sentence: str) -> Response:
    """Return one sentence as text."""
    return Response(sentence + "\n", status=status, content_type=PLAIN)


def signed(response: Response) -> Response:
    """Return *response* with the headers that it does not set itself."""
    for key, value in HEADERS.items():
        response.headers.setdefault(key, value)
    response.headers.setdefault("Cache-Control", "no-store")
    response.vary.add("Accept")
    return response
