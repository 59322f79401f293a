"""What must not be shown of a command line: options, assignments, what programs make of ``-p``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from .redaction import HIDDEN, MAX_LENGTH, cut, is_secret_name, redact_named, redact_text

MAX_ITEMS = 1000

_HEX = re.compile(r"(?<![A-Za-z0-9])(?=\d*[A-Fa-f])(?=[A-Fa-f]*\d)[0-9A-Fa-f]{32,}(?![A-Za-z0-9])")
_OPTION = re.compile(r"--?([A-Za-z][\w.-]{2,})")
# After `--password` these are the next option, and `-p4ssw0rd` is not.
_IS_OPTION = re.compile(r"--[A-Za-z]|-[A-Za-z]$|--$")
_NO_VALUE = re.compile("(?:no|without|enable|disable|skip)-")
_ASSIGNMENT = re.compile(r"-{0,2}([\w.-]+)=")
_HEADER = re.compile(
    r"([\"']?)(?:-H|--header[= ])?(?:(x-[\w-]+|cookie):\s*|([a-z][\w-]*):\s+)", re.I
)
_SHELL_WORD = re.compile(r"\s+|(?:\"[^\"]*\"|'[^']*'|\S)+")
# Programs whose short options take passwords. The last ones take none, and end the search.
_PROGRAMS = {
    "mysql mysqldump mysqladmin mysqlimport mariadb mongo mongosh mongodump sshpass 7z": ["-p"],
    "curl smbclient": ["-u", "-U", "--user", "--proxy-user"],
    "ldapsearch ldapmodify": ["-w"],
    "redis-cli": ["-a"],
    "zip unzip": ["-P"],
    "ssh scp gunicorn flask uwsgi python python3 celery": [],
}
_PASSWORD_OPTIONS = {name: opts for names, opts in _PROGRAMS.items() for name in names.split()}


def redact_argv(argv: Sequence[object]) -> list[str]:
    """Return a command line that may be shown, argument by argument.

    Hides the values of options and assignments with secret names, the short password
    options of well-known programs, and what looks like a secret in any argument. After
    a thousand arguments one ``…`` stands for the rest. Never raises: a program may put
    anything into ``sys.argv``, and what is no ``str`` is hidden.
    """
    words = _redact_words(
        [cut(word, MAX_LENGTH) if isinstance(word, str) else HIDDEN for word in argv[:MAX_ITEMS]]
    )
    return [*words, "…"] if len(argv) > MAX_ITEMS else words


def _redact_words(words: Iterable[str], *, split: bool = True) -> list[str]:
    shown: list[str] = []
    options: list[str] = []
    secret, last = "", ""
    for word in words:
        options = _PASSWORD_OPTIONS.get(word.rpartition("/")[2], options)
        name, equals, _ = word.partition("=")
        if secret and not _IS_OPTION.match(word):
            shown.append(redact_named(secret, word))
            secret = ""
        elif word[:2] in options and len(word) > 2:
            shown.append(word[:2] + HIDDEN)
        elif name in options:
            shown.append(f"{name}={HIDDEN}" if equals else word)
            secret = "" if equals else "password"
        else:
            shown.append(_redact_word(word, split=split, shell=last in ("-c", "-lc")))
            secret = _name_of_next(word)
        last = word
    return shown


def _name_of_next(word: str) -> str:
    """Return the name of the option whose value is the next word, if that is a secret."""
    option = _OPTION.fullmatch(word)
    if option is None or _NO_VALUE.match(option[1]):
        return ""
    return option[1] if is_secret_name(option[1]) else ""


def _redact_word(word: str, *, split: bool, shell: bool) -> str:
    header = _HEADER.match(word)
    if header and is_secret_name(header[2] or header[3]):
        return header[0] + HIDDEN + header[1]
    assigned = None if shell else _ASSIGNMENT.match(word)
    while assigned:
        if is_secret_name(assigned[1]):
            return word[: assigned.end()] + redact_named(assigned[1], word[assigned.end() :])
        assigned = _ASSIGNMENT.match(word, assigned.end())
    # Elsewhere 32 hex digits are the id of a trace or of a commit, and shown.
    text = _HEX.sub(HIDDEN, redact_text(word))
    return _redact_script(text) if split else text


def _redact_script(text: str) -> str:
    """Apply the rules for options inside one argument, such as that of ``sh -c``."""
    parts = _SHELL_WORD.findall(text)
    words = iter(_redact_words([part for part in parts if not part.isspace()], split=False))
    return "".join(part if part.isspace() else next(words) for part in parts)
