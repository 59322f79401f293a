"""The relay: all its parts put together, one of it in each worker."""

from __future__ import annotations

import logging
import ssl
import threading
import time

import flask_expvar as expvar

from .aliases import Aliases
from .courier import Courier
from .database import Database
from .gate import Gate
from .leases import Lock, Owners
from .levels import Levels
from .mailqueue import MailQueue
from .names import Names
from .sending import SendLoop
from .settings import Settings, private_folder
from .smtp_in import Listener, server_tls
from .smtp_out import RemoteCourier
from .sts import PolicySource
from .sts_cache import PolicyCache

log = logging.getLogger("relay")


class Relay:
    """A running relay: it listens, sends and keeps house until it is closed."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        folder = private_folder(settings.folder)
        self._owners = Owners(folder / "workers")
        self._database = Database(folder / "queue.sqlite")
        self.queue = MailQueue(self._database, self._owners)
        self.levels = Levels(self._database)
        names = Names(settings.dns_host, settings.dns_port, settings.timeout)
        source = PolicySource(names, settings.sts_port, settings.ca_file, settings.timeout)
        self.policies = PolicyCache(folder / "policies", source)
        self.aliases = Aliases(settings)
        self.gate = Gate(settings, self.queue, names, self.levels, self.aliases)
        remote = RemoteCourier(settings, names, self.levels, self.policies)
        self.courier = Courier(private_folder(folder / "mail"), remote)
        self._loops = [
            SendLoop(number, self.queue, self.courier, settings)
            for number in range(1, settings.senders + 1)
        ]
        self._housekeeper = Housekeeper(self, Lock(folder / "housekeeper"))
        self.listener = Listener(
            self.gate,
            settings.smtp_host,
            settings.smtp_port,
            hostname=settings.hostname,
            max_bytes=settings.max_bytes,
            tls=_tls(settings),
        )

    def close(self) -> None:
        """Hang up, let deliveries end for a while, and give back what is left."""
        self.listener.close()
        self._housekeeper.close()
        for loop in self._loops:
            loop.stop()
        for loop in self._loops:
            loop.join(5)
        self._owners.close()
        self._database.close()
        self.policies.close()


class Housekeeper:
    """A thread that tidies up; of all workers' only the one that has the lock does."""

    def __init__(self, relay: Relay, lock: Lock) -> None:
        self._relay = relay
        self._lock = lock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End, and let another worker keep house."""
        self._stop.set()
        self._thread.join(10)
        self._lock.release()

    def _run(self) -> None:
        # Running as long as the worker: its events show the last rounds.
        life = expvar.trace("Housekeeper", "leases, done messages, STS policies")
        every = self._relay.settings.refresh_every
        refresh_at = time.monotonic() + every
        while not self._stop.wait(0.5):
            if not self._lock.take():
                continue
            try:
                if dead := self._relay.queue.release_dead():
                    life.log("gave back what %d dead workers had", dead)
                if time.monotonic() >= refresh_at:
                    refresh_at = time.monotonic() + every
                    self._relay.queue.forget(self._relay.settings.remember)
                    self._relay.policies.refresh()
                    life.log("forgot old messages, refreshed STS policies")
            except Exception as error:  # a full disk, say: the next round may do better
                life.log("failed: %s", type(error).__name__)
                log.exception("housekeeping failed")
        life.finish()


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.cert_file is None or settings.key_file is None:
        return None
    return server_tls(settings.cert_file, settings.key_file)
