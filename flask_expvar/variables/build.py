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
    """Publish ``PREFIX/version`` and its companions: :meth:`Registry.publish_build_info`."""
    into = registry if registry is not None else default_registry
    into.publish_build_info(prefix, version, source_date)
