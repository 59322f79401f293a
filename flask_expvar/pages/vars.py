"""``/debug/vars``: every variable of all workers, as Go's expvar shows it, and for people."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from functools import lru_cache, partial
from typing import Any, TypeAlias

from .. import _json
from ..redaction import redact_text
from ..variables import runtime
from ..variables.figures import figures
from ..variables.reading import Part, Row, nest
from ..variables.registry import Registry
from ..variables.runtime import runtime as own_runtime
from ..variables.said import Func, String
from .functions import outcomes
from .histories import changed_names
from .page import Query, Scene
from .vars_filter import Filter, filter_of
from .vars_one import one_data, one_html, with_trends
from .vars_secrets import help_text, without_secrets
from .vars_table import table
from .vars_text import Form, written

Path: TypeAlias = "tuple[str, ...]"

JSON = "application/json; charset=utf-8"
#: Processes' figures are kept so long: reading them costs more than all of the rest.
_FRESH = 1.0

_figures: dict[int, tuple[float, dict[str, Any]]] = {}


class Vars:
    """The page of variables."""

    name = "vars"
    title = "Variables"
    about = "Counters, gauges and whatever else the program exports"

    def wants(self, scene: Scene, part: Part) -> bool:
        """Ask only who has a String or a Func: numbers are in the files."""
        return any(node.spec.kind != "ring" for node in part.nodes.rare)

    def collect(self, registry: Registry, query: Query) -> Any:
        """Return this process's Strings and Funcs, each with what merging needs."""
        return told(said(registry))

    def machine(self, scene: Scene, twin: bool) -> tuple[str, str]:
        """Return Go's form; ``?full=1`` of the twin adds help, kinds and the workers' values.

        With ``name`` the twin is that one variable, with its past.

        :raises UnknownError: if it is not there.
        """
        name = scene.query.text("name")
        if twin and name:
            described = described_by(scene, name).get(name)
            data = one_data(scene, name, described, builtins(scene))
            return json.dumps(data, allow_nan=False, sort_keys=True) + "\n", JSON
        asked = filter_of(scene.query, scene.now)
        if twin and scene.query.flag("full"):
            return json.dumps(full(scene, asked), allow_nan=False, sort_keys=True) + "\n", JSON
        return (filtered_text(scene, asked) if asked.narrows else go_text(scene)), JSON

    def html(self, scene: Scene) -> dict[str, Any]:
        """Return the rows of the table, filtered by ``q``, or one variable by its ``name``.

        :raises UnknownError: if it is not there.
        """
        errors = {tuple(each["path"]): each["error"] for each in _flat(scene) if each["error"]}
        name = scene.query.text("name")
        if name:
            described = described_by(scene, name).get(name)
            return one_html(scene, name, described, runtime_of(scene), errors)
        asked, found = filter_of(scene.query, scene.now), rows(scene)
        changed = scene.section("What has changed", lambda: changed_names(scene, asked), None)
        return with_trends(scene, table(scene, found, runtime_of(scene), errors, asked, changed))


def said(registry: Registry) -> Iterable[tuple[Path, Func | String]]:
    """Yield the Strings and Funcs of this process with their paths."""
    for node in registry.slot.nodes.rare:
        if node.path[0] == registry.name:
            var = registry.at(node.path[1:])
            if isinstance(var, (Func, String)):
                yield node.path[1:], var


def told(found: Iterable[tuple[Path, Func | String]]) -> list[dict[str, Any]]:
    """Return what Strings and Funcs say, each with what merging needs."""
    each = list(found)
    calls = [(var, partial(_value, path, var)) for path, var in each if isinstance(var, Func)]
    results = iter(outcomes(calls))
    return [
        _told(path, var, *(next(results) if isinstance(var, Func) else (_value(path, var), None)))
        for path, var in each
    ]


def _value(path: Path, var: Func | String) -> Any:
    return without_secrets(path[-1], _json.plain(var.value))


def _told(
    path: Path, var: Func | String, value: Any, failure: BaseException | None
) -> dict[str, Any]:
    error = "" if failure is None else redact_text(f"{type(failure).__name__}: {failure}")[:200]
    when = var.when if isinstance(var, String) else 0
    mode = var._spec.mode or "mostrecent"
    return {"path": path, "mode": mode, "when": when, "value": value, "error": error}


def _flat(scene: Scene) -> list[dict[str, Any]]:
    return [each for pid in sorted(scene.answers) for each in scene.answers[pid]]


def said_by_all(scene: Scene) -> dict[tuple[str, ...], Any]:
    """Return the values of the Strings and Funcs over those who were asked, by path."""
    texts: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for each in _flat(scene):
        texts.setdefault(tuple(each["path"]), []).append(each)
    return {path: merged(each) for path, each in texts.items()}


def rows(scene: Scene) -> list[Row]:
    """Return the variables with the values of Strings and Funcs filled in."""
    only = scene.only
    found = scene.registry.rows_of(only) if only else scene.registry.rows(scene.parts)
    values = said_by_all(scene)
    if not values:
        return found
    return [
        row._replace(value=values[row.path])
        if row.path in values and row.spec.kind in ("string", "func")
        else row
        for row in found
    ]


def merged(each: list[dict[str, Any]]) -> Any:
    """Return one value for what several workers said of the same String or Func."""
    known = [one for one in each if one["value"] is not None]
    if not known:
        return None
    if each[0]["mode"] == "mostrecent":
        return max(known, key=lambda one: one["when"])["value"]
    return combine([one["value"] for one in known], each[0]["mode"])


