"""Take a picture of every page of a running program, to be looked at: light, dark and narrow.

    python tools/screenshots.py http://127.0.0.1:8000/debug/ pictures/

Needs playwright (from PyPI) and Chromium (Debian's ``chromium``), and pages that are open to
this machine, as those of the example are.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

SHAPES = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 800}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 800}},
    "narrow": {"color_scheme": "light", "viewport": {"width": 390, "height": 800}},
}


def main(start: str, folder: str) -> None:
    """Follow the navigation from *start*, and take each page in each shape."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
        )
        for shape, how in SHAPES.items():
            context = browser.new_context(**how)
            page = context.new_page()
            page.goto(start)
            links = page.locator("nav[aria-label='Debug pages'] a")
            for url in links.evaluate_all("links => links.map(link => link.href)"):
                page.goto(url)
                name = re.sub(r"\W+", "-", url.removeprefix(start)).strip("-") or "overview"
                path = Path(folder) / f"{name}-{shape}.png"
                page.screenshot(path=path, full_page=True)
                print(path)
            context.close()
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
