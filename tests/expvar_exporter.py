"""prometheus-expvar-exporter as its source has it: what it makes of a page, and what kills it."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_METRIC = re.compile("[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile("[a-zA-Z_][a-zA-Z0-9_]*")
Series = dict[str, dict[tuple[tuple[str, str], ...], float]]


class Died(Exception):
    """The exporter's process would be gone."""


def scrape(body: str, config: str) -> tuple[Series, dict[str, str]]:
    """Return the series and helps that the exporter makes of a page.

    :raises Died: if it would panic.
    """
    # Old Go wrote bad escapes; two bytes after each are gone, whatever they are.
    told = json.loads(re.sub(r"\\x..", "?", body), parse_constant=_refuse, parse_int=float)
    renames = _renames(config)
    series: Series = {}
    helps: dict[str, str] = {}
    for key, value in told.items():
        if not key.isascii():
            raise Died(f"{key!r} is not ASCII")
        entry = renames.get(key, {})
        name = entry.get("name") or re.sub("[^a-zA-Z0-9_:]", "_", key)
        if not _METRIC.fullmatch(name):
            raise Died(f"{name!r} is no name of a metric")
        found = _values(key, value, entry.get("label_name", ""))
        if found is not None:
            if name in series or name.startswith(("go_", "process_", "promhttp_")):
                raise Died(f"two metrics are called {name}")  # 500, for ever
            series[name], helps[name] = found, entry.get("help") or f'expvar "{key}"'
    return series, helps


def _refuse(text: str) -> None:
    raise Died(f"bare {text}")


def _renames(config: str) -> dict[str, dict[str, str]]:
    found = {}
    for target in tomllib.loads(config).values():
        if isinstance(target, dict) and "url" in target:
            for name, entry in target.get("m", {}).items():
                if not isinstance(entry.get("expvar"), str):
                    raise Died(f"m.{name} has no expvar")
                found[entry["expvar"]] = {**entry, "name": name}
    return found


def _values(key: str, value: Any, label: str) -> Any:
    if not label:
        return {(): float(value)} if isinstance(value, (bool, float)) else None
    if not isinstance(value, dict) or not _LABEL.fullmatch(label):
        raise Died(f"{key!r} has the label {label!r}, and is {value!r}")
    if not all(isinstance(each, (bool, float)) for each in value.values()):
        raise Died(f"{key!r} has more than numbers in it")
    return {((label, key),): float(each) for key, each in value.items()}
