"""Settings of the relay: each one a field here, and ``RELAY_…`` in the environment."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

PREFIX = "RELAY_"


class SettingError(ValueError):
    """Raised for a setting that does not exist or cannot be read."""


@dataclass(frozen=True)
class Settings:
    """What the relay is told; every field has a value that does no harm on a desk."""

    #: Queue, Maildirs, policy cache: everything that must outlive the process.
    folder: Path = Path(tempfile.gettempdir()) / f"pocket-chasquid-{os.getuid()}"
    hostname: str = "relay.example"
    local_domains: tuple[str, ...] = ("relay.example",)
    users: tuple[str, ...] = ("alice", "bob", "postmaster")

    smtp_host: str = "127.0.0.1"
    smtp_port: int = 2525
    #: Certificate of the SMTP listener, in PEM; without one there is no STARTTLS.
    cert_file: Path | None = None
    key_file: Path | None = None
    max_bytes: int = 1_000_000
    max_received: int = 50

    #: The name server, and the ports where other people's servers are: all on this machine.
    dns_host: str = "127.0.0.1"
    dns_port: int = 5300
    out_port: int = 2526
    sts_port: int = 4443
    #: Whom to trust, in PEM; without it whom the system trusts.
    ca_file: Path | None = None
    timeout: float = 10.0

    aliases_file: Path | None = None
    alias_hook: Path | None = None
    post_data_hook: Path | None = None

    senders: int = 4
    retry_first: float = 2.0
    retry_longest: float = 30.0
    give_up_after: float = 60.0
    #: How long a message that is done can still be looked up.
    remember: float = 3600.0
    refresh_every: float = 60.0


def from_environ(environ: Mapping[str, str]) -> Settings:
    """Return the settings that *environ* tells.

    :raises SettingError: for a name or value that cannot be.
    """
    kinds = {PREFIX + field.name.upper(): field for field in fields(Settings)}
    given: dict[str, Any] = {}
    for name, text in environ.items():
        if not name.startswith(PREFIX):
            continue
        if name not in kinds:
            raise SettingError(f"{name} is no setting; there are {', '.join(sorted(kinds))}")
        given[kinds[name].name] = _read(name, text, str(kinds[name].type))
    return Settings(**given)


def _read(name: str, text: str, kind: str) -> Any:
    try:
        if kind.startswith("tuple"):
            return tuple(part.strip() for part in text.split(",") if part.strip())
        if kind.startswith("Path"):
            return Path(text)
        return {"int": int, "float": float, "str": str}[kind](text)
    except ValueError:
        raise SettingError(f"{name} must be of type {kind}, not {text!r}") from None


def private_folder(folder: Path) -> Path:
    """Return *folder*, made if need be; mail and keys are nobody else's business.

    :raises SettingError: if somebody else has made it, or may look into it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise SettingError(f"{folder} must be ours alone: chmod 700, or another RELAY_FOLDER")
    return folder
