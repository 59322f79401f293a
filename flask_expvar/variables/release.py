"""Release: which version of a program runs, and when its source was last changed."""

from __future__ import annotations

import importlib.metadata
import os
import time
from datetime import datetime, timezone
from pathlib import Path

from ..exceptions import BadKindError
from . import names
from .namespace import Namespace


def publish_release(
    into: Namespace, prefix: str, version: str | None, source_date: float | datetime | None
) -> None:
    """Declare the three variables of *prefix* in *into* and set them; looks up what is None."""
    names.check_name(prefix)
    version = version if version is not None else _installed_version(prefix)
    if not isinstance(version, str):
        raise BadKindError("version", version, "a str")
    stamp = _stamp(prefix, source_date)
    text = _readable(stamp)
    into.new_string(f"{prefix}/version", "version of the program").set(version)
    into.new_string(f"{prefix}/sourceDateStr", "when the source was last changed").set(text)
    into.new_int(
        f"{prefix}/sourceDateTimestamp",
        "when the source was last changed, in seconds since the epoch",
        multiprocess_mode="max",
    ).set(stamp)


def _installed_version(prefix: str) -> str:
    try:
        return importlib.metadata.version(prefix)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        allowed = f"a str, since no distribution called {prefix!r} is installed"
        raise BadKindError("version", None, allowed) from None


def _stamp(prefix: str, given: float | datetime | None) -> int:
    if isinstance(given, datetime):
        aware = given if given.tzinfo else given.replace(tzinfo=timezone.utc)
        return int(aware.timestamp())
    if given is not None:
        return _whole(given, "source_date")
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is not None:
        return _whole(epoch, "SOURCE_DATE_EPOCH")
    try:
        files = importlib.metadata.files(prefix) or []
        found = [Path(str(file.locate())) for file in files if file.name == "METADATA"]
        return int(max(path.stat().st_mtime for path in found))
    except (importlib.metadata.PackageNotFoundError, ValueError, OSError):
        return 0


def _readable(stamp: int) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S +0000", time.gmtime(stamp)) if stamp else ""
    except (OSError, OverflowError, ValueError):
        raise BadKindError("source_date", stamp, "seconds since the epoch") from None


def _whole(given: float | str, what: str) -> int:
    try:
        return int(given)
    except (TypeError, ValueError, OverflowError):
        raise BadKindError(what, given, "seconds since the epoch") from None
