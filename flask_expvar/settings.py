"""The settings: what ``EXPVAR_…`` and ``FLASK_EXPVAR_…`` say, checked before anything runs."""

from __future__ import annotations

import difflib
import inspect
import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .exceptions import SettingError

PREFIX = "EXPVAR_"
ENVIRONMENT_PREFIX = "FLASK_EXPVAR_"

ACCESS_WORDS = ("auto", "loopback", "listener", "open")
METRICS_NAMES = ("expvar", "otel")
ACTION_WORDS = ("tracemalloc", "arm", "loggers")

MIN_TOKEN_LENGTH = 16
MAKE_A_TOKEN = 'python -c "import secrets; print(secrets.token_urlsafe(32))"'

MAKE_A_HASH = (
    'python -c "from werkzeug.security import generate_password_hash as g; import getpass;'
    ' print(g(getpass.getpass()))"'
)

# Tokens that stand in README and docs: everybody knows them, so nobody may use them.
EXAMPLE_TOKENS = frozenset(
    {
        "change-me-to-a-long-random-string",
        "a-long-random-string",
        "replace-with-a-long-random-string",
        "paste-your-own-token-here",
    }
)

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")
# "method$salt$hash": what check_password_hash() of Werkzeug takes.
_HASH = re.compile(r"(?:scrypt|pbkdf2)(?::[A-Za-z0-9]+)+\$[A-Za-z0-9./]+\$[0-9a-f]{32,256}")
_URL_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_PORT = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True)
class Settings:
    """All settings of one app, already checked; what is not said is the default.

    Make one with :meth:`load`. One made by hand is not checked, which tests may like.
    Tokens and hashes are left out of ``repr()``, so a settings object may be logged.
    """

    access: str | Callable[[Any], Any] = "auto"
    tokens: tuple[str, ...] = field(default=(), repr=False)
    #: Users and the hashes of their passwords.
    basic: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    monitoring_address: str | None = None
    directory: str | None = None
    show: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    exporter_config: str | None = None
    metrics_path: str | None = None
    metrics_names: str = "expvar"

    @classmethod
    def load(cls, config: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
        """Read and check the settings of *config*, with the defaults that *environ* gives.

        Words are taken exactly as written: ``"Open"`` or ``"open "`` is an error, because a
        gate that guesses what was meant may guess wrong. ``None`` in *config* is the same as
        not there, so ``app.config["EXPVAR_TOKEN"] = os.environ.get("TOKEN")`` does no harm.
        In the environment several tokens, names or actions are separated by commas.

        :raises SettingError: for an unknown name or a wrong value. No message ever holds a
            token, not even a wrong one.
        """
        _refuse_unknown(config, PREFIX)
        _refuse_unknown(environ, ENVIRONMENT_PREFIX)
        found: dict[str, Any] = {}
        for setting, (attribute, check) in _CHECKS.items():
            name, value = _given(setting, config, environ)
            if value is not None:
                found[attribute] = check(name, value)
        return cls(**found)


def parse_address(text: str) -> tuple[str, int] | str:
    """Take a monitoring address apart: ``(host, port)``, or the path of a unix socket.

    A host is never left out: ``:1099`` would listen to the whole network. An IPv6 address
    stands in brackets, which are not part of the host that is returned. No name is looked up.

    :raises ValueError: if *text* is none of ``host:port``, ``[v6]:port``, ``unix:/path``.
    """
    if text.startswith("unix:"):
        return _socket_path(text.removeprefix("unix:"))
    host, _, port = text.rpartition(":")
    if not _PORT.fullmatch(port) or int(port) > 65535:
        raise ValueError("the port is no number from 0 to 65535")
    if host.startswith("[") and host.endswith("]"):
        return str(ipaddress.IPv6Address(host[1:-1])), int(port)
    if not _HOST.fullmatch(host):
        raise ValueError("the host is missing or malformed")
    # Only digits and dots: a mistyped address must not become a name to be looked up.
    if not host.strip("0123456789."):
        ipaddress.IPv4Address(host)
    return host, int(port)


def _socket_path(path: str) -> str:
    if not path.startswith("/") or path.endswith("/") or "\0" in path:
        raise ValueError("the path of the socket is not absolute")
    return path


def _given(setting: str, config: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[str, Any]:
    """Find who sets *setting*: the name to blame and the raw value, which may be None."""
    value, text = config.get(setting), environ.get(f"FLASK_{setting}")
    # Flask's own from_prefixed_env() copies FLASK_EXPVAR_… into the config, numbers turned into
    # int: such a value is still text of the environment, commas and all.
    if value is None or (type(value) in (str, int, float) and str(value) == text):
        return f"FLASK_{setting}", None if text is None else _Text(text)
    return setting, value


class _Text(str):
    """A value of the environment, which can only be text: lists are split at commas."""


def _refuse_unknown(names: Mapping[str, Any], prefix: str) -> None:
    known = [prefix + setting.removeprefix(PREFIX) for setting in KNOWN]
    for name in map(str, names):
        if name.startswith(prefix) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            meant = f" (did you mean {near[0]}?)" if near else ""
            raise SettingError(name, f"is not a setting{meant}", ", ".join(known))


def _shown(value: object) -> str:
    """Describe a wrong value; long text is not quoted, as it may be a token put in here."""
    if isinstance(value, str) and len(value) < MIN_TOKEN_LENGTH:
        return repr(str(value))
    if isinstance(value, str):
        return f"a text of {len(value)} characters"
    return f"an object of type {_kind(value)}"


def _kind(value: object) -> str:
    return "str" if isinstance(value, str) else type(value).__name__


def _access(name: str, value: Any) -> str | Callable[[Any], Any]:
    words = ", ".join(ACCESS_WORDS)
    if isinstance(value, str) and value in ACCESS_WORDS:
        return str(value)
    if inspect.iscoroutinefunction(value):
        raise SettingError(name, "is a coroutine function", f"{words}, or a plain callable")
    if callable(value):
        return value  # type: ignore[no-any-return]
    near = difflib.get_close_matches(str(value).strip().lower(), ACCESS_WORDS, n=1)
    meant = f" (did you mean {near[0]!r}?)" if near else ""
    allowed = words if isinstance(value, _Text) else f"{words}, or a callable in app.config"
    raise SettingError(name, f"is {_shown(value)}{meant}", allowed)


def _tokens(name: str, value: Any) -> tuple[str, ...]:
    allowed = (
        f"one token or a list of tokens of at least {MIN_TOKEN_LENGTH} printable ASCII"
        f" characters without spaces; make one with: {MAKE_A_TOKEN}"
    )
    if isinstance(value, _Text):
        tokens: list[Any] = [token.strip() for token in value.split(",")]
    else:
        tokens = [value] if isinstance(value, str) else _items(name, value, allowed)
    if not tokens:
        raise SettingError(name, "is empty", allowed)
    for position, token in enumerate(tokens, 1):
        if problem := _token_problem(token):
            which = f"token {position} of {len(tokens)} " if len(tokens) > 1 else ""
            raise SettingError(name, f"is not usable: {which}{problem}", allowed)
    return tuple(tokens)


def _token_problem(token: object) -> str | None:
    """Say what is wrong with *token* without quoting any of it."""
    if not isinstance(token, str):
        return f"is of type {_kind(token)}, not str"
    if not token:
        return "is empty"
    if not all("!" <= letter <= "~" for letter in token):
        return "has a space or a character that is not printable ASCII"
    if token.lower() in EXAMPLE_TOKENS:
        return "is an example of the documentation, which everybody can read"
    if len(token) < MIN_TOKEN_LENGTH:
        return f"has only {len(token)} characters"
    return None


def _basic(name: str, value: Any) -> tuple[tuple[str, str], ...]:
    allowed = (
        "'user:hash', a list of such texts, or a dict of users and hashes, as Werkzeug's"
        f" generate_password_hash() makes them: {MAKE_A_HASH}"
    )
    if isinstance(value, Mapping):
        pairs: list[Any] = list(value.items())
    else:
        texts = [value] if type(value) is str else _items(name, value, allowed)
        pairs = [text.split(":", 1) if isinstance(text, str) else (text, "") for text in texts]
    if not pairs:
        raise SettingError(name, "is empty", allowed)
    for position, pair in enumerate(pairs, 1):
        if problem := _pair_problem(*pair) if len(pair) == 2 else "has no colon":
            raise SettingError(name, f"is not usable: pair {position} {problem}", allowed)
    return tuple((user, hash_) for user, hash_ in pairs)


def _pair_problem(user: object, hash_: object) -> str | None:
    """Say what is wrong with a pair without quoting any of it: it may hold a password."""
    if not isinstance(user, str) or not isinstance(hash_, str):
        return "is not of texts"
    if not user or ":" in user or not user.isprintable():
        return "has a user that is empty, or has a colon or a control character"
    if not _HASH.fullmatch(hash_):
        return "has no hash but something else, perhaps the password itself"
    return None


def _items(name: str, value: Any, allowed: str) -> list[Any]:
    """Return *value* as a list; a bare string is refused, it would be read letter by letter."""
    if isinstance(value, _Text):
        return [item.strip() for item in value.split(",")] if value.strip() else []
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    if isinstance(value, (list, tuple)):
        return list(value)
    problem = "is a bare string" if isinstance(value, str) else f"is of type {_kind(value)}"
    raise SettingError(name, problem, allowed)


def _show(name: str, value: Any) -> tuple[str, ...]:
    allowed = "a list of names or patterns, such as ['SITE_NAME', 'FEATURE_*']"
    items = _items(name, value, allowed)
    for item in items:
        if not isinstance(item, str) or not item.strip():
            raise SettingError(name, f"has {_shown(item)} in it, which is no name", allowed)
    return tuple(items)


def _actions(name: str, value: Any) -> tuple[str, ...]:
    allowed = f"a list of any of {', '.join(ACTION_WORDS)}"
    items = _items(name, value, allowed)
    for item in items:
        if item not in ACTION_WORDS:
            raise SettingError(name, f"has {_shown(item)} in it, which is no action", allowed)
    return tuple(word for word in ACTION_WORDS if word in items)


def _address(name: str, value: Any) -> str:
    allowed = "'127.0.0.1:1099', '[::1]:1099' or 'unix:/run/app/expvar.sock'"
    if not isinstance(value, str):
        raise SettingError(name, f"is {_shown(value)}", allowed)
    try:
        parse_address(value)
    except ValueError as problem:
        raise SettingError(name, f"is {_shown(value)}: {problem}", allowed) from None
    return str(value)


def _path(name: str, value: Any) -> str:
    allowed = "a path, as str or os.PathLike"
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(path, str):
        raise SettingError(name, f"is {_shown(path)}", allowed)
    if not path or "\0" in path:
        raise SettingError(name, f"is {_shown(path)}, which is no path", allowed)
    return str(path)


def _directory(name: str, value: Any) -> str:
    path = _path(name, value)
    # Workers need not share one current directory, and must share this folder.
    if not Path(path).is_absolute():
        raise SettingError(name, f"is {_shown(path)}, which is not absolute", "an absolute path")
    return path


def _url_path(name: str, value: Any) -> str:
    allowed = "a path such as '/metrics', without '<' and '?'"
    if not isinstance(value, str) or not _URL_PATH.fullmatch(value):
        raise SettingError(name, f"is {_shown(value)}", allowed)
    return str(value)


def _names(name: str, value: Any) -> str:
    if value not in METRICS_NAMES:
        raise SettingError(name, f"is {_shown(value)}", " or ".join(map(repr, METRICS_NAMES)))
    return str(value)


_CHECKS: dict[str, tuple[str, Callable[[str, Any], Any]]] = {
    "EXPVAR_ACCESS": ("access", _access),
    "EXPVAR_TOKEN": ("tokens", _tokens),
    "EXPVAR_BASIC": ("basic", _basic),
    "EXPVAR_MONITORING_ADDRESS": ("monitoring_address", _address),
    "EXPVAR_DIR": ("directory", _directory),
    "EXPVAR_SHOW": ("show", _show),
    "EXPVAR_ACTIONS": ("actions", _actions),
    "EXPVAR_EXPORTER_CONFIG": ("exporter_config", _path),
    "EXPVAR_METRICS_PATH": ("metrics_path", _url_path),
    "EXPVAR_METRICS_NAMES": ("metrics_names", _names),
}
KNOWN = tuple(_CHECKS)
