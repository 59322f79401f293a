"""Terminal: the commands that ``flask-expvar`` and ``flask expvar`` have in common."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from ..exceptions import ExpvarError
from ..pages.dashboard import dashboard_of
from ..pages.exporter_config import LISTEN, URL, exporter_config_of
from ..settings import Settings
from . import watching
from .asking import Failed, Misused, Target, target, the_folder
from .top import top

FORMATS = ("html", "text", "json", "speedscope", "pprof")
_SUFFIXES = {".html": "html", ".txt": "text", ".json": "json", ".pb": "pprof", ".gz": "pprof"}
_KEY = re.compile(r'^( *)("(?:[^"\\]|\\.)*")(?=:)', re.MULTILINE)


def print_json(data: Any) -> None:
    """Print *data*; on a terminal its names have a colour."""
    text = json.dumps(data, indent=2)
    # click takes colours out where there is no terminal.
    click.echo(_KEY.sub(lambda found: found[1] + click.style(found[2], fg="cyan"), text))


@click.command("vars")
@target
@click.option("--match", default="", help="Only names that hold this text.")
def vars_(url: str | None, directory: str | None, match: str) -> None:
    """Print the variables as JSON; 1 if --match finds none."""
    found = Target(url, directory).json("vars")
    shown = {name: value for name, value in found.items() if match in name}
    print_json(shown)
    if not shown:
        sys.exit(Failed.exit_code)


@click.command()
@target
@click.option("--fam", default="", help="Only this family.")
@click.option("--errors", is_flag=True, help="Only what has failed; 1 if nothing has.")
def traces(url: str | None, directory: str | None, fam: str, errors: bool) -> None:
    """Print traces as JSON: the families, or those of one."""
    query = {"fam": fam, **({"b": "-2"} if errors else {})} if fam else {}
    found = Target(url, directory).json(f"traces?{urlencode(query)}")
    print_json(found)
    if errors and not (found.get("traces") if fam else any(_failed(found))):
        sys.exit(Failed.exit_code)


def _failed(found: Mapping[str, Any]) -> Iterator[Any]:
    return (each for each in found.get("families", ()) if each.get("errors"))


@click.command()
@target
def threads(url: str | None, directory: str | None) -> None:
    """Print what every thread is doing, equal stacks together."""
    click.echo(Target(url, directory).get("threads").decode())


@click.command()
@target
@click.option("--seconds", default=5.0, show_default=True, help="How long to look.")
@click.option("--mode", type=click.Choice(["wall", "cpu"]), default="wall", show_default=True)
@click.option(
    "--format", "format_", type=click.Choice(FORMATS), help="By the file's name unless given."
)
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="A file; else the terminal.")
def profile(
    url: str | None, directory: str | None, seconds: float, mode: str, format_: str | None,
    output: str | None,
) -> None:  # fmt: skip
    """Take a profile of all workers."""
    kind = format_ or _SUFFIXES.get(Path(output).suffix if output else "", "text")
    query = urlencode({"seconds": f"{seconds:g}", "mode": mode, "format": kind})
    asked = Target(url, directory)
    got: list[bytes | Exception] = []

    def work() -> None:
        try:
            got.append(asked.get(f"profile?{query}", timeout=seconds + 60))
        except Exception as error:
            got.append(error)

    # In a thread of its own, so that there is something to see meanwhile.
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    _wait(thread, seconds)
    (found,) = got
    if isinstance(found, Exception):
        raise found
    if output:
        try:
            Path(output).write_bytes(found)
        except OSError as error:
            raise Failed(f"{output} cannot be written: {error.strerror}") from None
        click.echo(f"{output}: {len(found):,} bytes", err=True)
    else:
        sys.stdout.buffer.write(found)


def _wait(work: threading.Thread, seconds: float) -> None:
    if not sys.stderr.isatty():
        work.join()
        return
    steps = max(int(seconds * 10), 1)
    with click.progressbar(range(steps), label="looking", file=sys.stderr) as bar:
        for _ in bar:
            work.join(0.1)
            if not work.is_alive():
                break
    work.join()


@click.command()
@click.option("--bind", required=True, help="host:port, [v6]:port or unix:/path.")
@click.option("--dir", "directory", help="The folder that the workers share.")
def monitor(bind: str, directory: str | None) -> None:
    """Show the pages from a process of its own: it answers when every worker is stuck."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("flask_expvar").setLevel(logging.INFO)
    try:
        settings = Settings.load({"EXPVAR_MONITORING_ADDRESS": bind}, os.environ)
        watching.serve(the_folder(directory), bind, settings)
    except ExpvarError as error:
        raise Misused(str(error)) from None
    except KeyboardInterrupt:
        return


@click.command()
@target
@click.option("--title", default="flask_expvar", show_default=True, help="What it is called.")
def dashboard(url: str | None, directory: str | None, title: str) -> None:
    """Print a dashboard of Grafana for the variables that there are."""
    metrics = Target(url, directory).json("metrics.json")["metrics"]
    click.echo(dashboard_of(metrics, title=title), nl=False)


@click.command("exporter-config")
@target
@click.option("--vars-url", help="Where the exporter reads the variables.")
@click.option("--listen", default=LISTEN, show_default=True, help="Where the exporter answers.")
def exporter_config(
    url: str | None, directory: str | None, vars_url: str | None, listen: str
) -> None:
    """Print a file for prometheus-expvar-exporter, for the variables that there are."""
    asked = Target(url, directory)
    where = vars_url or (f"{asked.url}vars" if asked.url else URL)
    metrics = asked.json("metrics.json")["metrics"]
    variables = asked.json("vars.json?full=1")["vars"]
    click.echo(exporter_config_of(metrics, variables, url=where, listen=listen), nl=False)


#: All of them.
COMMANDS = (vars_, traces, threads, profile, top, monitor, dashboard, exporter_config)
