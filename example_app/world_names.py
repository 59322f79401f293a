"""A name server that knows the example's domains, and says of all others that there are none."""

from __future__ import annotations

from typing import Any

from dnslib import MX, QTYPE, RCODE, RR, TXT, A
from dnslib.server import BaseResolver, DNSLogger, DNSServer


class NameServer:
    """Answers from a table that may be changed meanwhile."""

    def __init__(self, host: str) -> None:
        self._records: dict[tuple[str, str], str] = {}
        resolver = _Resolver(self)
        self._server = DNSServer(resolver, address=host, port=0, logger=DNSLogger("", logf=_quiet))
        self.port: int = self._server.server.server_address[1]
        self._server.start_thread()

    def set(self, kind: str, name: str, value: str) -> None:
        """Let *name* have one record: an address, the name of a mail server, or a text."""
        self._records[kind, name] = value

    def remove(self, kind: str, name: str) -> None:
        """Let *name* have no such record."""
        self._records.pop((kind, name), None)

    def records(self, kind: str, name: str) -> list[Any]:
        """Return the answers for *name*."""
        value = self._records.get((kind, name))
        if value is None:
            return []
        data = MX(value, 10) if kind == "MX" else {"A": A, "TXT": TXT}[kind](value)
        return [RR(name, getattr(QTYPE, kind), rdata=data, ttl=1)]

    def close(self) -> None:
        """End."""
        self._server.stop()
        self._server.server.server_close()


class _Resolver(BaseResolver):  # type: ignore[misc]  # dnslib has no types
    def __init__(self, names: NameServer) -> None:
        self._names = names

    def resolve(self, request: Any, handler: Any) -> Any:
        reply = request.reply()
        name = str(request.q.qname).rstrip(".").lower()
        found = self._names.records(QTYPE[request.q.qtype], name)
        if found:
            reply.add_answer(*found)
        elif not any(self._names.records(kind, name) for kind in ("A", "MX", "TXT")):
            reply.header.rcode = RCODE.NXDOMAIN
        return reply


def _quiet(text: str) -> None:
    pass
