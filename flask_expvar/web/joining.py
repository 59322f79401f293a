"""Joining: a registry that is served shares with the other workers of its server."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from typing import Any

from ..pages.histories import Changes, Histories
from ..pages.overview import all_pages
from ..pages.own import own_pages
from ..pages.page import answer
from ..pages.threads_plain import requests_by_ident
from ..settings import Settings
from ..stacks.profiler import profiler
from ..traces.tracer import tracer_of
from ..variables.registry import Registry
from ..variables.runtime import runtime
from ..variables.ticking import keep_ticking
from ..workers.flight import Flights
from ..workers.membership import membership
from .splitting import split_durations


def join_alone(registry: Registry) -> None:
    """Let *registry* share if no blueprint has seen to it: the environment's settings are used.

    :raises SettingError: if one of them is wrong.
    """
    if membership(registry).member is None:
        join(registry, {})


def tick_alone(registry: Registry) -> None:
    """Let *registry* have a history in a process without siblings, whose thread would see to it."""
    if membership(registry).member is None:
        keep_ticking(registry)


def notes_of(registry: Registry) -> tuple[Flights | None, int]:
    """Return where this process notes the requests of *registry*, and what they are known by.

    The first time in each process, faulthandler is told to write there as well.
    """
    shares = membership(registry)
    shares.prepare()
    return shares.flights, shares.key


def join(registry: Registry, config: Mapping[str, Any]) -> Settings:
    """Let *registry* share as *config* and the environment say; return the settings.

    :raises SettingError: if a setting is wrong.
    """
    settings = Settings.load(config, os.environ)
    served = weakref.ref(registry)
    pages = {**all_pages(), Histories.name: Histories(), Changes.name: Changes()}

    def answer_sibling(request: Any) -> Any:
        found = served()
        return {} if found is None else answer({**pages, **own_pages(found)}, found, request)

    def serving() -> dict[int, Any]:
        found = served()
        return {} if found is None else requests_by_ident(tracer_of(found))

    if settings.metrics_names == "otel":
        split_durations(registry)
    runtime.start()
    profiler.serving[registry.name] = serving
    membership(registry).join(settings.directory, os.environ, answer_sibling)
    return settings
