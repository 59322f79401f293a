"""Milliseconds to redact texts made to be hard: what one that hangs would do to a page."""

from __future__ import annotations

from time import perf_counter

from flask_expvar.redaction import MAX_LENGTH, redact_text

from .contest import Samples, serve

SIZE = 2**20
#: Beginnings of secrets that never come, and what is tried most often.
UNITS = (
    "a", "a=", "a.", "key=;", '"key":', "//", "http://a@", "?a&", "eyJ", "sk-", "pypi-",
    "-----BEGIN ", "--password ", "x-a-a-a-a-", " x-a", "token: a", "4111 ", "[", " ", "\ud800",
)  # fmt: skip


def sample() -> Samples:
    """Redact a mebibyte in one text, which is cut first, and in as many as that takes uncut."""
    whole = [unit * (SIZE // len(unit)) for unit in UNITS]
    pieces = [text[:MAX_LENGTH] for text in whole]
    return {"text": max(map(_took, whole)), "piece": max(map(_took, pieces))}


def _took(text: str) -> float:
    began = perf_counter()
    redact_text(text)
    return 1e3 * (perf_counter() - began)


if __name__ == "__main__":
    serve({"sample": sample})
