"""Configuration of a program: what its applications, environment and server were given."""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache, partial
from importlib import metadata
from typing import Any, NamedTuple, Protocol

from ..redaction import HIDDEN, redact_text, secret_mark
from ..variables.interrupts import is_interrupt
from ..variables.registry import Registry
from ..variables.runtime import cmdline
from .argv import arguments
from .item import Item, Make
from .loggers import levels
from .server import gunicorn_settings
from .values import error_text, kind_of, shown, size_of

_SAFE = """
    APPLICATION_ROOT DEBUG ENV EXPLAIN_TEMPLATE_LOADING JSONIFY_MIMETYPE
    JSONIFY_PRETTYPRINT_REGULAR JSON_AS_ASCII JSON_SORT_KEYS MAX_CONTENT_LENGTH MAX_COOKIE_SIZE
    MAX_FORM_MEMORY_SIZE MAX_FORM_PARTS PERMANENT_SESSION_LIFETIME PREFERRED_URL_SCHEME
    PROPAGATE_EXCEPTIONS PROVIDE_AUTOMATIC_OPTIONS SEND_FILE_MAX_AGE_DEFAULT SERVER_NAME
    SESSION_COOKIE_DOMAIN SESSION_COOKIE_HTTPONLY SESSION_COOKIE_NAME SESSION_COOKIE_PARTITIONED
    SESSION_COOKIE_PATH SESSION_COOKIE_SAMESITE SESSION_COOKIE_SECURE SESSION_REFRESH_EACH_REQUEST
    TEMPLATES_AUTO_RELOAD TESTING TRAP_BAD_REQUEST_ERRORS TRAP_HTTP_EXCEPTIONS TRUSTED_HOSTS
    USE_X_SENDFILE
    EXPVAR_ACCESS EXPVAR_ACTIONS EXPVAR_DIR EXPVAR_EXPORTER_CONFIG EXPVAR_METRICS_NAMES
    EXPVAR_METRICS_PATH EXPVAR_MONITORING_ADDRESS EXPVAR_SHOW
"""
#: Keys of Flask's own, and of ours, whose values tell nothing that would help to break in.
SAFE = frozenset(_SAFE.split())
UNSAFE, ENVIRONMENT, LOOKS = (
    "not on the safe list",
    "environment: names only",
    "value: looks like a secret",
)


class Section(NamedTuple):
    """Names of one sort.

    :param items: returns what makes each of them, and may raise.
    """

    name: str
    title: str
    items: Callable[[], Sequence[Make]]


class Rule(NamedTuple):
    """One rule of an application's URL map."""

    rule: str
    methods: Sequence[str]
    endpoint: str


class App(Protocol):
    """What is asked of an application, from any thread and outside of its context."""

    name: str

    def config(self) -> Mapping[Any, Any] | None:
        """Return its configuration, None if it is gone."""

    def show(self) -> Sequence[str]:
        """Return the names and patterns of what may be shown."""

    def rules(self) -> Iterable[Rule]:
        """Return its URL map."""


_apps: weakref.WeakKeyDictionary[Registry, list[App]] = weakref.WeakKeyDictionary()


def provide(registry: Registry, app: App) -> None:
    """Let the pages of *registry* tell of *app*; giving it twice is fine."""
    known = _apps.setdefault(registry, [])
    if app not in known:
        known[:] = [each for each in known if each.config() is not None] + [app]


def sections(registry: Registry) -> list[Section]:
    """Return the sections of the page, in its order."""
    apps = [app for app in _apps.get(registry, ()) if app.config() is not None]
    show = tuple(pattern for app in apps for pattern in _show_of(app))
    found: list[Section] = []
    for number, app in enumerate(apps, 1):
        mark, of = ("", "") if len(apps) == 1 else (f"-{number}", f" of {app.name}")
        found += [
            Section(f"flask{mark}", f"Flask{of}", _Config(app)),
            Section(f"urls{mark}", f"URL map{of}", _Rules(app)),
        ]
    return [
        *(each for each in found if each.name.startswith("flask")),
        Section("environment", "Environment", lambda: _environment(os.environ, show)),
        Section("gunicorn", "gunicorn", lambda: _gunicorn(show)),
        Section("packages", "Packages", _packages),
        *(each for each in found if each.name.startswith("urls")),
        Section("loggers", "Loggers", levels),
    ]


