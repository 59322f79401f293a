"""The settings of the server: gunicorn's, found in the worker without importing gunicorn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..workers.folder import gunicorn_worker
from .argv import is_option

_SAFE = """
    accesslog access_log_format asgi_lifespan asgi_loop bind ca_certs cert_reqs certfile chdir
    ciphers config control_socket default_proc_name dirty_apps errorlog forwarded_allow_ips
    forwarder_headers group header_map http2_cleartext http_parser http_protocols keepalive
    keyfile logconfig logger_class loglevel paste pidfile proc_name protocol proxy_allow_ips
    proxy_protocol pythonpath reload_engine reload_extra_files root_path secure_scheme_headers
    ssl_version statsd_host statsd_prefix syslog_addr syslog_facility syslog_prefix
    tmp_upload_dir user uwsgi_allow_ips worker_class worker_tmp_dir wsgi_app
    child_exit dirty_post_fork dirty_worker_exit dirty_worker_init nworkers_changed
    on_dirty_starting on_exit on_reload on_starting post_fork post_request post_worker_init
    pre_exec pre_fork pre_request ssl_context when_ready worker_abort worker_exit worker_int
"""
#: Texts and objects under these names hold no secret: gunicorn knows which they are. Those
#: that are missing, such as ``raw_env``, may hold anything.
SAFE = frozenset(_SAFE.split())
#: Lists of ``NAME=VALUE``: the environment, of which names alone are shown.
_PAIRS = ("raw_env", "raw_paste_global_conf")


class Setting(NamedTuple):
    """One setting of the server.

    :param given: whether its value is not the default, or the command line names it.
    :param safe: whether its name is known to hold no secret.
    """

    name: str
    value: object
    given: bool
    safe: bool


def gunicorn_settings(words: Iterable[str]) -> list[Setting]:
    """Return the settings of the gunicorn that runs this worker, none without one.

    :param words: the arguments of the command line.
    """
    worker = gunicorn_worker()
    return [] if worker is None else settings_of(worker.cfg.settings, words)


def settings_of(settings: Mapping[str, Any], words: Iterable[str]) -> list[Setting]:
    """Return gunicorn's *settings* as plain data."""
    named = {word.partition("=")[0] for word in words if is_option(word)}
    # A short option may hold its value: -w4.
    named |= {word[:2] for word in named if not word.startswith("--")}
    return [
        Setting(name, _value(name, each.get()), _is_given(each, named), name in SAFE)
        for name, each in sorted(settings.items())
    ]


def switches_of(settings: Mapping[str, Any]) -> frozenset[str]:
    """Return the options that take no value."""
    return frozenset(
        option
        for each in settings.values()
        if str(each.action or "").startswith("store_")
        for option in each.cli or ()
    )


def gunicorn_switches() -> frozenset[str]:
    """Return the options of this worker's gunicorn that take no value, none without one."""
    worker = gunicorn_worker()
    return frozenset() if worker is None else switches_of(worker.cfg.settings)


def _value(name: str, value: object) -> object:
    if name not in _PAIRS or not isinstance(value, (list, tuple)):
        return value
    return [str(pair).partition("=")[0] + "=hidden" for pair in value]


def _is_given(setting: Any, named: set[str]) -> bool:
    if named.intersection(setting.cli or ()):
        return True
    # A new one has the default as its validator makes it.
    return bool(setting.get() != type(setting)().get())
