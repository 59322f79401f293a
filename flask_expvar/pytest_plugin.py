"""Fixtures for pytest, found by themselves once the package is installed.

None is used unless a test asks for it, and nothing here imports Flask.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from .testing import Changes, changes
from .variables.registry import Registry


@pytest.fixture
def expvar_registry() -> Registry:
    """A fresh registry that nothing else counts in."""
    return Registry()


@pytest.fixture
def expvar_changes() -> Callable[..., AbstractContextManager[Changes]]:
    """What changes in a registry during a ``with`` block: the default one unless given.

    ::

        with expvar_changes() as changes:
            client.get("/")
        assert changes["http/responseCodeCount"] == {"200": 1}
    """
    return changes
