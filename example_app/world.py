"""The rest of the world, on this machine: name server, other people's mail servers, policies.

Nothing that the relay sends leaves the machine. Each domain here shows one way in which mail can
go right or wrong; ``python3 -m example_app.world FOLDER`` runs them until its input ends.
"""

from __future__ import annotations

import json
import ssl
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import trustme

from .world_mail import Sink
from .world_names import NameServer

HERE = "v=spf1 ip4:127.0.0.1 -all"
POLICY = "version: STSv1\nmode: {mode}\nmx: {mx}\nmax_age: 86400\n"


@dataclass(frozen=True)
class Domain:
    """A domain of the world, and how its mail server behaves."""

    name: str
    host: str
    tls: str = ""  # "", "good" or "untrusted"
    spf: str = HERE
    policy: str = ""
    behaviour: dict[str, Any] = field(default_factory=dict)

    @property
    def mx(self) -> str:
        """The name of its mail server."""
        return f"mx.{self.name}"


DOMAINS = (
    Domain("good.example", "127.0.0.11", tls="good", policy="enforce"),
    Domain("plain.example", "127.0.0.12"),
    Domain("untrusted.example", "127.0.0.13", tls="untrusted", policy="testing"),
    Domain("unsafe.example", "127.0.0.14", tls="untrusted", policy="enforce"),
    Domain("slow.example", "127.0.0.15", behaviour={"delay": 2.0}),
    Domain("busy.example", "127.0.0.16", behaviour={"reply": "450 4.2.1 Try again later"}),
    Domain("refusing.example", "127.0.0.17", behaviour={"reply": "550 5.7.1 We take nothing"}),
    # Others may not send in its name.
    Domain("forged.example", "127.0.0.18", spf="v=spf1 ip4:192.0.2.1 -all"),
)
#: Where the servers of policies and of names are.
POLICIES, NAMES = "127.0.0.10", "127.0.0.1"


class World:
    """Everything that is not the relay, until it is closed.

    :param domains: those there are.
    :param hosts: names that certificates are for as well.
    """

    def __init__(
        self, folder: Path, domains: tuple[Domain, ...] = DOMAINS, hosts: tuple[str, ...] = ()
    ) -> None:
        self.folder = folder
        self.domains = {domain.name: domain for domain in domains}
        folder.mkdir(parents=True, exist_ok=True)
        self._make_certificates(hosts)
        self.policies = PolicyServer(POLICIES, self._context("world"))
        self.names = NameServer(NAMES)
        self.sinks: dict[str, Sink] = {}
        self.out_port = 0
        for domain in domains:
            self._add(domain)

    def _add(self, domain: Domain) -> None:
        tls = {"good": "world", "untrusted": "untrusted"}.get(domain.tls)
        context = self._context(tls) if tls else None
        sink = Sink(domain.host, self.out_port, domain.mx, context, **domain.behaviour)
        # All on the same port, as it is out there: each has an address of its own.
        self.out_port = sink.port
        self.sinks[domain.name] = sink
        self.names.set("MX", domain.name, domain.mx)
        self.names.set("A", domain.mx, domain.host)
        self.names.set("TXT", domain.name, domain.spf)
        if domain.policy:
            self.names.set("TXT", f"_mta-sts.{domain.name}", "v=STSv1; id=1")
            self.names.set("A", f"mta-sts.{domain.name}", POLICIES)
            text = POLICY.format(mode=domain.policy, mx=domain.mx)
            self.policies.texts[f"mta-sts.{domain.name}"] = text.encode()

    def _make_certificates(self, hosts: tuple[str, ...]) -> None:
        authority, stranger = trustme.CA(), trustme.CA()
        authority.cert_pem.write_to_path(self.folder / "ca.pem")
        servers = [name for d in self.domains.values() for name in (d.mx, f"mta-sts.{d.name}")]
        servers += hosts
        wanted = {"world": (authority, servers), "untrusted": (stranger, servers)}
        wanted["relay"] = (authority, ["relay.example", "localhost", "127.0.0.1"])
        for name, (maker, identities) in wanted.items():
            made = maker.issue_cert(*identities)
            made.private_key_pem.write_to_path(self.folder / f"{name}.key")
            made.cert_chain_pems[0].write_to_path(self.folder / f"{name}.pem")

    def _context(self, name: str) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return context

    def settings(self) -> dict[str, str]:
        """Return what the relay must be told, as variables of its environment."""
        return {
            "RELAY_DNS_HOST": NAMES,
            "RELAY_DNS_PORT": str(self.names.port),
            "RELAY_OUT_PORT": str(self.out_port),
            "RELAY_STS_PORT": str(self.policies.port),
            "RELAY_CA_FILE": str(self.folder / "ca.pem"),
            "RELAY_CERT_FILE": str(self.folder / "relay.pem"),
            "RELAY_KEY_FILE": str(self.folder / "relay.key"),
        }

    def close(self) -> None:
        """End all servers."""
        for sink in self.sinks.values():
            sink.close()
        self.names.close()
        self.policies.close()


class PolicyServer:
    """Serves MTA-STS policies by HTTPS, each under its host's name."""

    def __init__(self, host: str, context: ssl.SSLContext) -> None:
        #: The policies by host; one that is not there is 404.
        self.texts: dict[str, bytes] = {}
        texts = self.texts

        class Handler(BaseHTTPRequestHandler):
            timeout = 5

            def do_GET(self) -> None:
                text = texts.get(self.headers.get("Host", "").partition(":")[0])
                self.send_response(404 if text is None else 200)
                self.end_headers()
                self.wfile.write(text or b"")

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(HTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a client that does not like our certificate

            def get_request(self) -> Any:
                plain, address = super().get_request()
                plain.settimeout(5)
                return context.wrap_socket(plain, server_side=True), address

        self._server = Server((host, 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.1], daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


def main() -> None:
    """Run the world, say where it is as a line of JSON, and end with the input."""
    world = World(Path(sys.argv[1]))
    print(json.dumps(world.settings()), flush=True)
    sys.stdin.read()  # whoever started us holds the other end
    world.close()


if __name__ == "__main__":
    main()
