"""The queue: messages on disk, shared by all workers, each leased by one at a time."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Sequence
from sqlite3 import Connection, Row
from typing import Any

import flask_expvar as expvar

from . import counters
from .database import Database
from .envelope import Item, Recipient
from .leases import Owners


class MailQueue:
    """What was accepted and is not delivered yet. Safe to use from any thread and worker."""

    def __init__(self, database: Database, owners: Owners) -> None:
        self._database = database
        self._owners = owners
        self._news = threading.Event()

    # -- in ---------------------------------------------------------------------------------

    def put(self, sender: str, recipients: Sequence[Recipient], data: bytes) -> str:
        """Write a message to the disk, and return its id: from now on it is ours to deliver."""
        item = new_item(sender, recipients, data)
        with expvar.trace("Queue.Put", f"{item.id} from {sender}") as trace:
            with self._database.write() as connection:
                _insert(connection, item)
            counters.put_count.add()
            counters.items_written.add()
            trace.log("written for %s", ", ".join(each.address for each in recipients))
        self._news.set()
        return item.id

    # -- out --------------------------------------------------------------------------------

    def lease(self) -> Item | None:
        """Return a message that is due, which no other sender has until it is released."""
        due = "done is null and owner is null and next_attempt <= ? order by next_attempt limit 1"
        # Looking costs no lock, and mostly there is nothing to do.
        if not self._database.read(f"select 1 from item where {due}", time.time()):
            return None
        with self._database.write() as connection:
            found = connection.execute(f"select * from item where {due}", [time.time()]).fetchone()
            if found is None:
                return None
            connection.execute(
                "update item set owner = ? where id = ?", [self._owners.me, found["id"]]
            )
            return _item(found, self._recipients(connection, found["id"]))

    def wait(self, seconds: float) -> None:
        """Wait until this worker has put something into the queue, at most *seconds*."""
        if self._news.wait(seconds):
            self._news.clear()

    def note(self, item: Item, recipient: Recipient) -> None:
        """Write down at once how a delivery ended: a kill may be next."""
        with self._database.write() as connection:
            connection.execute(
                "update recipient set status = ?, last_failure = ? "
                "where item = ? and address = ? and type = ?",
                [recipient.status, recipient.last_failure, item.id, recipient.address,
                 recipient.type],
            )  # fmt: skip
        counters.items_written.add()

    def retry(self, item: Item, delay: float) -> None:
        """Give *item* back, to be tried again after *delay* seconds."""
        with self._database.write() as connection:
            connection.execute(
                "update item set owner = null, attempts = attempts + 1, next_attempt = ? "
                "where id = ?",
                [time.time() + delay, item.id],
            )
        counters.items_written.add()

    def finish(self, item: Item, dsn: Item | None = None) -> None:
        """Be done with *item*, and queue the *dsn* that tells of it: both or neither."""
        with self._database.write() as connection:
            connection.execute(
                "update item set owner = null, done = ?, data = x'' where id = ?",
                [time.time(), item.id],
            )
            if dsn is not None:
                _insert(connection, dsn)
        counters.items_written.add()
        if dsn is not None:
            counters.dsn_queued.add()
            counters.put_count.add()
            counters.items_written.add()
            self._news.set()

    # -- looking and tidying ------------------------------------------------------------------

    def find(self, id: str) -> dict[str, Any] | None:
        """Return what is known of a message, also for a while after it was done."""
        rows = self._database.read("select * from item where id = ?", id)
        if not rows:
            return None
        item = _item(rows[0], self._database.read("select * from recipient where item = ?", id))
        return {
            "id": item.id,
            "from": item.sender,
            "done": rows[0]["done"] is not None,
            "attempts": item.attempts,
            "recipients": [vars(each) for each in item.recipients],
        }

    def cancel(self, id: str) -> bool:
        """Remove a message; false if a sender has it just now, or it is done or unknown."""
        with self._database.write() as connection:
            waiting = "delete from item where id = ? and owner is null and done is null"
            return connection.execute(waiting, [id]).rowcount == 1

    def release_dead(self) -> int:
        """Give back what dead workers had, and return how much that was."""
        owners = self._database.read("select distinct owner from item where owner is not null")
        dead = [row["owner"] for row in owners if not self._owners.alive(row["owner"])]
        for owner in dead:
            with self._database.write() as connection:
                connection.execute("update item set owner = null where owner = ?", [owner])
        return len(dead)

    def forget(self, older_than: float) -> None:
        """Remove what was done before that many seconds."""
        with self._database.write() as connection:
            connection.execute("delete from item where done < ?", [time.time() - older_than])

    def page(self, limit: int, offset: int) -> tuple[list[expvar.QueueItem], int]:
        """Return what ``/debug/queue`` shows: the oldest items first, and how many there are."""
        waiting = "from item where done is null"
        [[depth]] = self._database.read(f"select count(*) {waiting}")
        rows = self._database.read(
            f"select id, sender, created, attempts, next_attempt, owner {waiting} "
            "order by created limit ? offset ?",
            limit,
            offset,
        )
        return [self._shown(row) for row in rows], depth

    def _shown(self, row: Row) -> expvar.QueueItem:
        recipients = self._database.read("select * from recipient where item = ?", row["id"])
        return expvar.QueueItem(
            row["id"],
            created=row["created"],
            sender=row["sender"],
            to=[each["original"] or each["address"] for each in recipients],
            attempts=row["attempts"],
            next_attempt=row["next_attempt"],
            summary="being sent" if row["owner"] else "waiting",
            recipients=[
                expvar.Recipient(
                    each["address"],
                    status=each["status"],
                    type="PIPE" if each["type"] == "pipe" else "EMAIL",
                    original=each["original"],
                    last_failure=each["last_failure"],
                )
                for each in recipients
            ],
        )

    def _recipients(self, connection: Connection, id: str) -> list[Row]:
        return connection.execute("select * from recipient where item = ?", [id]).fetchall()


def new_item(sender: str, recipients: Sequence[Recipient], data: bytes) -> Item:
    """Return a message with an id of its own, due at once."""
    now = time.time()
    return Item(uuid.uuid4().hex[:12], sender, data, now, 0, now, list(recipients))


def _insert(connection: Connection, item: Item) -> None:
    connection.execute(
        "insert into item values (?, ?, ?, ?, ?, ?, null, null)",
        [item.id, item.sender, item.data, item.created, item.attempts, item.next_attempt],
    )
    # Two aliases may lead to the same place: it gets the message once.
    connection.executemany(
        "insert or ignore into recipient values (?, ?, ?, ?, ?, ?)",
        [
            [item.id, each.address, each.original, each.type, each.status, each.last_failure]
            for each in item.recipients
        ],
    )


def _item(row: Row, recipients: Sequence[Row]) -> Item:
    item = Item(
        row["id"], row["sender"], row["data"], row["created"], row["attempts"], row["next_attempt"]
    )
    item.recipients = [
        Recipient(
            each["address"], each["type"], each["original"], each["status"], each["last_failure"]
        )
        for each in recipients
    ]
    return item
