"""The file of prometheus-expvar-exporter: which variable has which name, help and label."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from ..exceptions import BadKindError, SettingError
from ..variables.metric import Rename
from ..variables.names import check_label

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SETTING = "EXPVAR_EXPORTER_CONFIG"
_NAME = re.compile("[a-zA-Z_:][a-zA-Z0-9_:]*")


def read_renames(path: str) -> tuple[Rename, ...]:
    """Return what the file at *path* says of variables, of all its targets; of two the last.

    Its addresses are for the exporter alone. What that program would die of is an error here.

    :raises SettingError: if it cannot be read, or an entry is wrong.
    """
    try:
        told = tomllib.loads(Path(path).read_bytes().decode("utf-8"))
    except (OSError, ValueError) as problem:
        allowed = "a file of prometheus-expvar-exporter, in TOML"
        raise SettingError(SETTING, f"names {path!r}: {problem}", allowed) from None
    found: dict[str, Rename] = {}
    for section, target in told.items():
        metrics = target.get("m") if isinstance(target, dict) and "url" in target else None
        for name, entry in metrics.items() if isinstance(metrics, dict) else ():
            rename = _rename(path, f"{section}.m.{name}", name, entry)
            found[rename.expvar] = rename
    return tuple(found.values())


def _rename(path: str, where: str, name: str, entry: Any) -> Rename:
    def refuse(problem: str, allowed: str) -> SettingError:
        return SettingError(SETTING, f"names {path!r}, where {where} {problem}", allowed)

    if not _NAME.fullmatch(name):
        raise refuse("is no name of a metric", "letters, digits, _ and :, no digit first")
    if not isinstance(entry, dict):
        raise refuse("is no table", "a table with expvar, help and label_name")
    expvar = entry.get("expvar")
    if not isinstance(expvar, str) or not expvar:
        raise refuse("has no expvar", "the name of a variable")
    help, label = entry.get("help", ""), entry.get("label_name", "")
    if not isinstance(help, str):
        raise refuse("has a help that is no text", "a text")
    try:
        label = check_label(label) if label else ""
    except BadKindError as error:
        raise refuse("has a wrong label_name", str(error)) from None
    return Rename(expvar, name, help, label)
