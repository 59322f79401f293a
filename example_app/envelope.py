"""Messages on their way: an item of the queue, its recipients, and how a delivery can end."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

PENDING, SENT, FAILED = "PENDING", "SENT", "FAILED"
#: The kinds of recipients, by the names that chasquid counts them under.
PIPE, LOCAL, REMOTE = "pipe", "email:local", "email:remote"

# Strangers choose addresses, and they become names of files and headers: only what cannot hurt.
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,250})")

#: Who sends what must not be answered.
NOBODY = "<>"


class TemporaryError(Exception):
    """Raised when a delivery failed, and may succeed later."""


class PermanentError(Exception):
    """Raised when a delivery failed for good."""


@dataclass
class Recipient:
    """One of those who a message is for; the address of a pipe is its command."""

    address: str
    type: str
    original: str = ""
    status: str = PENDING
    last_failure: str = ""


@dataclass
class Item:
    """A message in the queue."""

    id: str
    sender: str
    data: bytes
    created: float
    attempts: int = 0
    next_attempt: float = 0.0
    recipients: list[Recipient] = field(default_factory=list)

    def with_status(self, status: str) -> list[Recipient]:
        """Return the recipients of one *status*."""
        return [each for each in self.recipients if each.status == status]


def is_address(text: str) -> bool:
    """Say whether *text* is an address that the relay takes."""
    return _ADDRESS.fullmatch(text) is not None and ".." not in text


def domain_of(address: str) -> str:
    """Return what stands behind the ``@``, in small letters."""
    return address.rpartition("@")[2].lower()
