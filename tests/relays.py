"""The example's relay in this process, with the rest of the world around it."""

from __future__ import annotations

import importlib.util
import smtplib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from servers import wait_until

ROOT = Path(__file__).parent.parent
SENDER, BOB = "someone@plain.example", "bob@relay.example"
TEXT = "Subject: Hello\r\nMessage-ID: <{}@test>\r\n\r\nHow are you?\r\n"


def module(name: str) -> ModuleType:
    """Return a module of the example, which no path leads to: the package is the tests' own."""
    for needed in ("aiosmtpd", "dns", "dnslib", "spf", "trustme"):
        pytest.importorskip(needed)
    if "example_app" not in sys.modules:
        home = ROOT / "example_app"
        spec = importlib.util.spec_from_file_location(
            "example_app", home / "__init__.py", submodule_search_locations=[str(home)]
        )
        assert spec is not None
        assert spec.loader is not None
        sys.modules["example_app"] = package = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(package)
    return importlib.import_module(f"example_app.{name}")


class Running:
    """A relay that runs, and its world."""

    def __init__(self, folder: Path, hosts: tuple[str, ...], settings: Mapping[str, str]) -> None:
        self.world = module("world").World(folder / "world", hosts=hosts)
        given = {
            **self.world.settings(),
            "RELAY_FOLDER": str(folder / "relay"),
            "RELAY_SMTP_PORT": "0",
            "RELAY_RETRY_FIRST": "0.05",
            "RELAY_GIVE_UP_AFTER": "0.2",
            "RELAY_REFRESH_EVERY": "1000000",
            **settings,
        }
        try:
            self.relay = module("relay").Relay(module("settings").from_environ(given))
        except BaseException:
            self.world.close()
            raise
        self._begin_all_threads()

    def _begin_all_threads(self) -> None:
        # They begin with the work, and would be taken for leftovers of the test that brings it.
        pool = self.relay.listener.pool
        barrier = threading.Barrier(pool._max_workers + 1)
        for _ in range(pool._max_workers):
            pool.submit(barrier.wait)
        barrier.wait(30)

    def close(self) -> None:
        self.relay.close()
        self.world.close()

    def client(self) -> smtplib.SMTP:
        """Return a client that has seen the greeting."""
        port = self.relay.listener.port
        return smtplib.SMTP("127.0.0.1", port, local_hostname="tests", timeout=30)

    def send(self, to: str = BOB, sender: str = SENDER, text: str = TEXT) -> None:
        """Send one message in a session of its own: EHLO, MAIL, RCPT, DATA, QUIT."""
        with self.client() as client:
            client.sendmail(sender, [to], text)

    def domain(self, name: str, server: str = "plain.example", policy: str = "") -> str:
        """Let the *server* of another domain take mail for *name* too; return an address there."""
        self.world.names.set("MX", name, f"mx.{server}")
        if policy:
            self.world.names.set("TXT", f"_mta-sts.{name}", "v=STSv1; id=1")
            self.world.names.set("A", f"mta-sts.{name}", module("world").POLICIES)
            self.world.policies.texts[f"mta-sts.{name}"] = policy.encode(errors="surrogateescape")
        return f"friend@{name}"

    def wait_empty(self) -> None:
        """Wait until nothing waits in the queue."""
        wait_until(lambda: self.relay.queue.page(1, 0)[1] == 0, failure=lambda: "the queue empties")


@contextmanager
def running(folder: Path, hosts: tuple[str, ...] = (), **settings: Any) -> Iterator[Running]:
    """Run a relay; *settings* are fields of its Settings."""
    given = {f"RELAY_{name.upper()}": str(value) for name, value in settings.items()}
    found = Running(folder, hosts, given)
    try:
        yield found
    finally:
        found.close()


def moved(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return which of the thirty variables have moved, without their prefix."""
    return {name[9:]: change for name, change in changes.items() if name.startswith("chasquid/")}


def expect(changes: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Wait until these variables have moved; then that no other one has is seen as well."""

    def differ() -> str:
        return f"moved: {moved(changes)}\nwanted: {dict(wanted)}"

    wait_until(lambda: moved(changes) == wanted, 10, failure=differ)


def session(*, data: bool = True, **more: Any) -> dict[str, Any]:
    """Return what moves when :meth:`Running.send` sends a message that is taken, and *more*."""
    return {
        "smtpIn/commandCount": {"EHLO": 1, "MAIL": 1, "RCPT": 1, "DATA": 1, "QUIT": 1},
        "smtpIn/responseCodeCount": {"220": 1, "250": 4, "354": 1, "221": 1},
        "smtpIn/spfResultCount": {"pass": 1},
        "smtpIn/securityLevelChecks": {"pass": 1},
        "smtpIn/tlsCount": {"plain": 1},
        "queue/putCount": 1,
        # When it comes in, after each attempt, and when it is done or put off.
        "queue/itemsWritten": 3,
        "queue/deliverAttempts": {"email:local": 1},
        **more,
    }


Changes = Callable[[], Any]
