"""The database: one SQLite file that all workers share, safe against a kill at any moment."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCHEMA = """
create table if not exists item (
    id text primary key, sender text, data blob, created real,
    attempts integer, next_attempt real, owner text, done real
);
create index if not exists waiting on item (next_attempt) where done is null;
create table if not exists recipient (
    item text references item on delete cascade, address text, original text, type text,
    status text, last_failure text, primary key (item, address, type)
);
create table if not exists domain (name text primary key, incoming text, outgoing text);
"""


class Database:
    """A connection that the threads of one process take in turn."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(
            path, timeout=30, isolation_level=None, check_same_thread=False
        )
        self._connection.row_factory = sqlite3.Row
        # A log that is synced with every commit: what was committed survives kill and power cut.
        self._connection.execute("pragma journal_mode = wal")
        self._connection.execute("pragma synchronous = full")
        self._connection.execute("pragma foreign_keys = on")
        with self.write() as connection:
            for statement in SCHEMA.split(";"):
                connection.execute(statement)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Run the block as one transaction: all of it is on the disk at its end, or nothing."""
        with self._lock:
            self._connection.execute("begin immediate")
            try:
                yield self._connection
                self._connection.execute("commit")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("rollback")
                raise

    def read(self, query: str, *values: Any) -> list[sqlite3.Row]:
        """Return the rows that *query* finds."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()
