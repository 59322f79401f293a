"""``/debug/``: what this program is, how it fares, and where to look further."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from typing import Any

from ..variables.reading import Part, nest
from ..variables.registry import Registry
from .config import Config
from .events import Events
from .flags import Flags
from .moments import duration
from .own import own_pages
from .page import Page, Query, Scene
from .queue import Queue
from .threads import Threads
from .traces import Traces
from .vars import JSON, Vars, builtins, rows
from .vars_table import plain, quantile, seconds, visible


class Overview:
    """The first page.

    :param pages: the other pages, by name.
    """

    name = ""
    title = "Overview"
    about = "Everything at a glance"

    def __init__(self, pages: Mapping[str, Page]) -> None:
        self._pages = pages

    def wants(self, scene: Scene, part: Part) -> bool:
        """Ask for what the variables page asks for: the build's texts."""
        return self._pages["vars"].wants(scene, part)

    def collect(self, registry: Registry, query: Query) -> Any:
        """Return this process's texts."""
        return self._pages["vars"].collect(registry, query)

    def machine(self, scene: Scene, twin: bool) -> tuple[str, str]:
        """Return the pages and what was built."""
        data = self.html(scene)
        return json.dumps(data, allow_nan=False, sort_keys=True) + "\n", JSON

    def html(self, scene: Scene) -> dict[str, Any]:
        """Return the data of the template."""
        tree = nest(rows(scene))
        base = builtins(scene)
        process = base["process"]
        return {
            "build": build_info(tree),
            "started": _when(process.get("startTime")),
            "uptime": duration(process.get("uptimeSeconds", 0)),
            "host": socket.gethostname(),
            "python": f"{base['python']['implementation']} {base['python']['version']}",
            "workers": [_worker(pid, figure) for pid, figure in base["workers"].items()],
            "missing": scene.missing,
            "tiles": tiles(tree, process),
            "codes": [
                {"key": visible(key), "value": plain(value)}
                for key, value in _map(tree, "http/responseCodeCount").items()
            ],
            "routes": routes(_map(tree, "http/requestSeconds")),
            "pages": [
                {"name": page.name, "title": page.title, "href": page.name, "about": page.about}
                for page in (*self._pages.values(), *own_pages(scene.registry).values())
                if page.name
            ],
            "empty": not _map(tree, "http/responseCodeCount"),
        }


def _map(tree: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = tree.get(name)
    return value if isinstance(value, dict) else {}


def build_info(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first published version and source date, whatever their prefix."""
    names = ("version", "sourceDateStr", "sourceDateTimestamp")
    for name in tree:
        prefix, _, last = name.rpartition("/")
        if last == "version" and f"{prefix}/sourceDateStr" in tree:
            return {key: tree.get(f"{prefix}/{key}") for key in names}
    return {}


def tiles(tree: Mapping[str, Any], process: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the figures that tell at a glance whether all is well."""
    codes = _map(tree, "http/responseCodeCount")
    total = sum(codes.values())
    errors = sum(count for code, count in codes.items() if code.startswith("5"))
    flying = tree.get("http/requestsInFlight", 0)
    share = 100 * errors / total if total else 0.0
    state = "none" if not total else "ok" if share < 1 else "warn" if share < 5 else "err"
    dropped = tree.get("expvar/dropped", 0)
    return [
        _tile("Requests", plain(total), "since the start, all workers", "none"),
        _tile("Server errors", plain(errors), f"{share:.2g}% of all", state),
        _tile("In flight", plain(flying), "bodies not closed yet", "none"),
        _tile("Memory", size(process.get("residentMemoryBytes", 0)), "resident", "none"),
        _tile("Threads", plain(process.get("threads", 0)), "of the system", "none"),
        _tile("Dropped", plain(dropped), "counts", "warn" if dropped else "ok"),
    ]


def _tile(label: str, value: str, note: str, state: str) -> dict[str, str]:
    return {"label": label, "value": value, "note": note, "state": state}


def routes(histograms: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the twenty routes that are asked most, with their latency."""
    most = sorted(histograms.items(), key=lambda item: -item[1]["count"])[:20]
    return [
        {
            "route": visible(route),
            "count": plain(value["count"]),
            "mean": seconds(value["sum"] / value["count"]),
            "p95": quantile(value, 0.95),
        }
        for route, value in most
        if value["count"]
    ]


def _worker(pid: str, figure: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "pid": int(pid),
        "slot": figure["slot"],
        "uptime": duration(figure["uptimeSeconds"]),
        "rss": size(figure["residentMemoryBytes"]),
        "cpu": f"{figure['cpuSeconds']:.1f} s",
        "threads": figure["threads"],
        "open_files": figure["openFiles"],
        "role": "worker",
    }


def _when(stamp: float | None) -> str:
    if stamp is None:
        return "–"
    return time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(stamp))


def size(count: float) -> str:
    """Return a number of bytes with a binary unit.

    >>> size(43201331)
    '41.2 MiB'
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.1f} {unit}" if unit != "B" else f"{count:.0f} B"
        count /= 1024
    return ""


def all_pages() -> dict[str, Page]:
    """Return every page by name, the overview under the empty one."""
    every: tuple[Page, ...] = (
        Vars(),
        Traces(),
        Events(),
        Threads(),
        Queue(),
        Flags(),
        Config(),
    )
    pages = {page.name: page for page in every}
    return {"": Overview(pages), **pages}
