"""Passwords: what HTTP's basic authentication sends, against hashes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Sequence

from werkzeug.security import check_password_hash

#: A longer one is not looked at: hashing it would be work for strangers.
LONGEST = 1024


class Passwords:
    """The users who may come, by name, and the hashes of their passwords.

    To check one takes as long as it shall take whoever has stolen the hashes, 50 ms and more.
    So what was right once is remembered, under a key that this process alone has.
    """

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._hashes = dict(pairs)
        self._key = os.urandom(32)
        self._right: set[bytes] = set()

    def __bool__(self) -> bool:
        return bool(self._hashes)

    def knows(self, user: str, password: str) -> bool:
        """Tell whether the two were right already: that takes no work."""
        return self._mark(user, password) in self._right

    def check(self, user: str, password: str) -> bool:
        """Tell whether *password* is that of *user*. Never raises."""
        if len(password) > LONGEST or len(user) > LONGEST:
            return False
        if self.knows(user, password):
            return True
        # An unknown name takes as long: who is there is nobody's business.
        hash_ = self._hashes.get(user) or next(iter(self._hashes.values()))
        try:
            right = check_password_hash(hash_, password) and user in self._hashes
        except Exception:  # a method that this Python cannot do
            return False
        if right and len(self._right) < 1000:
            self._right.add(self._mark(user, password))
        return right

    def hash_of(self, user: str) -> str:
        """Return the hash of *user*, empty if there is none."""
        return self._hashes.get(user, "")

    def _mark(self, user: str, password: str) -> bytes:
        text = f"{len(user)}:{user}{password}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, text, hashlib.sha256)


def sent_pair(header: str) -> tuple[str, str] | None:
    """Return user and password of a header ``Authorization: Basic …``, None if it is none."""
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(text.strip().encode("ascii"), validate=True).decode()
    except (ValueError, binascii.Error):
        return None
    user, colon, password = decoded.partition(":")
    return (user, password) if colon else None
