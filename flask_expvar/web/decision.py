"""Decision: what a request may do, and what a refused one is told."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

# All that a refused client is told: nothing of the rule that refused it.
DENIED = "You may not look at this page."
UNIDENTIFIED = "This page wants to know who is asking."
TOO_MANY = "Too many wrong tokens or passwords came from here; wait a minute."

CHALLENGE = 'Bearer realm="expvar"'
BASIC_CHALLENGE = 'Basic realm="expvar", charset="UTF-8"'


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

    *rule*, *hint*, how to open, and *who* are for the log; the client gets *sentence* and
    *headers*.

    :param wait: for how many seconds the client has to wait before it tries again.
    :param basic: whether the client may send a user and a password.
    """

    level: Level
    status: int
    rule: str
    hint: str = ""
    who: str = ""
    wait: int = 0
    basic: bool = False

    @property
    def admitted(self) -> bool:
        """Whether the request may see anything at all."""
        return self.level > Level.NONE

    @property
    def sentence(self) -> str:
        """The one constant sentence that a refused client gets; empty if it is admitted."""
        return {401: UNIDENTIFIED, 403: DENIED, 429: TOO_MANY}.get(self.status, "")

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers that the answer must carry."""
        found = []
        if self.status == 401:
            found.append(("WWW-Authenticate", CHALLENGE))
            if self.basic:
                found.append(("WWW-Authenticate", BASIC_CHALLENGE))
        if self.wait:
            found.append(("Retry-After", str(self.wait)))
        return found
