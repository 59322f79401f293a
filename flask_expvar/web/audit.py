"""Audit: one line in the log for each look at what is sensitive, and for each action."""

from __future__ import annotations

from .decision import Decision
from .refusals import logger


def looked(decision: Decision, page: str, status: int) -> None:
    """Note that somebody has looked at a page that shows more to those who may see it."""
    logger.info(
        "looked at %s: %s at level %s by rule %s, answered with %d",
        page, decision.who or "somebody", decision.level.name, decision.rule, status,
    )  # fmt: skip


def acted(decision: Decision, page: str, action: str, status: int) -> None:
    """Note that somebody has used an action, or has tried to."""
    logger.warning(
        "action %s of %s: %s at level %s by rule %s, answered with %d",
        action, page, decision.who or "somebody", decision.level.name, decision.rule, status,
    )  # fmt: skip
