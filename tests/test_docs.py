"""The docs tell of everything that there is."""

from __future__ import annotations

from pathlib import Path

import pytest

import flask_expvar
from flask_expvar.pages.overview import all_pages
from flask_expvar.settings import KNOWN

DOCS = Path(__file__).parent.parent / "docs" / "reference.md"


@pytest.mark.parametrize("name", flask_expvar.__all__)
def test_every_public_name_is_in_the_reference(name: str) -> None:
    assert f"`{name}" in DOCS.read_text()


@pytest.mark.parametrize("name", KNOWN)
def test_every_setting_is_in_the_reference_and_the_readme(name: str) -> None:
    assert f"`{name}`" in DOCS.read_text()
    assert f"`{name}`" in (DOCS.parent.parent / "README.md").read_text()


@pytest.mark.parametrize("name", all_pages())
def test_every_page_is_in_the_reference(name: str) -> None:
    assert f"`/debug/{name}`" in DOCS.read_text()
