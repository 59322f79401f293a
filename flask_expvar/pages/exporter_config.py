"""The configuration of prometheus-expvar-exporter for a registry, for those who keep it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..redaction import redact_text
from ..variables import names
from ..variables.metric import COUNTER, Item, Naming, families
from ..variables.reading import Row
from ..variables.registry import Registry

_KINDS = ("int", "float", "map", "histogram")
LISTEN, URL = ":8000", "http://127.0.0.1:1099/debug/vars"


class _Entry(NamedTuple):
    """One metric: what it is called, and what variable it is made of.

    :param flat: whether a map has numbers in it and nothing else.
    """

    name: str
    type: str
    help: str
    source: str
    kind: str
    flat: bool
    label: str


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
    found = families(items, Naming()).families
    entries = []
    for family in found:
        top, *keys = below[family.source]
        flat = all(len(row.path) == 2 and row.spec.kind in ("int", "float") for row in keys)
        label = names.check_label(top.spec.label or "key")
        entries.append(
            _Entry(family.name, family.type, family.help, family.source, top.spec.kind, flat, label)
        )
    return _file(entries, url, listen)


def exporter_config_of(
    metrics: Iterable[Mapping[str, Any]],
    variables: Mapping[str, Any],
    *,
    url: str = URL,
    listen: str = LISTEN,
) -> str:
    """Return the same made of what a server says.

    :param metrics: those of ``/debug/metrics.json``.
    :param variables: those of ``/debug/vars.json?full=1``.
    :raises KeyError: if they are anything else.
    """
    entries = []
    for each in metrics:
        variable = variables.get(each["expvar"])
        if variable is not None and variable["kind"] in _KINDS:
            value = variable["value"]
            flat = isinstance(value, dict) and all(map(_is_number, value.values()))
            label = next((name for one in each["series"] for name in one["labels"]), "key")
            name, type, help = (each[key] for key in ("name", "type", "help"))
            kind, source = variable["kind"], each["expvar"]
            entries.append(_Entry(name, type, help, source, kind, flat, label))
    return _file(entries, url, listen)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _file(entries: Iterable[_Entry], url: str, listen: str) -> str:
    lines = [f"listen_addr = {quoted(listen)}", "", "[app]", f"url = {quoted(url)}"]
    for entry in sorted(entries):
        lines += ["", *_lines(entry)]
    return "\n".join([*lines, ""])


def _lines(entry: _Entry) -> list[str]:
    source, kind = entry.source, entry.kind
    if kind not in ("int", "float", "map"):
        return [f"# {source} is a {kind}, which the exporter leaves out"]
    if kind == "map" and not entry.flat:
        return [f"# {source} has more than numbers in it, of which the exporter would die"]
    name = entry.name + ("_total" if entry.type == COUNTER else "")
    help = quoted(redact_text(entry.help))
    lines = [f"m.{name}.expvar = {quoted(source)}", f"m.{name}.help = {help}"]
    if kind == "map":
        lines.append(f"m.{name}.label_name = {quoted(entry.label)}")
    return lines


def quoted(text: str) -> str:
    """Return *text* as a basic string of TOML.

    >>> quoted('say "hi"')
    '"say \\\\"hi\\\\""'
    """
    text = text.encode("utf-8", "replace").decode("utf-8")
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
