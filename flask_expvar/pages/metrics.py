"""``/debug/metrics``: the variables of all workers for Prometheus, and what they are for people."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ..settings import Settings
from ..sources.exporter_config import read_renames
from ..variables.layout import Spec
from ..variables.metric import OTEL, Found, Item, Naming, families
from ..variables.openmetrics import Known, Make, text_of
from ..variables.plan import Path, Plan
from ..variables.reading import Part, Row
from ..variables.registry import Registry
from ..variables.runtime import runtime
from .metrics_accept import OPENMETRICS, TEXT, prefers_openmetrics
from .metrics_exemplars import exemplars
from .metrics_sheet import Sheet, processes, python, said
from .metrics_table import Sheets, metrics_html, metrics_json
from .page import Page, Query, Scene
from .vars import JSON, Vars, by_worker, said_by_all

#: Names that ``name[]`` may ask for at once.
MOST_NAMES = 100


class Metrics:
    """The page of metrics."""

    name = "metrics"
    title = "Metrics"
    about = "The variables for Prometheus, as text or OpenMetrics"

    def __init__(self) -> None:
        #: What variables are called.
        self.naming = Naming()

    def wants(self, scene: Scene, part: Part) -> bool:
        """Ask only who has a String or a Func: numbers are in the files.

        :raises ParameterError: before anybody is asked, if a parameter is not allowed.
        """
        scene.query.choice("format", "text", "openmetrics")
        scene.query.choice("by", "worker")
        return Vars().wants(scene, part)

    def collect(self, registry: Registry, query: Query) -> Any:
        """Return this process's Strings and Funcs."""
        return Vars().collect(registry, query)

    def is_plain(self, query: Query) -> bool:
        """Return whether a browser wants the text, too."""
        return query.choice("format", "text", "openmetrics") != "" or "name[]" in query.given

    def machine(self, scene: Scene, twin: bool) -> tuple[str, str]:
        """Return the text in the format that the client prefers."""
        query = scene.query
        form, each = query.choice("format", "text", "openmetrics"), query.choice("by", "worker")
        wanted = query.every("name[]", MOST_NAMES)
        if twin:
            every = sheets(scene, self.naming, each != "")
            data = {**metrics_json(every), "workers": [part.pid for part in scene.workers]}
            data["missing"] = scene.missing
            return json.dumps(data, allow_nan=False, sort_keys=True) + "\n", JSON
        openmetrics = form == "openmetrics" if form else prefers_openmetrics(scene.accept)
        text = exposition(scene, self.naming, openmetrics, each != "")
        if wanted:
            text = only(text, wanted)
        return (f"{text}# EOF\n", OPENMETRICS) if openmetrics else (text, TEXT)

    def html(self, scene: Scene) -> dict[str, Any]:
        """Return the rows of the table, filtered by ``q``."""
        each = scene.query.choice("by", "worker") != ""
        return metrics_html(sheets(scene, self.naming, each), scene.query)


def configure(pages: Mapping[str, Page], settings: Settings) -> None:
    """Let the page of metrics among *pages* name variables as *settings* say.

    :raises SettingError: if the exporter's file cannot be read.
    """
    page = pages.get("metrics")
    if isinstance(page, Metrics):
        page.naming = naming_of(settings)


def naming_of(settings: Settings) -> Naming:
    """Return what variables are called: by the exporter's file first.

    :raises SettingError: if it cannot be read.
    """
    chosen = read_renames(settings.exporter_config) if settings.exporter_config else ()
    return Naming((*chosen, *(OTEL if settings.metrics_names == "otel" else ())))


def exposition(scene: Scene, naming: Naming, openmetrics: bool, each: bool = False) -> str:
    """Return all metrics as text, without the end mark of OpenMetrics.

    :param each: whether each worker has lines of its own.
    """
    if each or scene.only is not None:
        items = items_of(scene, each)
        odd = frozenset(item.path[0] for item in items if _is_odd(item))
        found = families(items, naming, odd)
        text = text_of(found.families, items, Known(items), openmetrics)
    else:
        plan = scene.registry.plan(scene.parts)
        gone: frozenset[Any] = frozenset()
        if any(part.deletions for part in scene.parts):
            shown = {row.path for row in scene.registry.rows(scene.parts)}
            gone = frozenset(entry.path for entry in plan.order if entry.path not in shown)
        form = plan.once(Make(naming, openmetrics, gone=gone))
        live = [part.live for part in scene.parts]
        text = form.filled(live, exemplars(scene.registry) if openmetrics else {})
        found = form.found
    return text + sheet_of(scene, found, naming, each).text(openmetrics)


def sheet_of(scene: Scene, found: Found, naming: Naming, each: bool) -> Sheet:
    """Return the metrics beside those of *found*: of processes, of texts and functions."""
    sheet = Sheet(found)
    texts = scene.registry.plan(scene.parts).once(_texts)
    if texts:
        values = said_by_all(scene)
        each_said = [Row(path, spec, values.get(path)) for path, spec in texts]
        said(sheet, each_said, {each.expvar: each for each in reversed(naming.renames)})
    processes(sheet, by_worker(scene), len(scene.missing), each or scene.only is not None)
    own = runtime.registry
    parts = scene.parts if own.store is scene.registry.store else own.parts()
    python(sheet, runtime.generations(parts, scene.only))
    return sheet


def _texts(plan: Plan) -> list[tuple[Path, Spec]]:
    order = [(entry.path, entry.spec) for entry in plan.order]
    return [(path, spec) for path, spec in order if spec.kind in ("string", "func")]


def items_of(scene: Scene, each: bool) -> list[Item]:
    """Return the variables with their values: over all workers, of one, or of each."""
    registry = scene.registry
    if not each and scene.only is None:
        return [Item(row.path, row.spec, row.value) for row in registry.rows(scene.parts)]
    found = [
        Item(row.path, row.spec, row.value, (("slot", str(part.slot)),) if each else ())
        for part in scene.workers
        for row in registry.rows_of(part)
    ]
    return sorted(found, key=lambda item: item.path)


def sheets(scene: Scene, naming: Naming, each: bool) -> Sheets:
    """Return every family with the items that its series count in, and what makes none."""
    items = items_of(scene, each)
    found = families(items, naming, frozenset(item.path[0] for item in items if _is_odd(item)))
    sheet = sheet_of(scene, found, naming, each)
    every: list[Any] = [(family, items) for family in found.families]
    every += [(family, sheet.items) for family in sheet.taken.families]
    every.sort(key=lambda pair: pair[0].name)
    return every, {**found.left, **sheet.taken.left}


def _is_odd(item: Item) -> bool:
    kind, value = item.spec.kind, item.value
    return kind in ("int", "float") and item.spec.mode is None and not value >= 0


def only(text: str, wanted: list[str]) -> str:
    """Return the families of *text* of which a sample, or the family itself, is *wanted*."""
    kept = []
    # Line ends are real ones: in labels and help they are escaped.
    for block in re.split("^# HELP ", text, flags=re.MULTILINE)[1:]:
        name, lines = block.partition(" ")[0], block.split("\n")
        samples = {line.partition("{")[0].partition(" ")[0] for line in lines[1:]}
        if not samples.isdisjoint(wanted) or name in wanted:
            kept.append(f"# HELP {block}")
    return "".join(kept)
