"""The tables of ``/debug/events``: families, lists and single logs as people read them."""

from __future__ import annotations

from typing import Any

from .events_question import PAGES, Question
from .moments import duration, iso, when, zone
from .texts import cost, opened, short
from .traces_table import delta
from .vars_table import visible

#: Bytes of names and links on one page: what is more is not shown, and counted.
MOST_BYTES = 1_200_000
#: A list of so few logs, or entries, is open from the start.
FEW_LOGS, FEW_ENTRIES = 10, 8
HEADS = (
    "Total", "Errors <10 s", "<1 min", "<10 min", "<1 h", "<10 h", "Errors ever",
)  # fmt: skip
TABS = ("all", "errors <10 s", "<1 min", "<10 min", "<1 h", "<10 h", "errors ever")
WHAT = (
    "", "with an error in the last 10 s", "with an error in the last minute",
    "with an error in the last 10 min", "with an error in the last hour",
    "with an error in the last 10 h", "that ever had an error",
)  # fmt: skip


def matrix_html(data: dict[str, Any], asked: Question) -> dict[str, Any]:
    """Return the data of the matrix family × (total, age of the last error)."""
    rows, left = [], MOST_BYTES
    for family in data["families"]:
        row = _family_row(family, asked)
        left -= row["cost"]
        if left < 0:
            break
        rows.append(row)
    return {
        "heads": HEADS,
        "rows": rows,
        "showing": len(rows),
        "of": data["of"],
        "search": search(asked),
    }


def _family_row(family: dict[str, Any], asked: Question) -> dict[str, Any]:
    name = family["family"]
    cells = [
        {"text": f"{count:,}", "href": asked.link(fam=name, b=column) if count else ""}
        for column, count in enumerate(family["counts"])
    ]
    href = asked.link(fam=name)
    links = sum(len(cell["href"]) for cell in cells) + len(href)
    return {"name": name, "href": href, "cells": cells, "cost": cost(name) + links + 600}


def search(asked: Question) -> dict[str, Any]:
    """Return what the form for searching holds."""
    return {
        "q": asked.text,
        "fam": asked.family,
        "b": str(asked.column) if asked.column else "",
        "exp": "1" if asked.expanded else "",
        "worker": asked.given.get("worker", ""),
        "clear": asked.link(fam=asked.family) if asked.text else "",
    }


def list_html(data: dict[str, Any], asked: Question) -> dict[str, Any]:
    """Return the data of a list of logs."""
    logs = data["logs"]
    more = asked.wanted < data["of"]
    return {
        "family": asked.family,
        "what": WHAT[asked.column],
        "zone": zone(),
        "logs": [_listed(each, asked, len(logs)) for each in logs],
        "showing": len(logs),
        "first": asked.wanted - asked.limit + 1,
        "of": data["of"],
        "scanned": data["scanned"],
        "candidates": data["candidates"],
        "searched": bool(asked.text),
        "previous": asked.same(page=asked.page - 1) if asked.page > 1 else "",
        "next": asked.same(page=asked.page + 1) if more and asked.page < PAGES else "",
        "deepest": more and asked.page >= PAGES,
        "tabs": [
            {
                "text": text,
                "href": asked.same(b=column or "", page=""),
                "on": asked.column == column,
            }
            for column, text in enumerate(TABS)
        ],
        "toggle": {
            "text": "Fewer entries" if asked.expanded else "More entries, opened",
            "href": asked.same(exp="" if asked.expanded else 1),
        },
        "families": asked.link(),
        "search": search(asked),
    }


def _listed(log: dict[str, Any], asked: Question, count: int) -> dict[str, Any]:
    shown = log_head(log, asked)
    few = count <= FEW_LOGS and len(log["entries"]) <= FEW_ENTRIES
    return {**shown, "open": asked.expanded or few}


def log_head(log: dict[str, Any], asked: Question) -> dict[str, Any]:
    """Return what is shown of a log, in a list and alone."""
    age = log["error_age"]
    before = log["kept"] - len(log["entries"])
    worker, arbiter = log["worker"], "arbiter" in log
    return {
        "family": log["family"],
        "title": short(log["title"]) or "(no title)",
        # Workers that were forked from one process have logs with the same ids.
        "href": asked.link(id=log["id"], worker="" if arbiter else worker),
        "started": _moment(log["started"]),
        "age": duration(log["seconds"]),
        "active": _moment(log["active"]),
        "idle": duration(log["idle"]),
        "errors": f"{log['errors']:,}",
        "failed": log["errors"] > 0,
        "error_age": "" if age is None else duration(age),
        "worker": f"{worker} (arbiter)" if arbiter else worker,
        "entries": _rows(log["entries"], log["active"]),
        "showing": len(log["entries"]),
        "of": log["kept"] + log["dropped"],
        "earlier": f"{before:,} earlier" if before else "",
        "dropped": log["dropped"],
        "stack": [visible(_place(frame)) for frame in log["stack"]],
        "frames": log["frames"] - len(log["stack"]),
        "made": _made(log["stack"]),
    }


def _moment(stamp: float) -> dict[str, str]:
    return {"text": when(stamp), "iso": iso(stamp)}


def _rows(entries: list[dict[str, Any]], active: float) -> list[dict[str, Any]]:
    rows, day = [], when(active).partition(" ")[0]
    for entry in entries:
        date, _, clock = when(entry["when"]).partition(" ")
        rows.append({
            # A log may go on for weeks: the date stands where it is not that of the row above.
            "date": date if date != day else "",
            "clock": clock,
            "iso": iso(entry["when"]),
            "delta": "" if entry["delta"] is None else delta(entry["delta"]),
            "kind": entry["kind"],
            **opened(entry["text"], entry.get("detail", "")),
        })  # fmt: skip
        day = date
    return rows


def _place(frame: dict[str, Any]) -> str:
    return f"{frame['file']}:{frame['line']} in {frame['function']}"


def _made(stack: list[dict[str, Any]]) -> str:
    """Return in short where a log was made."""
    if not stack:
        return ""
    name = stack[0]["file"].replace("\\", "/").rpartition("/")[2]
    return visible(f"{name}:{stack[0]['line']} in {stack[0]['function']}")[:100]


def log_html(data: dict[str, Any], asked: Question) -> dict[str, Any]:
    """Return the data of the view of one log."""
    log, also = data["log"], data["also"]
    # The link to one log names its worker; what leads away from it means all of them again.
    return {
        "log": log_head(log, asked),
        "id": log["id"],
        "zone": zone(),
        "family": {"name": log["family"], "href": asked.link(fam=log["family"], worker="")},
        "families": asked.link(worker=""),
        "also": [{"pid": pid, "href": asked.link(id=log["id"], worker=pid)} for pid in also],
    }
