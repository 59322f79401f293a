"""Names: what the relay asks the DNS, with the name server passed in."""

from __future__ import annotations

from typing import Any

import dns.exception
import dns.resolver

from .envelope import TemporaryError


class Names:
    """Asks one name server, and nobody else."""

    def __init__(self, host: str, port: int, timeout: float = 5.0) -> None:
        # Not the system's resolver: what the relay asks must not leave this machine.
        self._resolver = dns.resolver.Resolver(configure=False)
        self._resolver.nameservers = [host]
        self._resolver.port = port
        self._resolver.lifetime = timeout

    def texts(self, name: str) -> list[bytes]:
        """Return the TXT records of *name*."""
        return [b"".join(record.strings) for record in self._ask(name, "TXT")]

    def addresses(self, name: str) -> list[str]:
        """Return the IPv4 addresses of *name*."""
        return [record.address for record in self._ask(name, "A")]

    def mail_servers(self, domain: str) -> list[str]:
        """Return the names of the servers that take mail for *domain*, the preferred first."""
        found = sorted(self._ask(domain, "MX"), key=lambda record: record.preference)
        return [record.exchange.to_text(omit_final_dot=True).lower() for record in found]

    def _ask(self, name: str, kind: str) -> list[Any]:
        try:
            return list(self._resolver.resolve(name, kind, search=False))
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except dns.exception.DNSException as error:
            raise TemporaryError(f"DNS {kind} {name}: {type(error).__name__}") from error
