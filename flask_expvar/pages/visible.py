"""Text that nobody can hide in."""

from __future__ import annotations


def visible(text: str) -> str:
    """Return *text* with what would hide or turn the rest of it written out."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
