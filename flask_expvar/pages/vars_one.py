"""The past on ``/debug/vars``: trends in the table, and one variable with its charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..exceptions import UnknownError
from ..variables.layout import Spec
from .charts import MOST_SERIES, bar_chart, heat_map, line_chart, spark, summed
from .histories import MOST, ask_histories
from .links import query_string
from .moments import offset
from .page import Scene
from .trends import SPANS, lately, merged, percentiles, span_of
from .units import number
from .vars_filter import NAMES
from .vars_table import plain, row, visible, weight

#: Of one variable so many workers' own values are shown.
WORKERS = 50
#: Points of the little lines: five minutes, one every five seconds.
STEP, MINUTE = 5, 12


def with_trends(scene: Scene, found: dict[str, Any]) -> dict[str, Any]:
    """Return the data of the table with the last five minutes of its first rows."""
    names = [each["name"] for each in found["rows"][:MOST]]
    past = _past(scene, names, STEP, False)
    for each in found["rows"]:
        series = past["series"].get(each["name"], {"points": [], "mode": "max"})
        rate = lately(series["points"], MINUTE) if series["mode"] is None else None
        each["trend"] = spark(series["points"])
        each["rate"] = "" if rate is None else f"{number(rate)}/s"
    return {**found, "view": "table", "keep": _kept(found["query"])}


def _past(scene: Scene, names: Sequence[str], step: int, parts: bool) -> dict[str, Any]:
    return scene.section("The past", lambda: ask_histories(scene, names, step, parts), merged(()))  # type: ignore[no-any-return]


def _kept(given: Mapping[str, Any]) -> str:
    return query_string({name: given[name] for name in NAMES})[1:]


def one_data(
    scene: Scene, name: str, described: dict[str, Any] | None, builtins: Mapping[str, Any]
) -> dict[str, Any]:
    """Return one variable with its kind, its help, the workers' values and its past.

    :raises UnknownError: if it is not there.
    """
    if described is None and name in builtins:
        described = {"kind": "runtime", "help": "", "label": None, "multiprocess_mode": None,
                     "value": builtins[name], "workers": {}}  # fmt: skip
    if described is None:
        raise UnknownError(f"There is no variable {name!r}.", link=("vars", "All variables"))
    span = span_of(scene.query)
    past = _past(scene, [name], SPANS[span], True)
    return {
        "name": name,
        **described,
        "span": span,
        "step": past["step"],
        "end": past["end"],
        "history": past["series"].get(name),
        "missing": scene.missing,
    }


def one_html(
    scene: Scene,
    name: str,
    described: dict[str, Any] | None,
    builtins: Mapping[str, Any],
    errors: Mapping[tuple[str, ...], str],
) -> dict[str, Any]:
    """Return the data of the template for one variable.

    :raises UnknownError: if it is not there.
    """
    data = one_data(scene, name, described, builtins)
    spec = Spec(data["kind"], name, data["help"], mode=data["multiprocess_mode"])
    runtime = data["kind"] == "runtime"
    worker = scene.query.text("worker")
    charts = charts_of(data)
    return {
        "view": "one",
        "keep": query_string({"name": name, "span": data["span"]})[1:],
        "row": row(name, None if runtime else spec, data["value"], errors),
        "span": data["span"],
        "spans": [
            {"name": span, "href": query_string({"name": name, "worker": worker, "span": span})}
            for span in SPANS
        ],
        "charts": charts,
        "zoom": zoom(data) if charts else None,
        "all": "vars" + query_string({"worker": worker}).rstrip("?"),
        "workers": [
            {"pid": pid, "text": _short(value)} for pid, value in data["workers"].items()
        ][:WORKERS],
        "of": len(data["workers"]),
    }  # fmt: skip


def _short(value: Any) -> str:
    if isinstance(value, dict) and "buckets" in value:
        return f"{value['count']:,} observations"
    if isinstance(value, dict):
        total = sum(map(weight, value.values()))
        return f"{len(value):,} {'key' if len(value) == 1 else 'keys'}, together {plain(total)}"
    return plain(value)


def charts_of(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the charts of one variable: what suits its kind."""
    past = data["history"]
    if past is None:
        return []
    around: dict[str, Any] = {"step": data["step"], "end": data["end"]}
    unit = "" if past["mode"] else "/s"
    title = "Value" if past["mode"] else "Per second"
    found = []
    if past.get("keys"):
        found.append(bar_chart("keys", f"{title}, by key", largest(past["keys"]), unit=unit,
                               **around))  # fmt: skip
    else:
        found.append(line_chart("value", title, {"all": past["points"]}, unit=unit, **around))
    if past.get("buckets"):
        lines = {f"p{share:g}": percentiles(past, share / 100) for share in (50, 95, 99)}
        found.append(line_chart("percentiles", "Percentiles", lines, unit="s", **around))
        found.append(heat_map("heat", "Distribution", past["bounds"], past["buckets"], **around))
    return found


def largest(keys: Mapping[str, list[float | None]]) -> dict[str, list[float | None]]:
    """Return the lines of a map's keys, the largest first; small ones as one."""
    weighed = sorted(keys.items(), key=lambda item: -sum(v or 0.0 for v in item[1]))
    shown = {visible(key): points for key, points in weighed[: MOST_SERIES - 1]}
    rest = [points for _, points in weighed[MOST_SERIES - 1 :]]
    if len(rest) == 1:
        shown[visible(weighed[-1][0])] = rest[0]
    elif rest:
        shown[f"{len(rest)} others"] = summed(rest)
    return shown


def zoom(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a script needs for a chart that one can zoom into."""
    past = data["history"]
    lines = largest(past["keys"]) if past.get("keys") else {data["name"]: past["points"]}
    count = len(past["points"])
    return {
        "unit": "" if past["mode"] else "per second",
        "offset": offset(data["end"]),
        "times": [data["end"] - data["step"] * (count - 1 - place) for place in range(count)],
        "names": list(lines),
        "lines": list(lines.values()),
    }
