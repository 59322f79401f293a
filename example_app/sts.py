"""MTA-STS policies (RFC 8461): what a domain says of how its servers are to be reached."""

from __future__ import annotations

import http.client
import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from .names import Names

ENFORCE, TESTING, NONE = "enforce", "testing", "none"
#: A policy is longer than this only to do harm.
MOST_BYTES = 64_000


class PolicyError(Exception):
    """Raised when there is a policy, and it cannot be had or makes no sense."""


@dataclass(frozen=True)
class Policy:
    """A policy, as the domain wrote it; :meth:`check` says whether it makes sense."""

    version: str = ""
    mode: str = ""
    max_age: int = 0
    mx: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Do nothing for a policy that makes sense.

        :raises PolicyError: for any other.
        """
        if self.version != "STSv1":
            raise PolicyError(f"version must be STSv1, not {self.version!r}")
        if self.mode not in (ENFORCE, TESTING, NONE):
            raise PolicyError(f"mode must be enforce, testing or none, not {self.mode!r}")
        if not 0 < self.max_age <= 31_557_600:
            raise PolicyError(f"max_age must be 1 to 31557600 seconds, not {self.max_age}")
        if not self.mx and self.mode != NONE:
            raise PolicyError("mx is missing")

    def allows(self, server: str) -> bool:
        """Say whether *server* is one of the policy's; ``*`` stands for one label."""
        rest = server.partition(".")[2]
        return server in self.mx or f"*.{rest}" in self.mx


def parse(text: str) -> Policy:
    """Return the policy that *text*, lines of ``key: value``, describes."""
    values: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        values.setdefault(key.strip(), []).append(value.strip())
    age = values.get("max_age", ["0"])[0]
    return Policy(
        version=values.get("version", [""])[0],
        mode=values.get("mode", [""])[0],
        max_age=int(age) if age.isascii() and age.isdigit() and len(age) < 12 else 0,
        mx=[name.lower() for name in values.get("mx", [])],
    )


class PolicySource:
    """Fetches policies from where they are published."""

    def __init__(self, names: Names, port: int, ca_file: Path | None, timeout: float) -> None:
        self._names = names
        self._port = port
        self._timeout = timeout
        self._context = ssl.create_default_context(cafile=ca_file)

    def get(self, domain: str) -> Policy | None:
        """Return the policy of *domain*, None if it has none.

        :raises PolicyError: if it has one that cannot be fetched or makes no sense.
        """
        if not any(t.startswith(b"v=STSv1") for t in self._names.texts(f"_mta-sts.{domain}")):
            return None
        # Bytes that are no UTF-8 are kept as they are: the policy is the domain's, not ours.
        policy = parse(self._body(f"mta-sts.{domain}").decode("utf-8", "surrogateescape"))
        policy.check()
        return policy

    def _body(self, host: str) -> bytes:
        addresses = self._names.addresses(host)
        if not addresses:
            raise PolicyError(f"{host} has no address")
        client = http.client.HTTPConnection(host, self._port, timeout=self._timeout)
        try:
            plain = socket.create_connection((addresses[0], self._port), self._timeout)
            # Closes the plain socket if there is no TLS to be had.
            client.sock = self._context.wrap_socket(plain, server_hostname=host)
            client.request("GET", "/.well-known/mta-sts.txt")
            answer = client.getresponse()
            # Not even a redirect may be followed.
            if answer.status != 200:
                raise PolicyError(f"{host} answered {answer.status}")
            return answer.read(MOST_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise PolicyError(f"{host}: {type(error).__name__}") from error
        finally:
            client.close()
