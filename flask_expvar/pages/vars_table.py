"""The table of ``/debug/vars``: numbers as people read them, bounded however much there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from .. import _json
from ..variables.layout import Spec
from ..variables.reading import Row, nest
from .links import query_string
from .page import Scene
from .vars_filter import AGES, Filter, clock
from .vars_secrets import help_text
from .visible import visible as visible

#: Rows of a page unless ``limit`` says otherwise, and at the most.
USUAL, MOST = 200, 2000
#: Keys of a map that are shown.
KEYS = 20
#: Prefixes that lead to parts of the table, the largest.
PREFIXES = 40


def table(
    scene: Scene,
    found: list[Row],
    builtins: Mapping[str, Any],
    errors: Mapping[tuple[str, ...], str],
    asked: Filter,
    changed: set[str] | None,
) -> dict[str, Any]:
    """Return the data of the template: the rows that are asked for, at most ``limit``."""
    limit = scene.query.whole("limit", 1, MOST) or USUAL
    tree = nest(found)
    # Not by the name of the function below: Python 3.12.1 then loses that.
    specs = {each.path[0]: each.spec for each in found if len(each.path) == 1}
    every = sorted({**builtins, **tree})
    names = asked.names(every, {**builtins, **tree}, changed)
    rows = [
        row(name, specs.get(name), tree[name] if name in tree else builtins[name], errors)
        for name in names[:limit]
    ]
    for each in rows:
        each["href"] = "?" + _encode({"name": each["name"], "worker": asked.worker})
    return {
        "query": {**asked.given, "worker": asked.worker, "limit": limit},
        "tree": _tree(asked.below(every), asked),
        "ages": AGES,
        "since": "" if asked.moment is None else clock(asked.moment),
        "from_now": asked.link() if asked.since == "now" else "",
        "total": len(every),
        "shown": len(rows),
        "matching": len(names),
        "rows": rows,
        "more": asked.link(limit=str(min(limit * 5, MOST)))
        if len(rows) < len(names) and limit < MOST
        else "",
        "clear": query_string({"worker": asked.worker}) if asked.narrows else "",
    }


def _tree(names: Sequence[str], asked: Filter) -> dict[str, Any]:
    """Return the steps that lead to the prefix, and the prefixes right below it."""
    under = asked.under
    rests = (name[len(under) :].partition("/") for name in names)
    counts = Counter(head + slash for head, slash, _ in rests if slash)
    steps = [under[: at + 1] for at, letter in enumerate(under) if letter == "/"]
    return {
        "above": [_prefix(step, None, asked) for step in ["", *steps]] if under else [],
        "below": [
            _prefix(under + head, count, asked)
            for head, count in sorted(counts.most_common(PREFIXES))
        ],
        "of": len(counts),
    }


def _prefix(prefix: str, count: int | None, asked: Filter) -> dict[str, Any]:
    given = {**asked.given, "q": "", "under": prefix, "worker": asked.worker}
    return {"text": prefix or "all", "count": count, "href": "?" + _encode(given)}


def _encode(given: Mapping[str, str]) -> str:
    return urlencode({key: value for key, value in given.items() if value})


def row(
    name: str, spec: Spec | None, value: Any, errors: Mapping[tuple[str, ...], str]
) -> dict[str, Any]:
    """Return one variable as people read it."""
    kind = spec.kind if spec else "runtime"
    made: dict[str, Any] = {
        "name": name,
        "kind": kind,
        "mode": (spec.mode or "") if spec and kind != "func" else "",
        "help": visible(help_text(spec.help)) if spec else RUNTIME_HELP.get(name, ""),
        "text": "",
        "title": "",
        "pairs": [],
        "rest": "",
        "null": value is None,
        "error": errors.get((name,), "") if value is None else "",
        "bars": [],
        "stats": [],
    }
    if kind == "histogram" and isinstance(value, dict):
        made.update(_histogram(value))
    elif isinstance(value, dict):
        made.update(_pairs(value))
    else:
        made["text"] = plain(value)
        made["title"] = visible(_json.compact(value))[:200]
    return made


def plain(value: Any) -> str:
    """Return *value* as people read it: thousands apart, at most 200 characters."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.6g}"
    text = visible(value if isinstance(value, str) else _json.compact(value))
    return text if len(text) <= 200 else text[:199] + "…"


def _pairs(value: dict[str, Any]) -> dict[str, Any]:
    weighed = sorted(value.items(), key=lambda item: -weight(item[1]))
    shown, rest = weighed[:KEYS], weighed[KEYS:]
    largest = max((weight(inner) for _, inner in shown), default=0)
    pairs = [
        {
            "key": visible(key),
            "text": _summary(inner),
            "share": round(100 * weight(inner) / largest) if largest > 0 else None,
        }
        for key, inner in shown
    ]
    total = sum(weight(inner) for _, inner in rest)
    return {
        "text": f"{len(value):,} {'key' if len(value) == 1 else 'keys'}",
        "pairs": pairs,
        "rest": f"sum of the other {len(rest):,}: {plain(total)}" if rest else "",
    }


def weight(value: Any) -> float:
    """Return how much what is in a map counts in it."""
    if isinstance(value, dict) and "buckets" in value:
        value = value.get("count", 0)
    return max(value, 0) if isinstance(value, (int, float)) else 0


def _summary(value: Any) -> str:
    if isinstance(value, dict) and "buckets" in value:
        return ", ".join(f"{stat['label']} {stat['text']}" for stat in _histogram(value)["stats"])
    return plain(value)


def _histogram(value: dict[str, Any]) -> dict[str, Any]:
    count, total = value["count"], value["sum"]
    below, bars = 0, []
    most = 0
    for le, cumulative in value["buckets"].items():
        bars.append({"le": le, "count": cumulative - below})
        most = max(most, cumulative - below)
        below = cumulative
    stats = [{"label": "count", "text": f"{count:,}"}]
    if count:
        stats.append({"label": "mean", "text": seconds(total / count)})
        for share in (50, 95, 99):
            stats.append({"label": f"p{share}", "text": quantile(value, share / 100)})
    return {
        "text": f"{count:,} observations",
        "stats": stats,
        "bars": [
            {
                "le": bar["le"],
                "text": f"{bar['count']:,}",
                "share": round(100 * bar["count"] / most) if most else 0,
            }
            for bar in bars
        ],
    }


def quantile(value: dict[str, Any], share: float) -> str:
    """Return the bound below which *share* of the observations lie: a bucket tells no more."""
    wanted = share * value["count"]
    last = "0"
    for le, cumulative in value["buckets"].items():
        if cumulative >= wanted:
            return f"> {seconds(float(last))}" if le == "+Inf" else f"≤ {seconds(float(le))}"
        last = le
    return "–"


def seconds(value: float) -> str:
    """Return a duration with the unit that suits it.

    >>> seconds(0.0042)
    '4.2 ms'
    """
    for limit, factor, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms")):
        if abs(value) < limit:
            return f"{value * factor:.3g} {unit}"
    return f"{value:.3g} s"


RUNTIME_HELP = {
    "cmdline": "the command line, its secrets hidden",
    "memstats": "memory and garbage collector, under the names of Go's runtime.MemStats",
    "process": "memory, CPU, files and threads of all workers",
    "python": "the interpreter and its collector",
    "workers": "the live workers by process id",
}
