"""Send loops: take what is due from the queue, try it, and decide what becomes of it."""

from __future__ import annotations

import logging
import threading
import time
from typing import Protocol

import flask_expvar as expvar

from .dsn import make_dsn
from .envelope import (
    FAILED,
    LOCAL,
    NOBODY,
    PENDING,
    REMOTE,
    SENT,
    Item,
    PermanentError,
    Recipient,
    TemporaryError,
    domain_of,
)
from .mailqueue import MailQueue, new_item
from .settings import Settings

log = logging.getLogger("relay.queue")

#: How often a worker looks for what other workers have put into the queue.
LOOK_EVERY = 0.1


class Deliverer(Protocol):
    """Who brings messages to recipients."""

    def deliver(self, item: Item, recipient: Recipient) -> None:
        """Make one attempt."""


class SendLoop:
    """A thread that sends, one message after the other."""

    def __init__(
        self, number: int, queue: MailQueue, courier: Deliverer, settings: Settings
    ) -> None:
        self._queue = queue
        self._courier = courier
        self._settings = settings
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sender {number}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask the loop to end when it is done with its message."""
        self._stop.set()

    def join(self, timeout: float) -> None:
        """Wait until it has ended."""
        self._thread.join(timeout)

    def _run(self) -> None:
        # Not entered: what is sent would be a part of it. It is running as long as the loop is.
        life = expvar.trace("Queue.Loop", self._thread.name)
        while not self._stop.is_set():
            try:
                item = self._queue.lease()
                if item is None:
                    self._queue.wait(LOOK_EVERY)
                    continue
                life.log("took %s, attempt %d", item.id, item.attempts + 1)
                self.send(item)
            except Exception as error:  # a full disk, say: the loop must go on when it is over
                life.log("failed: %s", type(error).__name__)
                log.exception("a send loop failed")
                self._stop.wait(1)
        life.finish()

    def send(self, item: Item) -> None:
        """Try each recipient that waits, and decide what becomes of *item*."""
        with expvar.trace("Queue.SendLoop", f"{item.id} from {item.sender}") as trace:
            for recipient in item.with_status(PENDING):
                self._attempt(item, recipient)
                self._queue.note(item, recipient)
            waiting = item.with_status(PENDING)
            if waiting:
                delay = self._delay(item)
                trace.log("%d still wait, next attempt in %.1f s", len(waiting), delay)
                self._queue.retry(item, delay)
            else:
                self._queue.finish(item, self._dsn(item))

    def _attempt(self, item: Item, recipient: Recipient) -> None:
        try:
            self._courier.deliver(item, recipient)
            recipient.status, recipient.last_failure = SENT, ""
        except TemporaryError as error:
            recipient.last_failure = str(error)
            if time.time() - item.created > self._settings.give_up_after:
                expvar.current_trace().error("gave up on %s", recipient.address)
                recipient.status = FAILED
        except PermanentError as error:
            recipient.status, recipient.last_failure = FAILED, str(error)
        log.info("%s to %s: %s %s", item.id, recipient.address, recipient.status,
                 recipient.last_failure)  # fmt: skip

    def _delay(self, item: Item) -> float:
        """Return how long to wait: twice as long each time."""
        longest = self._settings.retry_longest
        return min(self._settings.retry_first * float(2 ** min(item.attempts, 30)), longest)

    def _dsn(self, item: Item) -> Item | None:
        # A notification that cannot be delivered is not answered by another one.
        if not item.with_status(FAILED) or item.sender == NOBODY:
            return None
        local = domain_of(item.sender) in self._settings.local_domains
        sender = Recipient(item.sender, LOCAL if local else REMOTE, item.sender)
        expvar.current_trace().error("%s is told of the failure", item.sender)
        return new_item(NOBODY, [sender], make_dsn(item, self._settings.hostname))
