"""The commands of ``flask expvar``, and the link to log in, which needs the application."""

from __future__ import annotations

import os
from typing import Any

import click
from flask import Flask, current_app, url_for
from flask.cli import ScriptInfo, with_appcontext

from ..exceptions import SettingError
from ..settings import Settings
from .login import new_number
from .terminal import COMMANDS
from .tickets import LINK_LASTING, Tickets, keys_of


@click.group("expvar")
def group() -> None:
    """Debug pages of this application.

    What runs is asked at a URL, or through the folder that the workers share; all but login-url
    do without loading the application.
    """


for command in COMMANDS:
    group.add_command(command)


@group.command("login-url")
@click.option(
    "--base-url",
    help="Where the application is, as a browser knows it; from SERVER_NAME, PREFERRED_URL_SCHEME"
    " and APPLICATION_ROOT unless given.",
)
@click.option("--name", help="The name of the blueprint, where there are several.")
@with_appcontext
def login_url(base_url: str | None, name: str | None) -> None:
    """Print a link that logs a browser in: once, within two minutes."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    tickets = _tickets(app)
    endpoint = f"{_mount(app, name)}.login"
    with app.test_request_context("/", base_url=base_url or _base(app)):
        link = url_for(endpoint, ticket=tickets.link(new_number()), _external=True)
    click.echo(link)
    click.echo(f"It is good for {LINK_LASTING} seconds, and once.", err=True)


@click.command("login-url", params=[*login_url.params], help=login_url.help)
@click.option(
    "-A", "--app", envvar="FLASK_APP", help="The application, as flask --app takes it: shop:app."
)
@click.pass_context
def login_url_of(context: click.Context, /, app: str | None, **options: Any) -> None:
    """Do the same outside of ``flask``, which has this option itself."""
    if app:
        context.obj = ScriptInfo(app_import_path=app)
    context.invoke(login_url, **options)


def _tickets(app: Flask) -> Tickets:
    try:
        settings = Settings.load(app.config, os.environ)
    except SettingError as error:
        raise click.ClickException(str(error)) from None
    if not (settings.tokens or settings.basic):
        raise click.ClickException("Set EXPVAR_TOKEN or EXPVAR_BASIC: nobody can log in without.")
    if settings.access not in ("auto", "loopback"):
        raise click.ClickException(
            "EXPVAR_ACCESS decides by itself: there is nothing to log in to."
        )
    keys = keys_of(app)
    if not keys:
        raise click.ClickException("Set SECRET_KEY: the link is signed with it.")
    return Tickets(keys, settings)


def _mount(app: Flask, name: str | None) -> str:
    mounts: dict[str, Any] = app.extensions.get("expvar_mounts", {})
    if not mounts:
        raise click.ClickException("The application has no debug pages: register blueprint().")
    if name is not None and name not in mounts:
        raise click.ClickException(f"No blueprint {name!r}; there are: {', '.join(mounts)}")
    return name if name is not None else next(iter(mounts))


def _base(app: Flask) -> str:
    host = app.config.get("SERVER_NAME") or "127.0.0.1:5000"
    root = str(app.config.get("APPLICATION_ROOT") or "/")
    return f"{app.config.get('PREFERRED_URL_SCHEME', 'http')}://{host}{root}"
