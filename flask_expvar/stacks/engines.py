"""Engines: which there are, and which one is to take a profile."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from ..exceptions import UnavailableError
from .interrupter import Interrupter
from .order import Engine
from .sampler import ThreadSampler
from .spy import Spy
from .walking import is_free_threaded

FREE_THREADED = (
    "this Python runs without its GIL, and then the frames of other threads may be gone while"
    " they are read; set PYTHON_GIL=1 to run with it"
)


def every() -> list[Engine]:
    """Return all engines, the one that can always be had last."""
    return [Interrupter(), Spy(), ThreadSampler()]


def choose(known: Mapping[str, Engine], mode: str, name: str, *, in_main: bool) -> Engine:
    """Return the engine called *name*, or the best one for *mode*.

    :raises UnavailableError: if it cannot do that here.
    :raises ValueError: if there is none of this name.
    """
    if name and name not in known:
        raise ValueError(f"engine {name!r:.80}: allowed are {', '.join(sorted(known))}")
    if sys.implementation.name != "cpython" or is_free_threaded():
        raise UnavailableError(f"no profile: {FREE_THREADED}")
    if name:
        obstacle = known[name].obstacle(mode)
        if obstacle:
            others = [each for each, one in known.items() if not one.obstacle(mode)]
            what = f"possible: engine={' or '.join(sorted(others))}" if others else _rest(known)
            raise UnavailableError(f"the engine {name} is not possible: {obstacle}; {what}")
        return known[name]
    order = ["threads"]
    if mode == "cpu":
        order = ["signal", "py-spy", "threads"] if in_main else ["py-spy", "threads"]
    obstacles = {}
    for each in order:
        if each in known:
            obstacles[each] = known[each].obstacle(mode)
            if not obstacles[each]:
                return known[each]
    why = "; ".join(f"{each}: {text}" for each, text in obstacles.items())
    raise UnavailableError(f"mode={mode} is not possible here ({why}); {_rest(known)}")


def _rest(known: Mapping[str, Engine]) -> str:
    return "mode=wall is possible" if not known["threads"].obstacle("wall") else "nothing else is"
