"""Milliseconds of one read of ``/debug/vars`` by a worker among others."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.test import create_environ

from flask_expvar import blueprint
from flask_expvar.pages import vars as vars_page
from flask_expvar.pages.metrics import Metrics
from flask_expvar.pages.page import scene
from flask_expvar.variables.registry import Registry

from .contest import Samples, repeated, serve, timed
from .workers import TOKEN, joined

TIMES = 4


def page(registry: Registry) -> Callable[[], None]:
    """Return a function that builds the text for programs."""
    shown = vars_page.Vars()

    def read() -> None:
        shown.machine(scene(shown, registry, {}), False)

    return read


def metrics(registry: Registry) -> Callable[[], None]:
    """Return a function that builds the text for Prometheus."""
    shown = Metrics()

    def read() -> None:
        shown.machine(scene(shown, registry, {}), False)

    return read


def cold(read: Callable[[], None]) -> Callable[[], None]:
    """Let *read* find no figures of processes kept from a second ago: as a scraper does."""

    def anew() -> None:
        vars_page._figures.clear()
        read()

    return anew


def request(registry: Registry, folder: Path) -> Callable[[], None]:
    """Return a function that asks the application for the page, with a token."""
    app = Flask("bench")
    app.config.update(EXPVAR_TOKEN=TOKEN, EXPVAR_DIR=str(folder))
    app.register_blueprint(blueprint(registry=registry))
    environ = create_environ("/debug/vars", headers={"Authorization": f"Bearer {TOKEN}"})
    answer: list[str] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Callable[..., Any]:
        answer[:] = [status]
        return b"".join

    def ask() -> None:
        body = app(dict(environ), start_response)
        text = b"".join(body)
        close = getattr(body, "close", None)
        if close is not None:
            close()
        assert answer == ["200 OK"], (answer, text[:200])

    return ask


def main(folder: Path, series: int) -> None:
    """Answer with one sample of each way to read, or with who is there."""
    registry = joined(folder, series)
    ask = request(registry, folder)
    loops = {
        "page": repeated(page(registry)),
        "metrics": repeated(metrics(registry)),
        "cold": repeated(cold(page(registry))),
        "request": repeated(ask),
        "cold request": repeated(cold(ask)),
    }

    def sample() -> Samples:
        names = random.sample(list(loops), len(loops))
        return {name: 1e3 * timed(loops[name], TIMES) for name in names}

    def check() -> dict[str, int]:
        shown = vars_page.Vars()
        found = scene(shown, registry, {})
        told = json.loads(shown.machine(found, False)[0])
        sums = told["bench/map0"]
        return {
            "series": sum(len(told[name]) for name in told if name.startswith("bench/map")),
            "live": len(found.workers),
            "slots": len(found.parts),
            "sum": next(iter(sums.values())),
        }

    serve({"sample": sample, "check": check})


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
