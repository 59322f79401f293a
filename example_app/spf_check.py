"""SPF: whether a domain lets this address send its mail, by way of pyspf."""

from __future__ import annotations

from typing import Any

import spf

import flask_expvar as expvar

from . import counters
from .envelope import TemporaryError
from .names import Names


class _Query(spf.query):  # type: ignore[misc]  # pyspf has no types
    """A query of pyspf that asks our name server instead of the system's."""

    def __init__(self, names: Names, address: str, sender: str, helo: str) -> None:
        super().__init__(address, sender, helo)
        self._names = names

    def dns(self, name: Any, qtype: str, cnames: Any = None, ignore_void: bool = False) -> Any:
        """Return the records of *name*; pyspf ends a check that finds nothing too often."""
        try:
            found = self._answer(str(name), qtype)
        except TemporaryError as error:
            raise spf.TempError(str(error)) from error
        if not found and not ignore_void:
            self.void_lookups += 1
            if self.void_lookups > spf.MAX_VOID_LOOKUPS:
                raise spf.PermError("Void lookup limit exceeded")
        return found

    def _answer(self, name: str, qtype: str) -> list[Any]:
        if qtype == "TXT":
            return [[text] for text in self._names.texts(name)]
        if qtype == "MX":
            return list(enumerate(self._names.mail_servers(name)))
        return list(self._names.addresses(name)) if qtype == "A" else []


def check_spf(names: Names, address: str, sender: str, helo: str) -> str:
    """Return ``pass``, ``fail``, ``none`` or another result of SPF."""
    with expvar.trace("SPF", f"{sender} from {address}") as trace:
        result, _, explanation = _Query(names, address, sender, helo).check()
        trace.log("%s: %s", result, explanation)
    counters.spf_results.add(result)
    return str(result)
