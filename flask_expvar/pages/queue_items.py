"""Items of queues: what a source tells of them, and what of that may leave the process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from math import isfinite
from typing import Any

from ..redaction import HIDDEN
from .texts import clean, cost

PENDING, SENT, FAILED = "PENDING", "SENT", "FAILED"

#: Recipients of one item that are told of, and characters of one text.
MOST_RECIPIENTS, LONGEST = 50, 500
MOST_STATES = 20
#: The last second that a date can have.
_LAST = 253_402_300_799.0


@dataclass(frozen=True)
class Recipient:
    """One of those who an item of a queue is for, and how far that has got.

    :param status: ``PENDING``, ``SENT`` or ``FAILED``.
    :param type: such as ``EMAIL``, ``PIPE`` or ``FORWARD``.
    :param original: the address before aliases were resolved; *address* if it is empty.
    """

    address: str
    status: str = PENDING
    type: str = "EMAIL"
    original: str = ""
    last_failure: str = ""


@dataclass(frozen=True)
class QueueItem:
    """One item of a queue, as :func:`register_queue` wants it; a mapping of these names will do.

    What is not known stays empty and is not shown.

    :param created: seconds since the epoch, or a datetime.
    :param recipients: for work that several have to get, as mails have; else *status* and
        *last_failure* tell of the item itself.
    :param attempts: how often it has been tried.
    :param next_attempt: seconds since the epoch, or a datetime.
    :param summary: what it is, in a few words for everybody who may look: never what is in it.
    """

    id: str
    created: float | datetime | None = None
    sender: str = ""
    to: Sequence[str] = ()
    recipients: Sequence[Recipient | Mapping[str, Any]] = ()
    attempts: int | None = None
    next_attempt: float | datetime | None = None
    summary: str = ""
    status: str = ""
    last_failure: str = ""


class OddError(Exception):
    """Raised for what no source should return; the text says what it is."""


def created_of(item: Any) -> float | None:
    """Return when *item* was made, None if that cannot be told."""
    try:
        return _moment(item, "created")
    except Exception:
        return None


def tell(item: Any, now: float, sensitive: bool) -> dict[str, Any]:
    """Return *item* as plain data, without its secrets; *problem* says why nothing is told.

    :param sensitive: whether addresses and failures, which quote them, may be shown.
    """
    try:
        return _tell(item, now, sensitive)
    except OddError as error:
        problem = str(error)
    except Exception as error:  # a mapping or sequence of the program's own
        problem = f"it cannot be read: {type(error).__name__}"
    return {"id": "", "problem": clean(problem, 200), "recipients": []}


def _tell(item: Any, now: float, sensitive: bool) -> dict[str, Any]:
    if not isinstance(item, (QueueItem, Mapping)):
        raise OddError(f"it is of class {type(item).__name__}, neither QueueItem nor a mapping")
    created, later = _moment(item, "created"), _moment(item, "next_attempt")
    to, more = _some(_get(item, "to"), "to")
    recipients, others = _some(_get(item, "recipients"), "recipients")
    return {
        "id": _text(item, "id"),
        "created": created,
        "age": None if created is None else round(now - created, 3),
        "from": _personal(item, "sender" if _get(item, "sender") else "from", sensitive),
        "to": [_shown(each, "to", sensitive) for each in to],
        "toOf": len(to) + more,
        "summary": _text(item, "summary"),
        "status": _text(item, "status").upper()[:20],
        "lastFailure": _personal(item, "last_failure", sensitive),
        "attempts": _count(item, "attempts"),
        "nextAttempt": later,
        "nextIn": None if later is None else round(later - now, 3),
        "recipients": [_recipient(each, sensitive) for each in recipients],
        "recipientsOf": len(recipients) + others,
    }


def _recipient(each: Any, sensitive: bool) -> dict[str, Any]:
    if isinstance(each, str):
        each = Recipient(each)
    if not isinstance(each, (Recipient, Mapping)):
        raise OddError(f"a recipient is of class {type(each).__name__}")
    original = "original" if _get(each, "original") else "address"
    return {
        "address": _personal(each, "address", sensitive),
        "status": (_text(each, "status") or PENDING).upper()[:20],
        "type": (_text(each, "type") or "EMAIL")[:20],
        "original": _personal(each, original, sensitive),
        "lastFailure": _personal(each, "last_failure", sensitive),
    }


def _get(item: Any, name: str) -> Any:
    return item.get(name) if isinstance(item, Mapping) else getattr(item, name, None)


def _text(item: Any, name: str) -> str:
    return _shown(_get(item, name), name, True)


def _personal(item: Any, name: str, sensitive: bool) -> str:
    return _shown(_get(item, name), name, sensitive)


def _shown(value: Any, name: str, sensitive: bool) -> str:
    """Return a text as it may leave the process, whose class is asked before its methods."""
    if value is None or value == "":
        return ""
    if isinstance(value, bytes):
        value = value[: 4 * LONGEST].decode("utf-8", "replace")
    elif isinstance(value, int) and value.bit_length() < 256:
        value = str(int(value))
    if not isinstance(value, str):
        raise OddError(f"{name} is of class {type(value).__name__}, not str")
    return clean(str.__str__(value), LONGEST) if sensitive else HIDDEN


def _some(value: Any, name: str) -> tuple[list[Any], int]:
    """Return the first of several values, and how many more there are."""
    if value is None or value == "":
        return [], 0
    if isinstance(value, (str, Recipient)):
        return [value], 0
    if not isinstance(value, Iterable) or isinstance(value, (bytes, Mapping)):
        raise OddError(f"{name} is of class {type(value).__name__}, not a list")
    found = list(islice(value, MOST_RECIPIENTS))
    size = len(value) if isinstance(value, Sequence) else len(found)
    return found, max(size - len(found), 0)


def _count(item: Any, name: str) -> int | None:
    value = _get(item, name)
    if value is None:
        return None
    if not isinstance(value, int) or not 0 <= value < 2**53:
        raise OddError(f"{name} is no whole number from 0")
    return int(value)


def _moment(item: Any, name: str) -> float | None:
    value = _get(item, name)
    if value is None:
        return None
    if isinstance(value, datetime):
        value = value.timestamp()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise OddError(f"{name} is of class {type(value).__name__}, no seconds and no datetime")
    if not isfinite(value) or not 0 <= value <= _LAST:
        raise OddError(f"{name} is no moment from 1970 to 9999")
    return round(float(value), 6)


def size_of(item: Mapping[str, Any]) -> int:
    """Return about how many bytes *item* takes on a page or in JSON."""
    texts = [item["id"], item.get("from", ""), item.get("summary", ""), *item.get("to", ())]
    texts += [item.get("problem", ""), item.get("lastFailure", "")]
    for each in item["recipients"]:
        texts += [each["address"], each["original"], each["lastFailure"]]
    return sum(map(cost, texts)) + 700 + 350 * len(item["recipients"])


def states_of(items: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return how many recipients, and items without any, are in each state."""
    found: dict[str, int] = {}
    for item in items:
        states = [each["status"] for each in item["recipients"]] or [item.get("status", "")]
        for state in filter(None, states):
            found[state] = found.get(state, 0) + 1
    # Three are meant; whatever else a source calls them, a summary has to stay one.
    return dict(sorted(found.items())[:MOST_STATES])


def texts_of(item: Mapping[str, Any]) -> str:
    """Return all that can be searched in *item*: what is shown of it, and no more."""
    texts = [item["id"], item.get("from", ""), *item.get("to", ()), item.get("summary", "")]
    texts += [item.get("problem", ""), item.get("status", ""), item.get("lastFailure", "")]
    for each in item["recipients"]:
        texts += each.values()
    return "\n".join(texts).casefold()