def _show_of(app: App) -> Sequence[str]:
    try:
        return app.show()
    except Exception:
        return ()  # a setting is wrong: then nothing is shown that is not safe


class _Config:
    def __init__(self, app: App) -> None:
        self._app = app

    def __call__(self) -> list[Make]:
        show = _show_of(self._app)
        config = {str(key): value for key, value in list((self._app.config() or {}).items())}
        return [partial(item, name, config[name], show, name in SAFE) for name in sorted(config)]


class _Rules:
    def __init__(self, app: App) -> None:
        self._app = app

    def __call__(self) -> list[Make]:
        return [partial(_rule, each) for each in sorted(self._app.rules())]


def _rule(rule: Rule, most: int) -> Item:
    methods = ",".join(rule.methods) or "any"
    return Item(redact_text(rule.rule, most), f"{methods} {redact_text(rule.endpoint, most)}")


def item(name: str, value: object, show: Sequence[str], safe: bool, most: int) -> Item:
    """Return what may be told of the value that goes by *name*.

    What is on the safe list or in *show* is shown, numbers and switches too unless their name
    is a secret's; but never what looks like a secret.
    """
    kind, size = kind_of(value), size_of(value)
    if not safe and not matches(name, show):
        mark = secret_mark(name)
        if mark:
            return Item(name, None, kind, size, True, f"key: {mark}")
        if value is not None and type(value) not in (bool, int, float):
            return Item(name, None, kind, size, True, UNSAFE)
    text = shown(name, value, by_name=False, most=most)
    plain = _scalar(value)
    if plain is not None and (isinstance(plain, bool) or text == str(plain)):
        return Item(name, plain, kind)
    shows = None if value is None else text
    return Item(name, shows, kind, size, False, _looks(text, value))


def _looks(text: str, value: object) -> str:
    """Return the rule that hid a part of *value*, empty if *text* has all of it."""
    said = isinstance(value, str) and HIDDEN in value
    return LOOKS if HIDDEN in text and not said else ""


def _scalar(value: object) -> bool | float | None:
    """Return *value* if JSON has numbers and words for it."""
    if type(value) is bool:
        return value
    if type(value) is int and value.bit_length() < 64:
        return value
    return value if type(value) is float and math.isfinite(value) else None


def matches(name: str, show: Sequence[str]) -> bool:
    """Return whether *name* is one of the names or patterns of *show*."""
    return any(fnmatchcase(name, pattern) for pattern in show)


def _environment(environ: Mapping[str, str], show: Sequence[str]) -> list[Make]:
    return [partial(_variable, environ, name, show) for name in sorted(environ)]


def _variable(environ: Mapping[str, str], name: str, show: Sequence[str], most: int) -> Item:
    if not matches(name, show):
        return Item(name, None, hidden=True, rule=ENVIRONMENT)
    value = environ.get(name, "")
    text = shown(name, value, by_name=False, most=most)
    return Item(name, text, rule=_looks(text, value))


def _gunicorn(show: Sequence[str]) -> list[Make]:
    return [
        partial(item, each.name, each.value, show, each.safe)
        for each in gunicorn_settings(arguments(cmdline()))
    ]


@lru_cache(maxsize=1)
def _packages() -> tuple[Make, ...]:
    """Return the installed packages: looked for once, as a program imports its own once."""
    found: dict[str, str] = {}
    for each in metadata.distributions():
        try:
            name, version = each.metadata["Name"], each.version
        except Exception:
            continue  # what pip left behind
        if name and version:
            found.setdefault(name, version)
    names = sorted(found, key=str.casefold)
    return tuple(partial(_package, name, found[name]) for name in names)


def _package(name: str, version: str, most: int) -> Item:
    return Item(name, version[:most])


def read(section: Section) -> tuple[Sequence[Make], str]:
    """Return what makes the items of *section*, or what asking for it raised."""
    try:
        return section.items(), ""
    except BaseException as error:
        if is_interrupt(error):
            raise
        return (), error_text(error)
