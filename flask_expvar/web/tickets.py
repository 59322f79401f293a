"""Tickets: what a browser shows instead of a token, signed with the application's key."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer

from ..settings import Settings

#: The name of the cookie, how long it lasts, and how long a link to log in does, in seconds.
COOKIE, LASTING, LINK_LASTING = "expvar", 12 * 3600, 120


class Tickets:
    """Makes and reads tickets of one application; each ends when what it was given for does.

    A ticket holds a fingerprint of the token, or of the hash of the password, that it was given
    for, keyed with the application's key: taken out of the settings, it admits no more. A link is
    given for all of them together.

    :param secrets: the keys of the application, of which the last one signs, as Flask has them.
    """

    def __init__(self, secrets: list[Any], settings: Settings) -> None:
        self._cookies = URLSafeTimedSerializer(secrets, salt="flask_expvar cookie")
        self._links = URLSafeTimedSerializer(secrets, salt="flask_expvar link")
        known = {f"token {at}": token for at, token in enumerate(settings.tokens, 1)}
        known |= {f"user {user}": f"{user}:{hash_}" for user, hash_ in settings.basic}
        everything = "\n".join(sorted(known.values()))
        self._marks = {who: _mark(secrets[-1], secret) for who, secret in known.items()}
        self._all = _mark(secrets[-1], everything)
        self._good = [_mark(key, each) for key in secrets for each in (everything, *known.values())]

    def cookie(self, who: str) -> str:
        """Return the text of a cookie for *who*, of whom ``token 1``, ``user ann`` are known."""
        return str(self._cookies.dumps([who, self._marks.get(who, self._all)]))

    def who(self, cookie: str) -> str | None:
        """Return who the cookie was given to, None if it admits nobody (any more)."""
        try:
            who, mark = self._cookies.loads(cookie, max_age=LASTING)
        except (BadData, ValueError, TypeError):
            return None
        if not isinstance(who, str) or not isinstance(mark, str):
            return None
        # Which token it was may have another place after a rotation.
        right = [hmac.compare_digest(each.encode(), mark.encode()) for each in self._good]
        return who if any(right) else None

    def link(self, number: str) -> str:
        """Return what a link to log in ends with; *number* tells it from all others."""
        return str(self._links.dumps([number, self._all]))

    def number(self, link: str) -> str | None:
        """Return the number of a link that is still good, None if it is not."""
        try:
            number, mark = self._links.loads(link, max_age=LINK_LASTING)
        except (BadData, ValueError, TypeError):
            return None
        right = isinstance(mark, str) and hmac.compare_digest(mark.encode(), self._all.encode())
        return number if right and isinstance(number, str) and number.isalnum() else None


def _mark(key: Any, secret: str) -> str:
    raw = key if isinstance(key, bytes) else str(key).encode()
    text = secret.encode("utf-8", "surrogatepass")
    return hmac.new(raw, b"flask_expvar:" + text, hashlib.sha256).hexdigest()[:32]


def keys_of(app: Any) -> list[Any]:
    """Return the keys of a Flask application, the one that signs last; empty without one."""
    fallbacks = app.config.get("SECRET_KEY_FALLBACKS") or []
    return [*fallbacks, app.secret_key] if app.secret_key else []
