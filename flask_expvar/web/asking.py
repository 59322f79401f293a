"""Asking: what commands ask, a server at a URL or the workers that share a folder."""

from __future__ import annotations

import json
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import click

from ..exceptions import ExpvarError, SettingError
from ..workers import folder
from . import watching

TOKEN = "FLASK_EXPVAR_TOKEN"


class Failed(click.ClickException):
    """It is not there, or the server failed: like all below it ends a command with its code."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the sentence."""
        click.secho(f"flask-expvar: {self.message}", file=file, err=file is None, fg="red")


class Misused(Failed):
    """The command was used in a wrong way."""

    exit_code = 2


class Unreachable(Failed):
    """Nobody answers."""

    exit_code = 3


class Refused(Failed):
    """Whoever answers does not let this one in."""

    exit_code = 4


#: What a status of the server's means, where it is no failure.
_KINDS = {400: Misused, 401: Refused, 403: Refused, 429: Refused}


class Target:
    """What is asked: the pages at a URL, or those of the workers that share a folder.

    :raises Failed: from each method, if there is no answer, or another one than was asked for.
    """

    def __init__(self, url: str | None, directory: str | None) -> None:
        #: Where the pages are, empty if a folder is asked.
        self.url = pages_of(url) if url else ""
        self._folder = None if url else the_folder(directory)

    def get(self, path: str, *, accept: str = "*/*", timeout: float = 30) -> bytes:
        """Return the body of a page."""
        if self._folder is not None:
            try:
                with _quiet():
                    status, _, body = watching.ask(self._folder, path, accept)
            except SettingError as error:
                raise Misused(str(error)) from None
            except ExpvarError as error:
                raise Unreachable(str(error)) from None
        else:
            status, body = self._over_http(path, accept, timeout)
        if status < 400:
            return body
        sentence = body.decode(errors="replace").strip()[:300] or f"answered with {status}"
        hint = f" (put a token into {TOKEN})" if status == 401 else ""
        raise _KINDS.get(status, Failed)(f"{sentence}{hint}")

    def json(self, path: str) -> Any:
        """Return the data of a page."""
        body = self.get(path, accept="application/json")
        try:
            return json.loads(body)
        except ValueError:
            raise Failed(f"{self.url}{path} is no page of flask_expvar's") from None

    def _over_http(self, path: str, accept: str, timeout: float) -> tuple[int, bytes]:
        headers = {"Accept": accept}
        # From the environment: arguments of a command are seen by everybody on the machine.
        token = os.environ.get(TOKEN, "").partition(",")[0]
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            asked = urllib.request.Request(self.url + path, headers=headers)
            with urllib.request.urlopen(asked, timeout=timeout) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except (OSError, ValueError) as error:
            raise Unreachable(f"{self.url} does not answer: {error}") from None


def pages_of(url: str) -> str:
    """Return where the pages are: of a server alone, where they are unless it says otherwise."""
    url = url if "://" in url else f"http://{url}"
    return (url if urlsplit(url).path.strip("/") else f"{url.rstrip('/')}/debug").rstrip("/") + "/"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep from the terminal what is for the log of a server."""
    log = logging.getLogger("flask_expvar")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def the_folder(directory: str | None) -> Path:
    """Return the folder that is meant: the given one, or that of the gunicorn which is running.

    :raises Failed: if there is none, or more than one.
    """
    directory = directory or os.environ.get("FLASK_EXPVAR_DIR")
    if directory:
        return Path(directory)
    found = folder.running()
    if len(found) == 1:
        return found[0]
    if not found:
        raise Unreachable("no gunicorn of yours is running here; give a URL or --dir")
    choices = "\n".join(f"  --dir {path}" for path in found)
    raise Misused(f"several gunicorns are running here; say which:\n{choices}")


def target(command: Any) -> Any:
    """Give *command* the parameters ``url`` and ``directory``."""
    for option in (
        click.option("--dir", "directory", help="The folder that the workers share."),
        click.argument("url", required=False, metavar="[URL]"),
    ):
        command = option(command)
    return command
