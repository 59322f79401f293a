"""Aliases: where mail for a local address goes; a file, then a hook, then the users."""

from __future__ import annotations

from pathlib import Path

import flask_expvar as expvar

from . import counters
from .envelope import LOCAL, PIPE, REMOTE, Recipient, TemporaryError, domain_of
from .hooks import run_hook
from .settings import Settings

#: An alias of an alias of an alias …
DEEPEST = 10


class Aliases:
    """Resolves addresses into recipients."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._file = _read(settings.aliases_file) if settings.aliases_file else {}

    def resolve(self, address: str) -> list[Recipient]:
        """Return who gets mail for *address*; nobody if it is local and unknown.

        :raises TemporaryError: if the hook failed.
        """
        if domain_of(address) not in self._settings.local_domains:
            return [Recipient(address, REMOTE, address)]
        with expvar.trace("Alias.Resolve", address) as trace:
            found = self._resolve(address, address, 0)
            trace.log("%s", ", ".join(f"{each.type} {each.address}" for each in found) or "nobody")
            return found

    def _resolve(self, address: str, original: str, depth: int) -> list[Recipient]:
        if address.startswith("|"):
            return [Recipient(address[1:].strip(), PIPE, original)]
        user, _, domain = address.rpartition("@")
        if domain.lower() not in self._settings.local_domains:
            return [Recipient(address, REMOTE, original)]
        targets = self._file.get(user.lower()) or self._ask_hook(address)
        if not targets:
            known = user.lower() in self._settings.users
            return [Recipient(address.lower(), LOCAL, original)] if known else []
        if depth == DEEPEST:
            raise TemporaryError(f"more than {DEEPEST} aliases in a row")
        found = []
        for target in targets:
            full = target if "@" in target or target.startswith("|") else f"{target}@{domain}"
            found += self._resolve(full, original, depth + 1)
        return found

    def _ask_hook(self, address: str) -> list[str]:
        hook = self._settings.alias_hook
        if hook is None:
            return []
        answer = run_hook("Hook.Alias-Resolve", [hook, address])
        counters.alias_hooks.add("resolve:success" if answer.ok else "resolve:fail")
        if not answer.ok:
            raise TemporaryError(f"the alias hook ended with {answer.status}")
        return _targets(answer.output.decode("utf-8", "replace"))


def _read(path: Path) -> dict[str, list[str]]:
    """Return the aliases in a file of lines ``name: target, target`` or ``name: | command``."""
    found = {}
    for line in path.read_text().splitlines():
        name, colon, rest = line.partition("#")[0].partition(":")
        if colon:
            found[name.strip().lower()] = _targets(rest)
    return found


def _targets(text: str) -> list[str]:
    text = text.strip()
    if text.startswith("|"):
        return [text]
    return [part.strip() for part in text.replace("\n", ",").split(",") if part.strip()]
