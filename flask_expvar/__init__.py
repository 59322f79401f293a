"""Debug pages for Flask, as Go programs have them, that stay true over all workers.

::

    app.register_blueprint(expvar.blueprint())  # /debug/...
    app.wsgi_app = expvar.ExpvarMiddleware(app.wsgi_app)

    orders = expvar.new_int("shop/orders", "orders placed")
    orders.add(1)

Names are looked up when they are first used: importing this package imports neither Flask
nor anything else that a program may do without.
"""

from __future__ import annotations

import importlib
import typing as t

if t.TYPE_CHECKING:
    from .exceptions import BadKindError as BadKindError
    from .exceptions import BadNameError as BadNameError
    from .exceptions import ExpvarError as ExpvarError
    from .exceptions import NameTakenError as NameTakenError
    from .exceptions import ParameterError as ParameterError
    from .exceptions import SettingError as SettingError
    from .exceptions import StoreError as StoreError
    from .exceptions import UnknownError as UnknownError
    from .pages.dashboard import dashboard as dashboard
    from .pages.exporter_config import exporter_config as exporter_config
    from .pages.queue_items import QueueItem as QueueItem
    from .pages.queue_items import Recipient as Recipient
    from .pages.queue_sources import from_celery as from_celery
    from .pages.queue_sources import from_queue as from_queue
    from .pages.queue_sources import from_rq as from_rq
    from .pages.registered import register_page as register_page
    from .pages.registered import register_queue as register_queue
    from .sources.flags import register_flags as register_flags
    from .traces.event_log import EventLog as EventLog
    from .traces.events import event_log as event_log
    from .traces.logs import TraceHandler as TraceHandler
    from .traces.logs import lower_loggers as lower_loggers
    from .traces.nothing import NoTrace as NoTrace
    from .traces.trace import Trace as Trace
    from .traces.trace import current_trace as current_trace
    from .traces.tracer import trace as trace
    from .variables.build import publish_build_info as publish_build_info
    from .variables.histogram import Histogram as Histogram
    from .variables.kinds import Float as Float
    from .variables.kinds import Int as Int
    from .variables.kinds import Var as Var
    from .variables.maps import Map as Map
    from .variables.registry import Registry as Registry
    from .variables.registry import default_registry as default_registry
    from .variables.said import Func as Func
    from .variables.said import String as String
    from .web.decision import Level as Level
    from .web.extension import Expvar as Expvar
    from .web.middleware import ExpvarMiddleware as ExpvarMiddleware
    from .web.mounting import blueprint as blueprint

    get = default_registry.get
    new_float = default_registry.new_float
    new_histogram = default_registry.new_histogram
    new_int = default_registry.new_int
    new_map = default_registry.new_map
    new_string = default_registry.new_string
    publish = default_registry.publish
    snapshot = default_registry.snapshot
    unpublish = default_registry.unpublish

_PLACES = {
    "exceptions": (
        "BadKindError", "BadNameError", "ExpvarError", "NameTakenError", "ParameterError",
        "SettingError", "StoreError", "UnknownError",
    ),
    "pages.dashboard": ("dashboard",),
    "pages.exporter_config": ("exporter_config",),
    "pages.queue_items": ("QueueItem", "Recipient"),
    "pages.queue_sources": ("from_celery", "from_queue", "from_rq"),
    "pages.registered": ("register_page", "register_queue"),
    "sources.flags": ("register_flags",),
    "traces.event_log": ("EventLog",),
    "traces.events": ("event_log",),
    "traces.logs": ("TraceHandler", "lower_loggers"),
    "traces.nothing": ("NoTrace",),
    "traces.trace": ("Trace", "current_trace"),
    "traces.tracer": ("trace",),
    "variables.build": ("publish_build_info",),
    "variables.histogram": ("Histogram",),
    "variables.kinds": ("Float", "Int", "Var"),
    "variables.maps": ("Map",),
    "variables.registry": ("Registry", "default_registry"),
    "variables.said": ("Func", "String"),
    "web.decision": ("Level",),
    "web.extension": ("Expvar",),
    "web.middleware": ("ExpvarMiddleware",),
    "web.mounting": ("blueprint",),
}  # fmt: skip
#: Verbs of the default registry.
_VERBS = (
    "get", "new_float", "new_histogram", "new_int", "new_map", "new_string", "publish",
    "snapshot", "unpublish",
)  # fmt: skip
_HOMES = {name: place for place, names in _PLACES.items() for name in names}

__all__ = [
    "BadKindError", "BadNameError", "EventLog", "Expvar", "ExpvarError", "ExpvarMiddleware",
    "Float", "Func", "Histogram", "Int", "Level", "Map", "NameTakenError", "NoTrace",
    "ParameterError", "QueueItem", "Recipient", "Registry", "SettingError", "StoreError",
    "String", "Trace", "TraceHandler", "UnknownError", "Var", "blueprint", "current_trace",
    "dashboard", "default_registry", "event_log", "exporter_config", "from_celery", "from_queue",
    "from_rq", "get",
    "lower_loggers", "new_float", "new_histogram", "new_int", "new_map", "new_string", "publish",
    "publish_build_info", "register_flags", "register_page", "register_queue", "snapshot",
    "trace", "unpublish",
]  # fmt: skip

if not t.TYPE_CHECKING:

    def __getattr__(name: str) -> t.Any:
        if name in _VERBS:
            found = getattr(__getattr__("default_registry"), name)
        elif name in _HOMES:
            found = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        elif name == "__version__":
            found = importlib.import_module("importlib.metadata").version(__name__)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = found
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
