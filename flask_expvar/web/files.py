"""Templates and static files, rendered and read without the application's own settings for them."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader

_STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return the templates: not the application's, whose context and filters are not ours."""
    made = Environment(
        loader=PackageLoader("flask_expvar.web", "templates"),
        # What was read before a fork is good in a worker whose user may not read it again.
        auto_reload=False,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["asset"] = asset
    return made


def render(name: str, **context: Any) -> str:
    """Return the template ``expvar/NAME.html`` filled in."""
    return environment().get_template(f"expvar/{name}.html").render(**context)


@lru_cache(maxsize=1)
def static_files() -> dict[str, tuple[bytes, str]]:
    """Return every static file by name, with its media type: nothing else is ever read."""
    return {
        path.relative_to(_STATIC).as_posix(): (path.read_bytes(), _TYPES[path.suffix])
        for path in _STATIC.rglob("*")
        if path.suffix in _TYPES
    }


@lru_cache(maxsize=64)
def stamp(name: str) -> str:
    """Return what tells this content of a static file from any other."""
    content, _ = static_files()[name]
    return hashlib.blake2b(content, digest_size=6).hexdigest()


def asset(name: str) -> str:
    """Return the link to a static file, below the pages; browsers keep it for a year."""
    return f"assets/{name}?v={stamp(name)}"


@lru_cache(maxsize=1)
def version() -> str:
    """Return the version of this package."""
    try:
        return metadata.version("flask_expvar")
    except metadata.PackageNotFoundError:  # a copy that was never installed
        return "(unknown)"
