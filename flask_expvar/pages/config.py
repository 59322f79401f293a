"""``/debug/config``: what every worker is configured with, hidden unless known to be safe."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from ..exceptions import ParameterError
from ..redaction import HIDDEN
from ..sources.config import Section, read, sections
from ..sources.item import Item
from ..sources.loggers import LEVELS, change
from ..variables.reading import Part
from ..variables.registry import Registry
from .config_table import config_html
from .flags import LONGEST_NAME, TEXT
from .page import Query, Scene
from .texts import Room, clean
from .vars import JSON
from .vars_table import visible
from .workers_said import merged

#: Names of a section that a worker tells of, and characters of the values of all of them.
MOST, TEXTS, SHORT = 2000, 100_000, 60


class Config:
    """The page of configuration."""

    name = "config"
    title = "Config"
    actions: ClassVar[Mapping[str, str]] = {"loggers": "loggers"}
    about = "Configuration, environment, server, packages, URL map; hidden unless known to be safe"

    def wants(self, scene: Scene, part: Part) -> bool:
        """Ask every worker: configuration is in no file.

        :raises ParameterError: before anybody is asked, if a parameter is not allowed.
        """
        scene.query.text("q", 200)
        return True

    def collect(self, registry: Registry, query: Query) -> Any:
        """Return what this process is configured with; what is hidden does not leave it."""
        room = Room(TEXTS, SHORT)
        return [_told(section, room) for section in sections(registry)]

    def act(self, registry: Registry, action: str, query: Query) -> dict[str, Any]:
        """Set the level of a logger, for as long as this process lives.

        :raises ParameterError: if a field is missing or not allowed.
        :raises UnknownError: if there is no such logger.
        """
        level = query.choice("level", *LEVELS)
        if not level:
            raise ParameterError("level", "", ", ".join(LEVELS))
        name = query.text("logger", LONGEST_NAME)
        return {"logger": name or "root", "before": change(name, level), "level": level}

    def machine(self, scene: Scene, twin: bool) -> tuple[str, str]:
        """Return sections of ``key: "value"`` lines, or JSON for the twin."""
        found = told(scene)
        if not twin:
            silent = "".join(f"# no answer from {pid}\n" for pid in scene.missing)
            return text(found, silent), TEXT
        workers = [part.pid for part in scene.workers]
        data = {"sections": found, "workers": workers, "missing": scene.missing}
        return json.dumps(data, allow_nan=False, sort_keys=True) + "\n", JSON

    def html(self, scene: Scene) -> dict[str, Any]:
        """Return the data of the template."""
        return config_html(told(scene), scene)


def _told(section: Section, room: Room) -> dict[str, Any]:
    makes, error = read(section)
    # One by one: what the first ones take is not there for the others.
    items = [_item(make(room.most), room) for make in makes[:MOST]]
    return {
        "name": section.name,
        "title": clean(section.title, LONGEST_NAME),
        "items": items,
        "of": len(makes),
        "error": error,
    }


def _item(item: Item, room: Room) -> dict[str, Any]:
    value = room.keep(item.value) if isinstance(item.value, str) else item.value
    return {
        "name": visible(clean(item.name, LONGEST_NAME)),
        "value": value,
        "kind": clean(item.kind, 100),
        "size": item.size,
        "hidden": item.hidden,
        "rule": item.rule,
    }


def told(scene: Scene) -> list[dict[str, Any]]:
    """Return the sections of all workers, with what matches ``q``."""
    order = [part.pid for part in scene.workers]
    known: dict[str, dict[str, Any]] = {}
    for pid in order:
        for section in scene.answers.get(pid, ()):
            known.setdefault(section["name"], section)
    return [_section(section, scene, order) for section in known.values()]


def _section(section: dict[str, Any], scene: Scene, order: list[int]) -> dict[str, Any]:
    name = section["name"]
    by = {
        pid: next((each for each in answer if each["name"] == name), None)
        for pid, answer in scene.answers.items()
    }
    answers = {pid: each["items"] if each else [] for pid, each in by.items()}
    rows = merged(answers, _key(name), order)
    q = scene.query.text("q", 200).casefold()
    found = [row for row in rows if q in row["name"].casefold() or q in _words(row).casefold()]
    errors = {str(pid): each["error"] for pid, each in by.items() if each and each["error"]}
    of = max([len(rows), *(each["of"] for each in by.values() if each)])
    return {
        "name": name,
        "title": section["title"],
        "items": found[:MOST],
        "showing": len(found[:MOST]),
        "matching": len(found) if q else of,
        "of": of,
        "errors": errors,
    }


def _key(section: str) -> Callable[[dict[str, Any]], Any]:
    if section.startswith("urls"):  # where one rule may have several endpoints
        return lambda row: (row["name"], row["value"])
    return lambda row: row["name"]


def _words(row: dict[str, Any]) -> str:
    return row["value"] if isinstance(row["value"], str) else json.dumps(row["value"])


def text(found: list[dict[str, Any]], silent: str = "") -> str:
    """Return the sections as text, a name a line as chasquid has it, remarks after a ``#``."""
    blocks = ("".join(_lines(each)) for each in found if each["items"] or each["errors"])
    return "\n".join([f"# Config\n{silent}", *blocks])


def _lines(section: dict[str, Any]) -> Iterator[str]:
    yield f"## {visible(section['title'])}\n\n"
    for error in dict.fromkeys(section["errors"].values()):
        yield f"# cannot be read: {error}\n"
    for row in section["items"]:
        yield f"{row['name']}: {_written(row)}\n"
    if section["showing"] < section["matching"]:
        yield f"# showing {section['showing']} of {section['of']}\n"


def _written(row: dict[str, Any]) -> str:
    if row["hidden"]:
        about = ", ".join(filter(None, (visible(row["kind"]), row["size"])))
        return f"{HIDDEN} # {row['rule']}; {about}"
    value = row["value"]
    readable = isinstance(value, str) and value.isprintable()
    remark = f" # {row['rule']}" if row["rule"] else ""
    return json.dumps(value, ensure_ascii=not readable) + remark
