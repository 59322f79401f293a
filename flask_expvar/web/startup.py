"""Startup: what is risky or useless in the settings, said once, when it can still be mended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flask.blueprints import BlueprintSetupState

from ..settings import Settings


def startup_warnings(settings: Settings) -> list[str]:
    """Say what is risky or useless in *settings*, each as one line for the log at start-up."""
    warnings = []
    if settings.access == "loopback":
        warnings.append(
            "EXPVAR_ACCESS is 'loopback': whoever seems to ask from this machine may look. A"
            " proxy on this machine makes everybody seem so: with nginx and a bare 'proxy_pass"
            " http://127.0.0.1:8000' the whole internet sees these pages. Behind a proxy use"
            " EXPVAR_TOKEN with EXPVAR_ACCESS = 'auto', or EXPVAR_MONITORING_ADDRESS."
        )
    if settings.access not in ("auto", "loopback") and (settings.tokens or settings.basic):
        how = repr(settings.access) if isinstance(settings.access, str) else "a callable"
        warnings.append(f"EXPVAR_ACCESS is {how}: EXPVAR_TOKEN and EXPVAR_BASIC are not looked at.")
    if settings.access == "open":
        warnings.append(
            "EXPVAR_ACCESS is 'open': everybody who reaches this server may look, as long as"
            " the app is tested, in debug mode or run by pytest; otherwise nobody may."
        )
    if settings.access == "listener" and settings.monitoring_address is None:
        warnings.append(
            "EXPVAR_ACCESS is 'listener' without EXPVAR_MONITORING_ADDRESS: nobody may look."
            " Set it, for example to '127.0.0.1:1099'."
        )
    return warnings


def mount_warnings(
    state: BlueprintSetupState, settings: Settings, decorated: bool, others: Sequence[bool]
) -> Iterator[str]:
    """Yield what is risky in one place of an application.

    :param decorated: whether decorators decide who may look there.
    :param others: the same of the places where the pages are already.
    """
    if not (state.url_prefix or "").strip("/"):
        yield (
            "The debug pages are mounted at '/': every address that is no route of the"
            " application is theirs. Give blueprint() another url_prefix."
        )
    if any(each != decorated for each in others):
        yield "The debug pages are mounted twice, once with decorators and once without."
