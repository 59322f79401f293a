"""The STS cache: policies on disk, a file for each domain, shared by all workers."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import flask_expvar as expvar

from . import counters
from .envelope import TemporaryError
from .sts import Policy, PolicyError, PolicySource


class PolicyCache:
    """Policies that were fetched before. Trouble with the cache never stops the mail.

    :param clock: seconds since the epoch.
    """

    def __init__(
        self, folder: Path, source: PolicySource, *, clock: Callable[[], float] = time.time
    ) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._source = source
        self._clock = clock
        # It lives as long as the worker: on /debug/events.
        self._events = expvar.event_log("STSCache", str(folder))

    def fetch(self, domain: str) -> Policy | None:
        """Return the policy of *domain* from the cache or from the domain, None without one."""
        counters.sts_fetches.add()
        with expvar.trace("STSCache.Fetch", domain) as trace:
            policy = self._load(domain)
            if policy is not None:
                counters.sts_hits.add()
                trace.log("cache hit: %s", policy)
                return policy
            try:
                policy = self._source.get(domain)
            except (PolicyError, TemporaryError) as error:
                counters.sts_failed_fetch.add()
                trace.error("failed to fetch: %s", error)
                return None
            trace.log("fetched: %s", policy)
            if policy is not None:
                self._store(domain, policy)
            return policy

    def refresh(self) -> None:
        """Fetch every policy of the cache anew, so that mail seldom waits for that."""
        counters.sts_refresh_cycles.add()
        with expvar.trace("STSCache.Refresh", str(self._folder)) as trace:
            for domain in self._domains():
                if self._load(domain) is None:
                    continue  # damaged or expired: the next mail will fetch it
                counters.sts_refreshes.add()
                try:
                    policy = self._source.get(domain)
                except (PolicyError, TemporaryError) as error:
                    counters.sts_refresh_errors.add()
                    trace.error("%s: failed to refresh: %s", domain, error)
                    continue
                trace.log("%s: %s", domain, policy)
                if policy is not None:
                    self._store(domain, policy)

    def close(self) -> None:
        """Take the cache off the page of events."""
        self._events.close()

    def _domains(self) -> list[str]:
        try:
            return sorted(path.stem for path in self._folder.glob("*.json"))
        except OSError as error:
            self._io_error(error)
            return []

    def _load(self, domain: str) -> Policy | None:
        path = self._path(domain)
        try:
            text = path.read_bytes()
            stored = path.stat().st_mtime
        except FileNotFoundError:
            return None
        except OSError as error:
            self._io_error(error)
            return None
        try:
            policy = Policy(**json.loads(text))
        except (ValueError, TypeError) as error:
            counters.sts_unmarshal_errors.add()
            self._events.error("%s is damaged: %s", path.name, type(error).__name__)
            return None
        try:
            policy.check()
        except (PolicyError, TypeError) as error:
            counters.sts_invalid.add()
            self._events.error("%s is invalid: %s", path.name, error)
            return None
        if self._clock() - stored > policy.max_age:
            counters.sts_expired.add()
            expvar.current_trace().log("%s has expired", path.name)
            return None
        return policy

    def _store(self, domain: str, policy: Policy) -> None:
        try:
            text = json.dumps(asdict(policy), ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            counters.sts_marshal_errors.add()
            self._events.error("the policy of %s is no text: %s", domain, error.reason)
            return
        # Readers find the old file or the new one, never half of it.
        temporary = self._folder / f"{uuid.uuid4().hex}.new"
        try:
            with temporary.open("wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path(domain))
        except OSError as error:
            self._io_error(error)
            temporary.unlink(missing_ok=True)
            return
        self._events.log("stored the policy of %s", domain)

    def _path(self, domain: str) -> Path:
        return self._folder / f"{domain}.json"

    def _io_error(self, error: OSError) -> None:
        counters.sts_io_errors.add()
        self._events.error("I/O error: %s", error.strerror)
