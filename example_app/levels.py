"""Security levels: how safely a domain has sent and taken mail, so that it never gets worse."""

from __future__ import annotations

from typing import Any

import flask_expvar as expvar

from . import counters
from .database import Database

PLAIN, TLS = "plain", "tls"
INSECURE, SECURE = "tls:insecure", "tls:secure"
#: The weakest first.
INCOMING, OUTGOING = (PLAIN, TLS), (PLAIN, INSECURE, SECURE)


class Levels:
    """What is known of each domain, in the database that all workers share."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def check_incoming(self, domain: str, level: str, spf: str) -> bool:
        """Say whether mail from *domain* may come in at *level*; without SPF anybody may."""
        # Anybody could make a domain's level rise, if it was not known who sends.
        if spf != "pass":
            counters.levels_in.add("skip")
            return True
        ok = self._check("incoming", INCOMING, domain, level)
        counters.levels_in.add("pass" if ok else "fail")
        return ok

    def check_outgoing(self, domain: str, level: str) -> bool:
        """Say whether mail to *domain* may go out at *level*."""
        ok = self._check("outgoing", OUTGOING, domain, level)
        counters.levels_out.add("pass" if ok else "fail")
        return ok

    def _check(self, way: str, order: tuple[str, ...], domain: str, level: str) -> bool:
        rows = self._database.read(f"select {way} from domain where name = ?", domain)
        known = rows[0][way] if rows else None
        if known is not None and order.index(level) <= order.index(known):
            expvar.current_trace().log("%s of %s: %s, was %s", way, domain, level, known)
            return level == str(known)
        with self._database.write() as connection:
            connection.execute(
                f"insert into domain (name, {way}) values (?, ?) "
                f"on conflict (name) do update set {way} = excluded.{way}",
                [domain, level],
            )
        expvar.current_trace().log("%s of %s is %s from now on", way, domain, level)
        return True

    def page(self) -> list[dict[str, Any]]:
        """Return what ``/debug/domains`` shows."""
        return [dict(row) for row in self._database.read("select * from domain order by name")]
