"""Pages of the application's own as people read them: lists of definitions, and tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import _json
from .texts import cost, short
from .vars_table import plain

#: Columns of a table, sections of a page, and bytes of all that is shown.
MOST_COLUMNS, MOST_SECTIONS, MOST_BYTES = 30, 100, 1_200_000
#: What a cell and a row take besides their text.
CELL, ROW = 60, 120


class Paper:
    """How much may still be written on one page."""

    def __init__(self, room: int = MOST_BYTES) -> None:
        self.room = room

    def cell(self, value: Any) -> dict[str, Any]:
        """Return how a value is shown."""
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if isinstance(value, str):
            text = short(value)
        elif isinstance(value, (dict, list)):
            text = short(_json.compact(value))
        else:
            text = "–" if value is None else short(plain(value))
        self.room -= CELL + cost(text)
        return {"text": text, "number": number, "code": isinstance(value, (dict, list))}


def sections(data: Any, cuts: Mapping[str, int], paper: Paper) -> list[dict[str, Any]]:
    """Return what is shown of *data*: each section a list of definitions, or a table."""
    if isinstance(data, list):
        return [_table("", data, cuts.get("", 0), paper)]
    if not isinstance(data, dict):
        return [_definitions("", {"value": data}, 0, paper)]
    headed = {name: value for name, value in data.items() if _is_section(value)}
    values = {name: value for name, value in data.items() if name not in headed}
    made = [_definitions("", values, 0, paper)] if values or not headed else []
    for name, value in list(headed.items())[:MOST_SECTIONS]:
        shape = _table if isinstance(value, list) else _definitions
        made.append(shape(name, value, cuts.get(name, 0), paper))
    left = len(headed) - MOST_SECTIONS
    if left > 0 or "" in cuts:
        made[-1]["left"] = max(left, 0) + max(cuts.get("", 0) - len(data), 0)
    return made


def _is_section(value: Any) -> bool:
    return isinstance(value, (dict, list)) and len(value) > 0


def _definitions(name: str, values: Any, of: int, paper: Paper) -> dict[str, Any]:
    rows = []
    for key, value in values.items():
        if paper.room < 0:
            break
        rows.append({"name": short(key), **paper.cell(value)})
        paper.room -= ROW + cost(key)
    return _section("list", name, rows, max(of, len(values)))


def _table(name: str, values: Any, of: int, paper: Paper) -> dict[str, Any]:
    columns = _columns(values)
    rows = []
    for value in values:
        if paper.room < 0:
            break
        paper.room -= ROW
        rows.append([paper.cell(each) for each in _cells(value, columns)])
    section = _section("table", name, rows, max(of, len(values)))
    numbers = [
        all(row[at]["number"] or row[at]["text"] == "–" for row in rows)
        for at in range(max(len(columns), 1) if rows else 0)
    ]
    heads = [short(column) for column in columns] or ["value"]
    section["columns"] = [
        {"text": head, "number": bool(rows) and at < len(numbers) and numbers[at]}
        for at, head in enumerate(heads)
    ]
    section["columns_of"] = len(
        dict.fromkeys(key for v in values if isinstance(v, dict) for key in v)
    )
    return section


def _columns(values: list[Any]) -> list[str]:
    """Return the names that the rows have, in the order in which they come up."""
    names = dict.fromkeys(key for value in values if isinstance(value, dict) for key in value)
    if any(not isinstance(value, dict) for value in values) and names:
        names = {**names, "": None}  # what is no mapping stands in a column without a name
    return list(names)[:MOST_COLUMNS]


def _cells(value: Any, columns: list[str]) -> list[Any]:
    if not columns:
        return [value]
    if isinstance(value, dict):
        return [value.get(column) for column in columns]
    return [value if column == "" else None for column in columns]


def _section(kind: str, name: str, rows: list[Any], of: int) -> dict[str, Any]:
    return {
        "kind": kind, "name": short(name), "rows": rows, "showing": len(rows), "of": of, "left": 0,
    }  # fmt: skip
