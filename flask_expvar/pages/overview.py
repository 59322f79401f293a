"""``/debug/``: what this program is, how it fares, and where to look further."""

from __future__ import annotations

import json
import shlex
import socket
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..variables.reading import Part, nest
from ..variables.registry import Registry
from ..variables.said import String
from .config import Config
from .events import Events
from .flags import Flags
from .links import query_string
from .memory import Memory
from .metrics import Metrics
from .moments import duration
from .overview_charts import charts, tiles
from .overview_now import dead, failures, section, slowest, tell_now, trends, unmade, whole
from .own import own_pages
from .page import Page, Query, Scene
from .profile import ProfilePage
from .queue import Queue
from .threads import Threads
from .traces import Traces
from .trends import SPANS, span_of
from .units import size
from .vars import JSON, Vars, builtins, rows, said, told
from .vars_table import plain, quantile, seconds, visible

#: What is published of a build, below its prefix.
BUILD = ("version", "sourceDateStr", "sourceDateTimestamp")


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
        """Ask every worker: histories and traces are in no file.

        :raises ParameterError: before anybody is asked, if a parameter is not allowed.
        """
        span_of(scene.query)
        return True

    def collect(self, registry: Registry, query: Query) -> Any:
        """Return this process's texts, its history, and what it is doing.

        No function of the program is called that is not shown: this page has to come at once.
        """
        texts = [
            (path, var)
            for path, var in said(registry)
            if isinstance(var, String) or path[-1].rpartition("/")[2] in BUILD
        ]
        return {"said": told(texts), **tell_now(registry, query)}

    def machine(self, scene: Scene, twin: bool) -> tuple[str, str]:
        """Return the pages, what was built, and the points of the charts."""
        data = {key: value for key, value in self.html(scene).items() if key != "charts"}
        return json.dumps(data, allow_nan=False, sort_keys=True) + "\n", JSON

    def html(self, scene: Scene) -> dict[str, Any]:
        """Return the data of the template."""
        span_of(scene.query)
        answers = scene.answers
        texts = replace(scene, answers={pid: answer["said"] for pid, answer in answers.items()})
        tree = nest(rows(texts))
        base = builtins(texts)
        scene.broken.update(unmade(scene))
        worker = scene.query.text("worker")
        past, second = trends(answers, "history"), trends(answers, "second")
        process = base["process"]
        return {
            "build": build_info(tree),
            "started": _when(process.get("startTime")),
            "uptime": duration(process.get("uptimeSeconds", 0)),
            "host": socket.gethostname(),
            "python": f"{base['python']['implementation']} {base['python']['version']}",
            "command": visible(shlex.join(base["cmdline"]))[:500],
            "workers": [_worker(pid, figure) for pid, figure in base["workers"].items()],
            "missing": scene.missing,
            "tiles": tiles(tree, process, second, past, whole(answers, "queues")),
            "span": span_of(scene.query),
            "spans": [
                {"name": name, "href": query_string({"worker": worker, "span": name})}
                for name in SPANS
            ],
            "charts": section(lambda: charts(past), scene.sensitive),
            "history": past,
            "failed": section(lambda: failures(answers, worker), scene.sensitive),
            "running": section(lambda: slowest(answers, worker), scene.sensitive),
            "dead": section(
                lambda: dead(scene.registry, scene.only.pid if scene.only else None),
                scene.sensitive,
            ),
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
    for name in tree:
        prefix, _, last = name.rpartition("/")
        if last == "version" and f"{prefix}/sourceDateStr" in tree:
            return {key: tree.get(f"{prefix}/{key}") for key in BUILD}
    return {}


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


def all_pages() -> dict[str, Page]:
    """Return every page by name, the overview under the empty one."""
    every: tuple[Page, ...] = (
        Vars(),
        Metrics(),
        Traces(),
        Events(),
        Threads(),
        ProfilePage(),
        Memory(),
        Queue(),
        Flags(),
        Config(),
    )
    pages = {page.name: page for page in every}
    return {"": Overview(pages), **pages}
