"""Accept: which of the two formats a client of the metrics prefers."""

from __future__ import annotations

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_VERSIONS = {"text/plain": ("", "0.0.4"), "application/openmetrics-text": ("", "1.0.0", "0.0.1")}


def prefers_openmetrics(accept: str) -> bool:
    """Return whether OpenMetrics is asked for by name, and not less than the old text.

    >>> prefers_openmetrics("application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.5")
    True
    >>> prefers_openmetrics("*/*")
    False
    """
    wanted: dict[str, float] = {}
    for part in accept.split(","):
        kind, *given = (piece.strip().lower() for piece in part.split(";"))
        parameters = {name.strip(): value.strip(' "') for name, _, value in
                      (each.partition("=") for each in given)}  # fmt: skip
        if parameters.get("version", "") not in _VERSIONS.get(kind, ("",)):
            continue
        try:
            quality = float(parameters.get("q", "1"))
        except ValueError:
            quality = 0.0
        wanted[kind] = max(wanted.get(kind, 0.0), quality)
    text = wanted.get("text/plain", wanted.get("text/*", wanted.get("*/*", 0.0)))
    return wanted.get("application/openmetrics-text", 0.0) > 0 and (
        wanted["application/openmetrics-text"] >= text
    )
