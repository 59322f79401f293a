"""Build info in the default registry, or in the one that is given."""

from __future__ import annotations

from datetime import datetime

from .registry import Registry, default_registry


def publish_build_info(
    prefix: str,
    version: str | None = None,
    source_date: float | datetime | None = None,
    *,
    registry: Registry | None = None,
) -> None:
    """Publish ``PREFIX/version``, ``PREFIX/sourceDateStr`` and ``PREFIX/sourceDateTimestamp``.

    As :meth:`Registry.publish_build_info` does, which says what stands for None.

    :raises BadKindError: if one is not given and cannot be found, or is of a wrong kind.
    """
    into = registry if registry is not None else default_registry
    into.publish_build_info(prefix, version, source_date)
