"""The command ``flask-expvar``: the pages on a terminal, of a URL or of a folder on this machine.

Exit codes: 0 all is well, 1 it is not there or the server failed, 2 wrong use, 3 nobody answers,
4 refused.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlencode

import click

from .exceptions import ExpvarError
from .settings import Settings
from .web import watching
from .workers import folder

FAILED, UNREACHABLE, REFUSED = 1, 3, 4
TOKEN = "FLASK_EXPVAR_TOKEN"
FORMATS = ("html", "text", "json", "speedscope", "pprof")
_SUFFIXES = {".html": "html", ".txt": "text", ".json": "json", ".pb": "pprof", ".gz": "pprof"}


def _die(code: int, sentence: str) -> NoReturn:
    click.echo(f"flask-expvar: {sentence}", err=True)
    sys.exit(code)


class Target:
    """What is asked: the pages at a URL, or those of the workers that share a folder."""

    def __init__(self, url: str | None, directory: str | None) -> None:
        self._url = url.rstrip("/") + "/" if url else ""
        self._folder = None if url else _folder(directory)

    def get(self, path: str, *, accept: str = "*/*", timeout: float = 30) -> bytes:
        """Return the body of a page, or end the program with a sentence and a code."""
        if self._folder is not None:
            try:
                status, _, body = watching.ask(self._folder, path, accept)
            except ExpvarError as error:
                _die(UNREACHABLE, str(error))
        else:
            status, body = self._over_http(path, accept, timeout)
        if status < 400:
            return body
        sentence = body.decode(errors="replace").strip()[:300] or f"answered with {status}"
        refused = status in (401, 403, 429)
        hint = f" (put a token into {TOKEN})" if status == 401 else ""
        _die(REFUSED if refused else FAILED, f"{sentence}{hint}")

    def json(self, path: str) -> Any:
        """Return the data of a page."""
        return json.loads(self.get(path, accept="application/json"))

    def _over_http(self, path: str, accept: str, timeout: float) -> tuple[int, bytes]:
        headers = {"Accept": accept}
        # From the environment: arguments of a command are seen by everybody on the machine.
        token = os.environ.get(TOKEN, "").partition(",")[0]
        if token:
            headers["Authorization"] = f"Bearer {token}"
        asked = urllib.request.Request(self._url + path, headers=headers)
        try:
            with urllib.request.urlopen(asked, timeout=timeout) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except (OSError, ValueError) as error:
            _die(UNREACHABLE, f"{self._url} does not answer: {error}")


def _folder(directory: str | None) -> Path:
    directory = directory or os.environ.get("FLASK_EXPVAR_DIR")
    if directory:
        return Path(directory)
    found = folder.running()
    if len(found) == 1:
        return found[0]
    if not found:
        _die(UNREACHABLE, "no gunicorn of yours is running here; give a URL or --dir")
    choices = "\n".join(f"  --dir {path}" for path in found)
    _die(2, f"several gunicorns are running here; say which:\n{choices}")


def _target(command: Any) -> Any:
    for option in (
        click.option("--dir", "directory", help="The folder that the workers share."),
        click.argument("url", required=False, metavar="[URL]"),
    ):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="flask_expvar")
def main() -> None:
    """Look into the workers of a Flask application.

    URL is where the debug pages are, such as http://127.0.0.1:1099/debug/; a token is taken from
    FLASK_EXPVAR_TOKEN. Without a URL the gunicorn of this user on this machine is asked, or the
    one whose workers share --dir.
    """
    logging.getLogger("flask_expvar").setLevel(logging.ERROR)


@main.command("vars")
@_target
@click.option("--match", default="", help="Only names that hold this text.")
def vars_(url: str | None, directory: str | None, match: str) -> None:
    """Print the variables as JSON; 1 if --match finds none."""
    found = Target(url, directory).json("vars")
    shown = {name: value for name, value in found.items() if match in name}
    click.echo(json.dumps(shown, indent=2))
    if not shown:
        sys.exit(FAILED)


@main.command()
@_target
@click.option("--fam", default="", help="Only this family.")
@click.option("--errors", is_flag=True, help="Only what has failed; 1 if nothing has.")
def traces(url: str | None, directory: str | None, fam: str, errors: bool) -> None:
    """Print traces as JSON: the families, or those of one."""
    query = {"fam": fam, **({"b": "-2"} if errors else {})} if fam else {}
    found = Target(url, directory).json(f"traces?{urlencode(query)}")
    click.echo(json.dumps(found, indent=2))
    if errors and not (found.get("traces") if fam else any(_failed(found))):
        sys.exit(FAILED)


def _failed(found: Mapping[str, Any]) -> Iterator[Any]:
    return (each for each in found.get("families", ()) if each.get("errors"))


@main.command()
@_target
def threads(url: str | None, directory: str | None) -> None:
    """Print what every thread is doing, equal stacks together."""
    click.echo(Target(url, directory).get("threads").decode())


@main.command()
@_target
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
    target = Target(url, directory)
    got: list[bytes] = []
    # In a thread of its own, so that there is something to see meanwhile.
    work = threading.Thread(
        target=lambda: got.append(target.get(f"profile?{query}", timeout=seconds + 60)), daemon=True
    )
    work.start()
    _wait(work, seconds)
    if not got:
        sys.exit(FAILED)  # the thread has said why
    if output:
        Path(output).write_bytes(got[0])
        click.echo(f"{output}: {len(got[0]):,} bytes", err=True)
    else:
        sys.stdout.buffer.write(got[0])


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


@main.command()
@_target
@click.option("--interval", default=1.0, show_default=True, help="Seconds between two looks.")
@click.option("--count", default=0, help="How many looks; for ever unless given.")
@click.option("--match", default="", help="Only names that hold this text.")
def top(url: str | None, directory: str | None, interval: float, count: int, match: str) -> None:
    """Show the numbers and how fast they grow, the fastest first."""
    target, then, look = Target(url, directory), 0.0, 0
    before: dict[str, float] = {}
    while True:
        now, numbers = time.monotonic(), dict(_numbers(target.json("vars"), match))
        if sys.stdout.isatty():
            click.clear()
        for line in _table(numbers, before, now - then if before else 0):
            click.echo(line)
        before, then, look = numbers, now, look + 1
        if count and look >= count:
            return
        time.sleep(max(interval, 0.1))


def _numbers(found: Mapping[str, Any], match: str, above: str = "") -> Iterator[tuple[str, float]]:
    for name, value in found.items():
        path = f"{above}{name}"
        if isinstance(value, dict) and path not in ("memstats", "workers", "python"):
            yield from _numbers(value, match, f"{path}.")
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and match in path:
            yield path, value


def _table(
    numbers: Mapping[str, float], before: Mapping[str, float], seconds: float
) -> Iterator[str]:
    def rate(name: str) -> float:
        return (numbers[name] - before.get(name, 0)) / seconds if seconds else 0.0

    room = shutil.get_terminal_size().lines - 3 if sys.stdout.isatty() else len(numbers)
    width = max(map(len, numbers), default=4)
    yield f"{'NAME':<{width}}  {'VALUE':>16}  {'PER SECOND':>12}"
    for name in sorted(numbers, key=lambda name: (-abs(rate(name)), name))[:room]:
        shown = f"{rate(name):,.2f}" if seconds else ""
        yield f"{name:<{width}}  {numbers[name]:>16,.6g}  {shown:>12}".rstrip()


@main.command()
@click.option("--bind", required=True, help="host:port, [v6]:port or unix:/path.")
@click.option("--dir", "directory", help="The folder that the workers share.")
def monitor(bind: str, directory: str | None) -> None:
    """Show the pages from a process of its own: it answers when every worker is stuck."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("flask_expvar").setLevel(logging.INFO)
    try:
        settings = Settings.load({"EXPVAR_MONITORING_ADDRESS": bind}, os.environ)
        watching.serve(_folder(directory), bind, settings)
    except ExpvarError as error:
        _die(2, str(error))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
