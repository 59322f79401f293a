"""The configuration of prometheus-expvar-exporter for a registry, for those who keep it."""

from __future__ import annotations

import json

from ..redaction import redact_text
from ..variables import names
from ..variables.metric import COUNTER, Item, Naming, families
from ..variables.reading import Row
from ..variables.registry import Registry

LISTEN, URL = ":8000", "http://127.0.0.1:1099/debug/vars"


def exporter_config(registry: Registry, *, url: str = URL, listen: str = LISTEN) -> str:
    """Return a TOML file with which prometheus-expvar-exporter shows what *registry* has.

    Names, helps and labels are those of ``/debug/metrics``. Maps get a label only if there are
    numbers in them and nothing else: that program dies of anything else. So make the file when
    the program has counted something in each.

    :param url: where the exporter reads the variables.
    :param listen: where it answers.
    """
    rows = registry.rows()
    below: dict[str, list[Row]] = {}
    for row in rows:
        below.setdefault(row.path[0], []).append(row)
    items = [Item(row.path, row.spec, row.value) for row in rows]
    lines = [
        f"listen_addr = {quoted(listen)}",
        "",
        "[app]",
        f"url = {quoted(url)}",
    ]
    for family in sorted(families(items, Naming()).families, key=lambda each: each.name):
        name = family.name + ("_total" if family.type == COUNTER else "")
        lines += ["", *_entry(name, redact_text(family.help), below[family.source])]
    return "\n".join([*lines, ""])


def _entry(name: str, help: str, rows: list[Row]) -> list[str]:
    top, *keys = rows
    if top.spec.kind not in ("int", "float", "map"):
        return [f"# {top.path[0]} is a {top.spec.kind}, which the exporter leaves out"]
    flat = all(len(row.path) == 2 and row.spec.kind in ("int", "float") for row in keys)
    if top.spec.kind == "map" and not flat:
        return [f"# {top.path[0]} has more than numbers in it, of which the exporter would die"]
    lines = [f"m.{name}.expvar = {quoted(top.path[0])}", f"m.{name}.help = {quoted(help)}"]
    if top.spec.kind == "map":
        label = names.check_label(top.spec.label or "key")
        lines.append(f"m.{name}.label_name = {quoted(label)}")
    return lines


def quoted(text: str) -> str:
    """Return *text* as a basic string of TOML.

    >>> quoted('say "hi"')
    '"say \\\\"hi\\\\""'
    """
    text = text.encode("utf-8", "replace").decode("utf-8")
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
