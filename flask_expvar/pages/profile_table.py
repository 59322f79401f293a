"""The tables of ``/debug/profile``: functions, threads and comparisons as people read them."""

from __future__ import annotations

from typing import Any

from ..profiles.readable import said, stack_of, thread_name
from ..profiles.tree import Change, Row, compare, table, tree
from ..stacks.profile import Merge
from .moments import iso, when, zone
from .profile_flame import flame_html, kind_of, percent, short_file
from .profile_question import MOST_ROWS, SORTS, Question
from .vars_table import seconds, visible

KINDS = {"fa": "program", "fl": "library", "fp": "Python"}
#: What a finished profile is offered as: format, what it is called, what it is for.
DOWNLOADS = (
    ("speedscope", "speedscope", "one profile for all threads, by pyinstrument"),
    ("threads", "speedscope by thread", "one profile for each thread"),
    ("folded", "collapsed stacks", "for flamegraph.pl and others"),
    ("pprof", "pprof", "for go tool pprof"),
    ("session", "pyinstrument session", "for pyinstrument --load"),
    ("text", "text", "pyinstrument's tree"),
    ("json", "JSON", "pyinstrument's tree"),
)
CHANGES = 100
THREADS = 100


def result_html(merge: Merge, asked: Question) -> dict[str, Any]:
    """Return the data of the view of one finished profile."""
    rows = table(merge)
    whole = merge.total()
    root = tree(merge, by_thread=asked.by_thread)
    return {
        **head(merge),
        "flame": flame_html(root, asked),
        "by_thread": asked.by_thread,
        "by": asked.same(by="" if asked.by_thread else "thread", focus=""),
        "rows": [_row(row, whole) for row in ordered(rows, asked.sort)[: asked.limit]],
        "showing": min(len(rows), asked.limit),
        "of": len(rows),
        "more": asked.same(limit=MOST_ROWS) if asked.limit < len(rows) else "",
        "heads": [_head(name, asked) for name in SORTS],
        "threads": threads_html(merge),
        "downloads": [
            {"href": asked.link(id=asked.id, format=name), "text": text, "about": about}
            for name, text, about in DOWNLOADS
        ],
        "pyinstrument": asked.link(id=asked.id, format="html"),
        "back": asked.link(),
        "id": asked.id,
        "empty": not whole,
    }


def head(merge: Merge) -> dict[str, Any]:
    """Return when a profile was taken, how, and how far to trust it."""
    return {
        "mode": merge.mode,
        "when": when(merge.started),
        "iso": iso(merge.started),
        "zone": zone(),
        "seconds": seconds(merge.seconds),
        "total": seconds(merge.total() / 1e9),
        "samples": f"{sum(seen.sample.count for seen in merge):,}",
        "workers": merge.workers,
        "said": [visible(said(profile)) for profile in merge.profiles],
        "notes": list(dict.fromkeys(visible(p.note) for p in merge.profiles if p.note)),
    }


def ordered(rows: list[Row], sort: str) -> list[Row]:
    """Return *rows*, which are by what they spent themselves, in another order."""
    if sort == "total":
        return sorted(rows, key=lambda row: -row.total)
    if sort == "samples":
        return sorted(rows, key=lambda row: -row.samples)
    if sort == "name":
        return sorted(rows, key=lambda row: (row.function.name, row.function.file))
    return rows


def _head(name: str, asked: Question) -> dict[str, Any]:
    text = {"self": "Itself", "total": "With calls", "samples": "Samples", "name": "Function"}[name]
    order = "ascending" if name == "name" else "descending"
    on = asked.sort == name
    href = asked.same(sort="" if name == SORTS[0] else name)
    return {"name": name, "text": text, "href": f"{href}#functions", "order": order if on else ""}


def _row(row: Row, whole: int) -> dict[str, Any]:
    whole = whole or 1
    file = row.function.file
    return {
        "name": visible(row.function.name)[:200],
        "file": visible(f"{short_file(file)}:{row.function.first}") if file else "",
        "path": visible(file)[:300],
        "kind": KINDS[kind_of(file)] if file else "",
        "self": seconds(row.own / 1e9) if row.own else "0",
        "self_share": percent(row.own / whole),
        "total": seconds(row.total / 1e9),
        "total_share": percent(row.total / whole),
        "bar": f"{100 * row.own / whole:.2f}",
        "bar_total": f"{100 * row.total / whole:.2f}",
        "samples": f"{row.samples:,}",
    }


def threads_html(merge: Merge) -> list[dict[str, Any]]:
    """Return the threads with their exact CPU time, the busiest first."""
    spent: dict[tuple[int, int], int] = {}
    top: dict[tuple[int, int], tuple[int, str]] = {}
    names: dict[tuple[int, int], str] = {}
    for seen in merge:
        key, weight = (seen.worker, seen.sample.thread), merge.weight(seen.sample)
        spent[key] = spent.get(key, 0) + weight
        names[key] = thread_name(seen)
        if weight >= top.get(key, (0, ""))[0]:
            top[key] = (weight, stack_of(seen.sample)[0].name)
    rows: list[dict[str, Any]] = []
    for profile in merge.profiles:
        for ident, info in profile.threads.items():
            key, cpu = (profile.worker, ident), info.cpu_ns
            known = cpu >= 0 and profile.seconds > 0
            rows.append({
                "worker": profile.worker,
                "name": visible(names.get(key) or info.name or f"thread {ident}")[:200],
                "native": info.native,
                "time": seconds(spent.get(key, 0) / 1e9) if key in spent else "0",
                "cpu": "–" if cpu < 0 else seconds(cpu / 1e9),
                "core": percent(cpu / 1e9 / profile.seconds) if known else "–",
                "top": visible(top[key][1])[:200] if key in top else "",
                "order": (-max(cpu, 0), -spent.get(key, 0)),
            })  # fmt: skip
    return sorted(rows, key=lambda row: row["order"])[:THREADS]


def compared_html(before: Merge, after: Merge, asked: Question) -> dict[str, Any]:
    """Return the data of the view of two profiles side by side."""
    changes = compare(before, after)
    grown = [each for each in changes if max(each.grew, each.total_after - each.total_before) > 0]
    shown = changes[:CHANGES]
    return {
        "before": {**head(before), "href": asked.link(id=asked.before)},
        "after": {**head(after), "href": asked.link(id=asked.id)},
        "swap": asked.link(id=asked.before, before=asked.id),
        "back": asked.link(),
        "grown": len(grown),
        "changes": [_change(each) for each in shown],
        "showing": len(shown),
        "of": len(changes),
        "modes": before.mode != after.mode,
    }


def _change(change: Change) -> dict[str, Any]:
    points = 100 * change.grew
    total = 100 * (change.total_after - change.total_before)
    return {
        "name": visible(change.function.name)[:200],
        "file": visible(short_file(change.function.file)),
        "before": percent(change.before),
        "after": percent(change.after),
        "points": f"{points:+.1f}",
        "total": f"{total:+.1f}",
        "word": "grew" if points >= 0.05 else "shrank" if points <= -0.05 else "same",
        "new": not change.total_before,
        "gone": not change.total_after,
    }
