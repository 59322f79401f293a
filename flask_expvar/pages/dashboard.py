"""A dashboard of Grafana, made of what a registry has."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..redaction import redact_text
from ..variables.metric import (
    COUNTER,
    HISTOGRAM,
    OTEL,
    SPLIT,
    Family,
    Item,
    Naming,
    Rename,
    Series,
    families,
)  # fmt: skip
from ..variables.registry import Registry

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
CHOSEN = 'job=~"$job", instance=~"$instance"'
WIDTH, HEIGHT = 12, 8
#: Panels of variables: nobody looks at more.
MOST = 100
_UNITS = {"seconds": "s", "bytes": "bytes", "ratio": "percentunit"}


def dashboard(registry: Registry, *, title: str = "flask_expvar", names: str = "expvar") -> str:
    """Return a dashboard of Grafana as JSON: HTTP, the variables of *registry*, the processes.

    Import it in Grafana, which then asks for a data source, jobs and machines.

    :param names: what ``EXPVAR_METRICS_NAMES`` says.
    """
    naming = Naming(OTEL if names == "otel" else ())
    items = [Item(row.path, row.spec, row.value) for row in registry.rows()]
    return _board(families(items, naming).families, naming, title)


def dashboard_of(metrics: Iterable[Mapping[str, Any]], *, title: str = "flask_expvar") -> str:
    """Return the same made of the metrics in ``/debug/metrics.json``, by the names used there.

    :raises KeyError: if it is no such list.
    """
    found = [_told(each) for each in metrics if each["expvar"]]
    used = (Rename(each.source, each.name, "", _label(each)) for each in found)
    return _board(found, Naming(tuple(used)), title)


def _told(metric: Mapping[str, Any]) -> Family:
    series = [Series(0, tuple(each["labels"].items())) for each in metric["series"]]
    return Family(metric["name"], metric["type"], metric["help"], metric["expvar"], series)


def _label(family: Family) -> str:
    return next((name for each in family.series for name, _ in each.labels), "")


def _board(every: Iterable[Family], naming: Naming, title: str) -> str:
    found = sorted(every, key=lambda each: each.name)
    own = [each for each in found if not each.source.startswith(("http/", "expvar/"))]
    parts = (
        ("HTTP", _http(naming)),
        ("Variables", [_of(family) for family in own[:MOST]]),
        ("Processes", _processes()),
    )
    board = {
        "title": title,
        "tags": ["flask_expvar"],
        "timezone": "browser",
        "editable": True,
        "graphTooltip": 1,
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": _variables()},
        "annotations": {"list": []},
        "links": [],
        "panels": _placed(parts),
    }
    return json.dumps(board, indent=2) + "\n"


def _variables() -> list[dict[str, Any]]:
    def values(name: str, query: str) -> dict[str, Any]:
        return {
            "type": "query",
            "name": name,
            "datasource": SOURCE,
            "query": query,
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "current": {"text": ["All"], "value": ["$__all"]},
        }

    return [
        {"type": "datasource", "name": "datasource", "query": "prometheus", "label": "data source"},
        values("job", "label_values(expvar_workers, job)"),
        values("instance", 'label_values(expvar_workers{job=~"$job"}, instance)'),
    ]


def _http(naming: Naming) -> list[dict[str, Any]]:
    def name(variable: str, made: str) -> tuple[str, str]:
        rename = naming.of(variable)
        return (rename.name, rename.label) if rename else (made, "")

    codes, code = name("http/responseCodeCount", "http_response_code_count")
    split = naming.of(f"http/{SPLIT}")
    times, route = name("http/requestSeconds", "http_request_seconds")
    if split is not None:
        times, route = split.name, "http_route"
    flying, _ = name("http/requestsInFlight", "http_requests_in_flight")
    code, route = code or "code", route or "route"
    total = f"sum (rate({codes}_total{{{CHOSEN}}}[$__rate_interval]))"
    errors = f'sum (rate({codes}_total{{{CHOSEN}, {code}=~"5.."}}[$__rate_interval]))'
    return [
        _panel("Answers by code", [(_rate(f"{codes}_total", [code]), f"{{{{{code}}}}}")], "reqps"),
        _panel("Server errors", [(f"({errors} or vector(0)) / {total}", "of all")], "percentunit"),
        _panel("Time by route, 95 of 100 are faster", [_quantile(times, 0.95, [route])], "s"),
        _panel("Requests in flight", [(f"sum by (instance) ({flying}{{{CHOSEN}}})",
                                       "{{instance}}")], "short"),
    ]  # fmt: skip


def _of(family: Family) -> dict[str, Any]:
    labels = sorted({name for each in family.series for name, _ in each.labels})
    legend = " ".join(f"{{{{{label}}}}}" for label in labels) or family.name
    unit = _UNITS.get(family.unit, "short")
    if family.type == HISTOGRAM:
        targets = [_quantile(family.name, share, labels) for share in (0.5, 0.95)]
    elif family.type == COUNTER:
        targets = [(_rate(f"{family.name}_total", labels), legend)]
        unit = "Bps" if unit == "bytes" else unit if unit == "s" else "ops"
    else:
        targets = [(f"sum {_by(labels)}({family.name}{{{CHOSEN}}})", legend)]
    return _panel(family.source, targets, unit, redact_text(family.help))


def _processes() -> list[dict[str, Any]]:
    def each(title: str, name: str, unit: str) -> dict[str, Any]:
        return _panel(title, [(f"{name}{{{CHOSEN}}}", "{{instance}}")], unit)

    cpu = _rate("process_cpu_seconds_total", ["instance"])
    return [
        _panel("Processors in use", [(cpu, "{{instance}}")], "short"),
        each("Memory", "process_resident_memory_bytes", "bytes"),
        each("Workers", "expvar_workers", "short"),
        each("Open files", "process_open_fds", "short"),
        _panel("Garbage collections", [(_rate("python_gc_collections_total", ["generation"]),
                                        "generation {{generation}}")], "ops"),
        _panel("Counts that were dropped", [(_rate("expvar_dropped_total", ["instance"]),
                                             "{{instance}}")], "ops"),
    ]  # fmt: skip


def _by(labels: Sequence[str]) -> str:
    return f"by ({', '.join(labels)}) " if labels else ""


def _rate(name: str, labels: Sequence[str]) -> str:
    return f"sum {_by(labels)}(rate({name}{{{CHOSEN}}}[$__rate_interval]))"


def _quantile(name: str, share: float, labels: Sequence[str]) -> tuple[str, str]:
    rate = _rate(f"{name}_bucket", [*labels, "le"])
    legend = " ".join([f"p{share * 100:g}", *(f"{{{{{label}}}}}" for label in labels)])
    return f"histogram_quantile({share:g}, {rate})", legend


def _panel(
    title: str, targets: Sequence[tuple[str, str]], unit: str, description: str = ""
) -> dict[str, Any]:
    return {
        "type": "timeseries",
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "targets": [
            {
                "refId": chr(ord("A") + at),
                "datasource": SOURCE,
                "expr": expr,
                "legendFormat": legend,
                "exemplar": expr.startswith("histogram_quantile"),
            }
            for at, (expr, legend) in enumerate(targets)
        ],
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
    }


def _placed(parts: Iterable[tuple[str, list[dict[str, Any]]]]) -> list[dict[str, Any]]:
    """Return rows of two panels each, below headings."""
    placed: list[dict[str, Any]] = []
    y = 0
    for title, panels in parts:
        if not panels:
            continue
        heading = {"type": "row", "title": title, "collapsed": False, "panels": []}
        placed.append({**heading, "gridPos": {"x": 0, "y": y, "w": 2 * WIDTH, "h": 1}})
        y += 1
        for at, panel in enumerate(panels):
            x, below = WIDTH * (at % 2), y + HEIGHT * (at // 2)
            place = {"x": x, "y": below, "w": WIDTH, "h": HEIGHT}
            placed.append({**panel, "gridPos": place})
        y += HEIGHT * ((len(panels) + 1) // 2)
    for number, panel in enumerate(placed, 1):
        panel["id"] = number
    return placed
