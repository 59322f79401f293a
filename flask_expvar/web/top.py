"""Top: the numbers and how fast they grow, live on a terminal."""

from __future__ import annotations

import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import click

from .asking import Target, target

#: Looks that the line of a variable shows.
LOOKS = 20
_BARS = "▁▂▃▄▅▆▇█"
_HOME, _LINE_END, _REST = "\x1b[H", "\x1b[K", "\x1b[J"


class Rates:
    """How fast numbers grow from one look to the next."""

    def __init__(self) -> None:
        self._before: dict[str, float] = {}
        self._then = 0.0
        self._past: dict[str, deque[float]] = {}
        #: Per second, by name; empty after the first look.
        self.now: dict[str, float] = {}

    def look(self, numbers: Mapping[str, float], when: float) -> None:
        """Take in what the numbers are at a moment, in seconds."""
        seconds = when - self._then
        if self._before:
            # What was not there has begun at nothing.
            self.now = {
                name: (value - self._before.get(name, 0)) / seconds
                for name, value in numbers.items()
            }
        for name, rate in self.now.items():
            self._past.setdefault(name, deque(maxlen=LOOKS)).append(rate)
        self._before, self._then = dict(numbers), when

    def bars(self, name: str) -> str:
        """Return the last rates as a line of bars, the newest on the right."""
        past = self._past.get(name, ())
        most = max(past, default=0.0)
        if most <= 0:
            return ""
        return "".join(_BARS[max(round(rate / most * (len(_BARS) - 1)), 0)] for rate in past)


@click.command()
@target
@click.option("--interval", default=1.0, show_default=True, help="Seconds between two looks.")
@click.option("--count", default=0, help="How many looks; for ever unless given.")
@click.option("--match", default="", help="Only names that hold this text.")
def top(url: str | None, directory: str | None, interval: float, count: int, match: str) -> None:
    """Show the numbers and how fast they grow, the fastest first; Ctrl-C ends it."""
    asked, rates, look = Target(url, directory), Rates(), 0
    try:
        while True:
            numbers = dict(_numbers(asked.json("vars"), match))
            rates.look(numbers, time.monotonic())
            _show(list(_table(numbers, rates)))
            look += 1
            if count and look >= count:
                return
            time.sleep(max(interval, 0.1))
    except KeyboardInterrupt:
        return


def _show(lines: list[str]) -> None:
    if not sys.stdout.isatty():
        click.echo("\n".join(lines))
        return
    # Written over, not cleared first: that would flicker.
    text = f"{_LINE_END}\n".join(lines)
    click.echo(f"{_HOME}{text}{_LINE_END}\n{_REST}", nl=False)


def _numbers(found: Mapping[str, Any], match: str, above: str = "") -> Iterator[tuple[str, float]]:
    for name, value in found.items():
        path = f"{above}{name}"
        if isinstance(value, dict) and path not in ("memstats", "workers", "python"):
            yield from _numbers(value, match, f"{path}.")
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and match in path:
            yield path, value


def _table(numbers: Mapping[str, float], rates: Rates) -> Iterator[str]:
    room, columns = len(numbers), 10_000
    bars: Callable[[str], str] = lambda name: ""  # noqa: E731
    if sys.stdout.isatty():
        size = shutil.get_terminal_size()
        room, columns, bars = size.lines - 2, size.columns, rates.bars
    width = min(max(map(len, numbers), default=4), max(columns - 55, 20))
    head = f"{'NAME':<{width}}  {'VALUE':>16}  {'PER SECOND':>12}"
    yield click.style(head, bold=True)
    for name in sorted(numbers, key=lambda name: (-abs(rates.now.get(name, 0.0)), name))[:room]:
        rate = rates.now.get(name)
        shown = "" if rate is None else f"{rate:,.2f}"
        line = f"{name[:width]:<{width}}  {numbers[name]:>16,.6g}  {shown:>12}  {bars(name)}"
        yield click.style(line.rstrip(), fg="green" if rate else None)
