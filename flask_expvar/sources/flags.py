"""Flags of a program: what it registers, what its server has, what its command line says."""

from __future__ import annotations

import argparse
import sys
import weakref
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, count
from typing import Any, NamedTuple

from ..variables.interrupts import is_interrupt
from ..variables.registry import Registry, default_registry
from ..variables.runtime import cmdline
from .argv import arguments, options
from .parsed import Flag, Source, source_of
from .server import gunicorn_settings, gunicorn_switches
from .values import error_text

_registered: weakref.WeakKeyDictionary[Registry, FlagSources] = weakref.WeakKeyDictionary()


class Registered(NamedTuple):
    """A source and what its names begin with.

    :param owner: what was registered; registering it again takes this place.
    """

    source: Source
    prefix: str
    owner: object


class Named(NamedTuple):
    """A flag under the name that it has on the page, and where it is from."""

    name: str
    flag: Flag
    source: str


class FlagSources:
    """The sources that were registered with one registry, in their order."""

    def __init__(self) -> None:
        self.sources: tuple[Registered, ...] = ()

    def add(self, new: Registered) -> None:
        """Add a source; one of the same object goes."""
        others = [each for each in self.sources if each.owner is not new.owner]
        self.sources = (*others, new)


def register_flags(
    obj: Any,
    *,
    parser: argparse.ArgumentParser | None = None,
    given: Iterable[str] | None = None,
    argv: Sequence[str] | None = None,
    prefix: str = "",
    registry: Registry | None = None,
) -> None:
    """Show the flags of *obj* on ``/debug/flags``, those first that were set explicitly.

    ::

        args = parser.parse_args()
        expvar.register_flags(args, parser=parser)

    *obj* is an ``argparse.Namespace``, a click context, a set of absl flags, a mapping or a
    dataclass. Values are read whenever somebody looks. Which were given, a click context and
    absl flags know. Of a namespace with its *parser* those were that the command line names,
    and those whose value now is not the parser's default; of a dataclass likewise; of anything
    else those that the command line names. What the program changes later stays in its place.

    :param given: the names that were given, if the program knows better.
    :param argv: the arguments that were parsed, ``sys.argv[1:]`` unless given.
    :param prefix: what the names begin with, and a dot.
    :param registry: on whose page, the default one's unless given.
    :raises BadKindError: if *obj* is nothing that flags are known of.
    """
    words = sys.argv[1:] if argv is None else argv
    source = source_of(obj, parser=parser, given=given, argv=words)
    shown = registry if registry is not None else default_registry
    flag_sources_of(shown).add(Registered(source, prefix, obj))


def flag_sources_of(registry: Registry) -> FlagSources:
    """Return the sources that belong to *registry*; always the same object."""
    found = _registered.get(registry)
    if found is None:
        found = _registered.setdefault(registry, FlagSources())
    return found


class CommandLine:
    """The options of this process's command line, for a program that registers nothing.

    :param words: the command line with its secrets hidden, the interpreter's part included.
    """

    kind = "command line"

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words

    def flags(self) -> Iterator[Flag]:
        """Yield the options: each of them was given."""
        found = options(arguments(self._words), gunicorn_switches())
        for name, value in found.items():
            yield Flag(name, value, True)


class Server:
    """The settings of the server that runs this process."""

    kind = "gunicorn"

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words

    def flags(self) -> Iterator[Flag]:
        """Yield the settings: given are those that are not the default."""
        for each in gunicorn_settings(arguments(self._words)):
            yield Flag(each.name, each.value, each.given, safe=each.safe)


def all_flags(registry: Registry) -> tuple[dict[str, Named], dict[str, str]]:
    """Return the flags by name, and of the sources that raised what they raised.

    The first source has its names as they are. A name that is taken already gets the kind of
    its source in front, as the settings of the server always have.
    """
    words = cmdline()
    sources = list(flag_sources_of(registry).sources)
    if not sources:
        # What a program has registered was mostly parsed from there.
        sources.append(Registered(CommandLine(words), "", None))
    sources.append(Registered(Server(words), "gunicorn", None))
    found: dict[str, Named] = {}
    failed: dict[str, str] = {}
    for each in sources:
        kind = each.source.kind
        try:
            for flag in each.source.flags():
                name = _free(flag.name, each.prefix, kind, found)
                found[name] = Named(name, flag, kind)
        except BaseException as error:
            if is_interrupt(error):
                raise
            failed[f"{kind} {each.prefix}".strip()] = error_text(error)
    return found, failed


def _free(name: str, prefix: str, kind: str, taken: dict[str, Named]) -> str:
    mark = prefix or kind.replace(" ", "-")
    first = f"{prefix}.{name}" if prefix else name
    others = (f"{mark}{number}.{name}" for number in count(2))
    return next(each for each in chain([first, f"{mark}.{name}"], others) if each not in taken)
