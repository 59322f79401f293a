"""The header ``traceparent``: which trace of another program a request belongs to.

Format: W3C Trace Context, https://www.w3.org/TR/trace-context/#traceparent-header.
"""

from __future__ import annotations

import os
import re

# A later version may go on after a dash; version ff is forbidden, as are ids of zeros.
_PARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)


def parse_parent(header: str) -> tuple[str, str] | None:
    """Return trace id and parent id of a header, None if it is not valid.

    >>> parse_parent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    ('4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7')
    """
    match = _PARENT.fullmatch(header.strip()) if len(header) <= 256 else None
    if match is None or (match[1] == "00" and match[5]):
        return None
    return match[2], match[3]


def format_parent(trace_id: str, number: int) -> str:
    """Return the header for a trace with the id *trace_id* and the span *number* in it."""
    return f"00-{trace_id}-{number:016x}-01"


def new_id() -> str:
    """Return a random trace id."""
    return os.urandom(16).hex()
