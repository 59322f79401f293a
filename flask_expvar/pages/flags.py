"""``/debug/flags``: the flags of every worker, those first that were set explicitly."""

from __future__ import annotations

import json
from typing import Any

from ..redaction import HIDDEN
from ..sources.flags import Named, all_flags
from ..sources.values import shown
from ..variables.reading import Part
from ..variables.registry import Registry
from ..variables.runtime import cmdline
from .flags_table import flags_html
from .page import Query, Scene
from .texts import Room, clean
from .vars import JSON
from .vars_table import visible
from .workers_said import merged

TEXT = "text/plain; charset=utf-8"
#: Flags that a worker tells of, and characters of their values before those are cut short.
MOST, TEXTS, SHORT = 2000, 100_000, 60
LONGEST_NAME = 200


class Flags:
    """The page of flags."""

    name = "flags"
    title = "Flags"
    about = "Command-line flags and settings of the server, those first that were set"

    def wants(self, scene: Scene, part: Part) -> bool:
        """Ask every worker: flags are in no file.

        :raises ParameterError: before anybody is asked, if a parameter is not allowed.
        """
        scene.query.text("q", 200)
        return True

    def collect(self, registry: Registry, query: Query) -> Any:
        """Return the flags of this process, secrets hidden."""
        found, failed = all_flags(registry)
        room = Room(TEXTS, SHORT)
        names = sorted(found)
        return {
            "flags": [_told(found[name], room) for name in names[:MOST]],
            "of": len(names),
            "failed": {clean(source): error for source, error in failed.items()},
        }

    def machine(self, scene: Scene, twin: bool) -> tuple[str, str]:
        """Return chasquid's text, or JSON for the twin."""
        data = told(scene)
        if not twin:
            return text(data["flags"]), TEXT
        workers = [part.pid for part in scene.workers]
        data = {**data, "workers": workers, "missing": scene.missing}
        return json.dumps(data, allow_nan=False, sort_keys=True) + "\n", JSON

    def html(self, scene: Scene) -> dict[str, Any]:
        """Return the data of the template."""
        return flags_html(told(scene), scene)


def _told(named: Named, room: Room) -> dict[str, Any]:
    flag = named.flag
    if flag.hidden and flag.value not in (None, ""):
        value = HIDDEN
    else:
        # The flag's own name, not what the page puts in front, tells what is a secret.
        value = shown(flag.name, flag.value, by_name=not flag.safe, most=room.most)
    return {
        "name": one_line(clean(named.name, LONGEST_NAME)),
        "value": room.keep(value),
        "given": flag.given,
        "source": named.source,
    }


def one_line(name: str) -> str:
    """Return *name* so that the first ``=`` after it ends it."""
    return visible(name).replace("=", "\\x3d")


def told(scene: Scene) -> dict[str, Any]:
    """Return the flags of all workers that match ``q``, by name."""
    q = scene.query.text("q", 200).casefold()
    order = [part.pid for part in scene.workers]
    answers = {pid: answer["flags"] for pid, answer in scene.answers.items()}
    rows = sorted(merged(answers, lambda row: row["name"], order), key=lambda row: row["name"])
    found = [row for row in rows if q in row["name"].casefold() or q in row["value"].casefold()]
    of = max([len(rows), *(answer["of"] for answer in scene.answers.values())])
    return {
        "flags": found[:MOST],
        "showing": len(found[:MOST]),
        "matching": len(found) if q else of,
        "of": of,
        "failed": [
            {"source": source, "error": error, "worker": pid}
            for pid in order
            for source, error in scene.answers.get(pid, {"failed": {}})["failed"].items()
        ],
        "cmdline": [clean(word, 1000) for word in cmdline()[:100]],
    }


def text(flags: list[dict[str, Any]]) -> str:
    """Return chasquid's format: the set ones, a blank line, all others.

    >>> text([{"name": "port", "value": "80", "given": True}])
    '-port=80\\n\\n'
    """
    blocks = (
        "".join(
            f"-{flag['name']}={visible(flag['value'])}\n"
            for flag in flags
            if flag["given"] is given
        )
        for given in (True, False)
    )
    return "\n".join(blocks)
