"""Flags as the libraries that parse command lines leave them: names, values, which were given."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol

from ..exceptions import BadKindError
from .argv import folded, is_option
from .values import text_of

ALLOWED = (
    "an argparse.Namespace, a click context, a set of absl flags, a mapping or a dataclass;"
    " of any other object pass vars(obj)"
)


class Flag(NamedTuple):
    """One flag as its source has it.

    :param given: whether it was set explicitly.
    :param hidden: whether the program declared that its value is not to be shown.
    :param safe: whether its name is known to hold no secret, whatever it looks like.
    """

    name: str
    value: object
    given: bool
    hidden: bool = False
    safe: bool = False


class Source(Protocol):
    """Where flags come from; asked whenever somebody looks."""

    #: What people call it.
    kind: str

    def flags(self) -> Iterable[Flag]:
        """Yield the flags as they are now."""


def source_of(
    obj: Any,
    *,
    parser: argparse.ArgumentParser | None,
    given: Iterable[str] | None,
    argv: Sequence[str],
) -> Source:
    """Return *obj* as a source of flags.

    :raises BadKindError: if it is nothing that flags are known of.
    """
    names = None if given is None else frozenset(map(folded, given))
    if hasattr(obj, "get_parameter_source") and hasattr(obj, "params"):
        return Click(obj)
    if callable(getattr(obj, "flag_values_dict", None)):
        return Absl(obj)
    if isinstance(obj, (argparse.Namespace, SimpleNamespace)):
        told = Told("argparse", lambda: vars(obj))
        if parser is not None:
            told.given = names if names is not None else _given(vars(obj), parser, argv)
            return told
    elif isinstance(obj, Mapping):
        told = Told("mapping", lambda: obj)
    elif dataclasses.is_dataclass(obj) and not isinstance(obj, type):
        told = _of_dataclass(obj)
    else:
        raise BadKindError("the first argument of register_flags()", type(obj), ALLOWED)
    told.given |= names if names is not None else frozenset(map(folded, _mentioned(argv)))
    return told


class Told:
    """Flags that do not know themselves whether they were given: that was found out at once.

    As in Go, a value that the program changes later does not become a given one.
    """

    def __init__(self, kind: str, values: Any, hidden: frozenset[str] = frozenset()) -> None:
        self.kind = kind
        self._values = values
        self._hidden = hidden
        self.given: frozenset[str] = frozenset()

    def flags(self) -> Iterator[Flag]:
        """Yield the flags as they are now."""
        for name, value in list(self._values().items()):
            plain = text_of(name).lstrip("-")
            yield Flag(plain, value, folded(plain) in self.given, name in self._hidden)


class Click:
    """The parameters of a click context and of those above it."""

    kind = "click"

    def __init__(self, context: Any) -> None:
        self._context = context

    def flags(self) -> Iterator[Flag]:
        """Yield the flags, those of the innermost command first."""
        context = self._context
        while context is not None:
            hidden = {
                each.name
                for each in getattr(context.command, "params", ())
                if getattr(each, "hide_input", False)
            }
            for name, value in list(context.params.items()):
                source = getattr(context.get_parameter_source(name), "name", "DEFAULT")
                yield Flag(name, value, source != "DEFAULT", name in hidden)
            context = context.parent


class Absl:
    """A set of flags in the manner of absl: each tells how often it was given."""

    kind = "absl"

    def __init__(self, flags: Any) -> None:
        self._flags = flags

    def flags(self) -> Iterator[Flag]:
        """Yield the flags as they are now."""
        for name in sorted(self._flags.flag_values_dict()):
            flag = self._flags[name]
            yield Flag(name, flag.value, bool(flag.present))


def _of_dataclass(obj: Any) -> Told:
    fields = dataclasses.fields(obj)
    told = Told(
        "dataclass",
        lambda: {each.name: getattr(obj, each.name) for each in fields},
        # What is left out of its repr() is left out here.
        frozenset(each.name for each in fields if not each.repr),
    )
    defaults = {each.name: _default(each) for each in fields}
    told.given = frozenset(
        folded(name) for name, default in defaults.items() if not _same(getattr(obj, name), default)
    )
    return told


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _same(value: Any, default: Any) -> bool:
    try:
        # argparse makes a default of text into what the option's type says.
        return bool(value == default) or (isinstance(default, str) and str(value) == default)
    except Exception:
        return False  # arrays and the like have no one answer


def _mentioned(argv: Sequence[str]) -> Iterator[str]:
    """Yield the names of the options of *argv*, ``color`` for ``--no-color`` too."""
    for word in argv:
        if word == "--":
            return
        if is_option(word):
            name = word.partition("=")[0].lstrip("-")
            yield name
            if name.startswith("no-"):
                yield name[3:]


def _given(
    values: Mapping[str, Any], parser: argparse.ArgumentParser, argv: Sequence[str]
) -> frozenset[str]:
    """Return the names that the command line has, and those that are not the default.

    The second are from a file (``fromfile_prefix_chars``), from ``parse_args([...])``, or
    positional. Nothing is parsed again: that would open files and run the program's code.
    """
    parsers = list(_parsers(parser, argv))
    options = {
        option: action
        for each in parsers
        for action in each._actions
        for option in action.option_strings
    }
    dests = {action.dest for word in _words(argv) for action in _actions(word, options)}
    for name, value in values.items():
        defaults = [each.get_default(name) for each in parsers]
        if not any(_same(value, default) for default in defaults):
            dests.add(name)
    return frozenset(map(folded, dests))


def _words(argv: Sequence[str]) -> Iterator[str]:
    for word in argv:
        if word == "--":
            return
        yield word


def _parsers(
    parser: argparse.ArgumentParser, argv: Sequence[str]
) -> Iterator[argparse.ArgumentParser]:
    """Yield the parser and those of the commands that the command line names."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name in _words(argv):
                if name in action.choices:
                    yield from _parsers(action.choices[name], argv)


def _actions(word: str, options: Mapping[str, argparse.Action]) -> Iterator[argparse.Action]:
    """Yield the actions that one argument calls: also ``--verb`` for ``--verbose``, ``-vp80``."""
    name = word.partition("=")[0]
    if name in options:
        yield options[name]
    elif name.startswith("--"):
        near = [option for option in options if option.startswith(name) and len(name) > 2]
        yield from (options[option] for option in near)
    elif is_option(word):
        for letter in word[1:]:
            action = options.get(f"-{letter}")
            if action is None:
                return
            yield action
            if action.nargs != 0:
                return  # the rest is its value
