"""The command line of this process: what of it is the program's, and which options it has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set

#: Options of the interpreter that take a value, and those that end its part.
_WITH_VALUE, _LAST = "XW", "cm"


def arguments(argv: Sequence[str]) -> list[str]:
    """Return the part of ``sys.orig_argv`` that is the program's, without the interpreter's.

    >>> arguments(["python", "-X", "dev", "-m", "shop", "--port", "80"])
    ['--port', '80']
    """
    words = list(argv[1:])
    while words:
        word = words.pop(0)
        if not word.startswith("-") or word == "-":
            break  # the script
        if word.startswith("--"):
            if word == "--check-hash-based-pycs":
                del words[:1]
            continue
        letter = next((each for each in word[1:] if each in _WITH_VALUE + _LAST), "")
        apart = bool(letter) and word.endswith(letter)
        if apart:
            del words[:1]
        if letter in _LAST and letter:
            break
    return words


def options(words: Iterable[str], switches: Set[str] = frozenset()) -> dict[str, str]:
    """Return the options of a command line with their values; ``true`` for one without.

    What follows an option and is none itself is taken for its value: nothing tells
    ``--verbose FILE`` from ``--port 80``, unless *switches* has the option. One that is given
    several times has all its values, separated by commas.

    >>> options(["--port", "80", "-v", "--host=::1", "app:app"], {"-v"})
    {'port': '80', 'v': 'true', 'host': '::1'}
    """
    found: dict[str, list[str]] = {}
    for option, value in _options(list(words), switches):
        name = option.lstrip("-")
        if name:
            found.setdefault(name, []).append(value)
    return {name: ",".join(dict.fromkeys(values)) for name, values in found.items()}


def _options(words: list[str], switches: Set[str]) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(words) and words[position] != "--":
        option, equals, value = words[position].partition("=")
        position += 1
        if not is_option(option):
            continue
        if not equals:
            value = "true"
            following = words[position] if position < len(words) else "--"
            if option not in switches and not is_option(following) and following != "--":
                value = following
                position += 1
        yield option, value


def is_option(word: str) -> bool:
    """Tell an option from a value, a number below zero and a dash for a stream included."""
    return word[:1] == "-" and len(word.lstrip("-")) > 0 and not word[1].isdigit()


def folded(name: str) -> str:
    """Return *name* of an option as a program has it: ``--db-url`` is ``db_url``."""
    return name.strip("-<>").replace("-", "_").casefold()
