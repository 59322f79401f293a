"""The tour leads nowhere that is not there."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def test_every_file_that_the_tour_and_the_readme_name_is_there() -> None:
    for page in (DOCS / "tour.md", DOCS.parent / "README.md"):
        links = re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text())
        assert links
        for link in links:
            assert (page.parent / link).is_file(), link


def test_every_picture_of_the_tour_is_small_and_shown() -> None:
    text = (DOCS / "tour.md").read_text()
    pictures = sorted((DOCS / "tour").glob("*.png"))

    assert {f"(tour/{each.name})" for each in pictures} == set(re.findall(r"\(tour/.+?\)", text))
    assert all(each.stat().st_size < 100_000 for each in pictures)


def test_the_code_in_the_tour_is_that_of_the_example() -> None:
    text = (DOCS / "tour.md").read_text()
    code = "\n".join(path.read_text() for path in (DOCS.parent / "example_app").glob("*.py"))
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines()]

    assert lines
    for line in lines:
        if "…" not in line:
            assert line in code, line