def combine(values: list[Any], mode: str) -> Any:
    """Merge values by *mode*: numbers by the rule, maps key by key, of anything else the first."""
    if len(values) == 1:
        return values[0]
    if all(isinstance(value, dict) for value in values):
        keys = dict.fromkeys(key for value in values for key in value)
        return {key: combine([v[key] for v in values if key in v], mode) for key in keys}
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        rule: Any = {"max": max, "min": min}.get(mode, sum)
        return rule(values)
    return values[0]


def builtins(scene: Scene) -> dict[str, Any]:
    """Return what the runtime publishes: cmdline, memstats, process, python, workers."""
    each = [figure for part in scene.workers if (figure := _figure(part.pid, scene.now))]
    collected = collector(scene)
    return {
        "cmdline": runtime.cmdline(),
        "memstats": runtime.memstats(each, collected),
        "process": runtime.process(each, scene.now),
        "python": runtime.python(),
        "workers": by_worker(scene, each),
    }


def runtime_of(scene: Scene) -> dict[str, Any]:
    """Return what the runtime publishes; where that fails the page is without it."""
    found: dict[str, Any] = scene.section("What the runtime publishes", lambda: builtins(scene), {})
    return found


def by_worker(scene: Scene, each: Iterable[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Return the figures of each worker's process, by pid."""
    if each is None:
        each = [figure for part in scene.workers if (figure := _figure(part.pid, scene.now))]
    slots = {part.pid: part.slot for part in scene.workers}
    return {
        str(figure["pid"]): {
            "slot": slots[figure["pid"]],
            "uptimeSeconds": round(scene.now - figure["startTime"], 3),
            **{key: value for key, value in figure.items() if key != "pid"},
        }
        for figure in each
    }


def collector(scene: Scene) -> dict[str, Any]:
    """Return what the garbage collectors of the workers have done."""
    own = own_runtime.registry
    if own.store is scene.registry.store:
        return own_runtime.collector(scene.parts, scene.only)
    return own_runtime.collector(own.parts(), None)  # this process counts by itself


def _figure(pid: int, now: float) -> dict[str, Any] | None:
    kept = _figures.get(pid)
    if kept is not None and 0 <= now - kept[0] < _FRESH:
        return kept[1]
    figure = figures(pid)
    if figure is not None:
        if len(_figures) > 1000:
            _figures.clear()
        _figures[pid] = (now, figure)
    return figure


def go_text(scene: Scene) -> str:
    """Return the page as ``expvar.Handler`` of Go writes it."""
    told = builtins(scene)
    given = {name: _json.compact(told[name]) for name in ("cmdline", "python")}
    given |= {name: _json.figures(told[name]) for name in ("process", "workers")}
    given["memstats"] = _memstats_text(told["memstats"])
    # What is deleted has no place in a form, which shows all that a slot holds.
    if scene.only is not None or any(part.deletions for part in scene.parts):
        return written(rows(scene), given)
    form = scene.registry.plan(scene.parts).once(Form)
    return form.filled([part.live for part in scene.parts], said_by_all(scene), given)


def filtered_text(scene: Scene, asked: Filter) -> str:
    """Return the page with the variables that are asked for alone."""
    found, told = rows(scene), builtins(scene)
    tree = nest(found)
    values = {**told, **tree}
    names = set(asked.names(values, values, changed_names(scene, asked)))
    given = {name: _json.compact(told[name]) for name in names & told.keys()}
    return written([row for row in found if row.path[0] in names], given)


def _memstats_text(told: dict[str, Any]) -> str:
    """Return memstats in Go's order; most of it are two lists that seldom change."""
    lists = ("PauseNs", "PauseEnd")
    text = _json.figures({**told, **{name: name for name in lists}}, sort=False)
    for name in lists:
        text = text.replace(f'"{name}":"{name}"', f'"{name}":{_list_text(tuple(told[name]))}')
    return text


@lru_cache(maxsize=8)
def _list_text(numbers: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, numbers))}]"


def full(scene: Scene, asked: Filter) -> dict[str, Any]:
    """Return each variable with its kind, help, rule and the values of each worker."""
    every = described_by(scene)
    values = {name: each["value"] for name, each in every.items()}
    names = asked.names(every, values, changed_names(scene, asked))
    found = {name: every[name] for name in names}
    return {
        "now": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(scene.now)),
        "workers": [part.pid for part in scene.workers],
        "missing": scene.missing,
        "notes": scene.notes,
        "total": len(every),
        "shown": len(found),
        "runtime": builtins(scene),
        "vars": found,
    }


def described_by(scene: Scene, only: str = "") -> dict[str, Any]:
    """Return the variables by name, each with the values of each worker; of *only* one of them."""

    found = [row for row in rows(scene) if not only or row.path[0] == only]
    tree = nest(found)
    shares = {part.pid: nest(scene.registry.rows_of(part, only)) for part in scene.workers}
    said_by = {
        (pid, tuple(each["path"])): each["value"]
        for pid, answers in scene.answers.items()
        for each in answers
    }
    return {
        row.path[0]: _described(row, tree, shares, said_by) for row in found if len(row.path) == 1
    }


def _described(row: Row, tree: Any, shares: Any, said_by: Any) -> dict[str, Any]:
    name, spec = row.path[0], row.spec
    workers = {
        str(pid): said_by.get((pid, row.path), own.get(name))
        for pid, own in shares.items()
        if name in own
    }
    return {
        "kind": spec.kind,
        "help": help_text(spec.help),
        "label": spec.label,
        "multiprocess_mode": spec.mode,
        "value": tree.get(name),
        "workers": workers,
    }
