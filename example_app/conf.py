"""gunicorn's configuration for the example: starts the world beside the relay.

The relay itself needs nothing of this, only servers that it may talk to; and the debug pages tell
what became of workers, beside the hooks here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from flask_expvar.gunicorn import *  # noqa: F403  # counts starts, ends and reloads

_world: list[subprocess.Popen[str]] = []


def on_starting(server: Any) -> None:
    """Start the world before the workers, which are told where it is through their environment."""
    # Not before now: gunicorn has only just put the folder of the code on Python's path.
    from example_app.settings import from_environ, private_folder

    here = Path(__file__).parent
    folder = private_folder(from_environ(os.environ).folder)
    # A process of its own: workers may be killed, other people's servers go on.
    world = subprocess.Popen(
        [sys.executable, "-m", "example_app.world", str(folder / "world")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(here.parent), *sys.path])},
    )
    _world.append(world)
    assert world.stdout is not None
    told = world.stdout.readline()
    if not told:
        raise SystemExit("The world did not start; what it said is above.")
    os.environ.update(json.loads(told))
    os.environ.setdefault("RELAY_ALIASES_FILE", str(here / "aliases"))
    os.environ.setdefault("RELAY_ALIAS_HOOK", str(here / "scripts" / "alias-resolve"))
    os.environ.setdefault("RELAY_POST_DATA_HOOK", str(here / "scripts" / "post-data"))


def on_exit(server: Any) -> None:
    """End the world: its input ends."""
    for world in _world:
        assert world.stdin is not None
        world.stdin.close()
        world.wait(10)
