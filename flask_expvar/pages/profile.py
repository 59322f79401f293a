"""``/debug/profile``: where the time goes, in all threads of all workers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from ..exceptions import UnknownError
from ..stacks.profile import ENGINES, MODES, Merge, merged
from ..stacks.profiler import profiler
from ..variables.reading import Part
from ..variables.registry import Registry
from ..workers.profiling import longest
from ..workers.rounds import Asked, Known, fetch_profiles, known_profiles, request_profiles
from . import arming
from .moments import duration, iso, when, zone
from .page import Query, Scene
from .profile_forms import tidy
from .profile_plain import compared_plain, list_plain, result_plain
from .profile_question import LONGEST, USUAL, Question, question
from .profile_table import compared_html, result_html
from .vars import JSON
from .vars_table import seconds, visible


class ProfilePage:
    """The page of profiles: what is being taken, the last ones, and each of them."""

    name = "profile"
    title = "Profile"
    about = "Where the time goes: flame graphs and tables of all threads, taken on demand"
    actions: ClassVar[Mapping[str, str]] = arming.ACTIONS

    def wants(self, scene: Scene, part: Part) -> bool:
        """Ask nobody in this way: profiles are fetched by their own questions.

        :raises ParameterError: if a parameter is not allowed.
        """
        question(scene.query)
        return False

    def collect(self, registry: Registry, query: Query) -> Any:
        """Return nothing, for the same reason."""
        question(query)
        return {}

    def act(self, registry: Registry, action: str, query: Query) -> dict[str, Any]:
        """Have the next requests profiled one by one, or no more.

        :raises ParameterError: if a field is not allowed.
        """
        return arming.act(registry, action, query)

    def machine(self, scene: Scene, twin: bool) -> tuple[str, str]:
        """Return what the page shows, as JSON. Nothing is taken by looking at it."""
        asked = question(scene.query)
        if asked.id and asked.before:
            data = compared_plain(*both(scene, asked), asked)
        elif asked.id:
            data = result_plain(*fetched(scene, asked.id), asked)
        else:
            data = {**list_plain(_known(scene)), **arming.plain(_of_requests(scene))}
        data["workers"] = [part.pid for part in scene.workers]
        return json.dumps(data, allow_nan=False, sort_keys=True) + "\n", JSON

    def html(self, scene: Scene) -> dict[str, Any]:
        """Return the data of the template."""
        asked = question(scene.query)
        keep = asked.same(worker="")[1:]
        if asked.id and asked.before:
            return {"view": "compare", "keep": keep, **compared_html(*both(scene, asked), asked)}
        if not asked.id:
            return {"view": "list", "keep": keep, **list_html(scene, asked)}
        merge, left = fetched(scene, asked.id)
        if left:
            row = next((each for each in _known(scene) if each.id == asked.id), None)
            return {
                "view": "running",
                "keep": keep,
                "id": asked.id,
                "left": f"{left:.0f}",
                "again": max(int(left) + 1, 1),
                "row": _row(row, asked) if row else None,
                "back": asked.link(),
            }
        others = [_row(each, asked) for each in _known(scene) if each.done and each.id != asked.id]
        return {"view": "result", "keep": keep, "others": others, **result_html(merge, asked)}


def fetched(scene: Scene, id: str) -> tuple[Merge, float]:
    """Return the profiles of one round, of the worker that is meant, and seconds to wait.

    :raises UnknownError: if no worker keeps it.
    """
    profiles, left = fetch_profiles(scene.registry, id)
    if scene.only is not None:
        profiles = [each for each in profiles if each.worker == scene.only.pid]
        if not profiles and not left:
            raise UnknownError(f"worker {scene.only.pid} has no profile {id!r}")
    return merged(map(tidy, sorted(profiles, key=lambda each: each.worker))), left


def both(scene: Scene, asked: Question) -> tuple[Merge, Merge]:
    """Return the profile that is compared with, and the one that is compared."""
    return fetched(scene, asked.before)[0], fetched(scene, asked.id)[0]


def _known(scene: Scene) -> list[Known]:
    found = known_profiles(scene.registry)
    if scene.only is None:
        return found
    return [each for each in found if scene.only.pid in each.workers]


def _of_requests(scene: Scene) -> Asked:
    found = request_profiles(scene.registry)
    if scene.only is None:
        return found
    pid = scene.only.pid
    return Asked(*([each for each in part if each["worker"] == pid] for part in found))


def list_html(scene: Scene, asked: Question) -> dict[str, Any]:
    """Return the data of the form, of what is running and of what is kept."""
    kept = scene.section("The list of profiles", lambda: _known(scene), [])
    rows = [_row(each, asked) for each in kept]
    limit, why = longest()
    none = Asked([], [])
    single = scene.section("Profiles of requests", lambda: _of_requests(scene), none)
    return {
        **arming.html(single),
        "running": [row for row in rows if not row["done"]],
        "kept": [row for row in rows if row["done"]],
        "zone": zone(),
        "modes": MODES,
        "engines": [_engine(name) for name in ENGINES],
        "seconds": f"{USUAL:g}",
        "longest": f"{LONGEST:g}",
        "direct": f"{limit:g}",
        "why": why,
        "worker": asked.given.get("worker", ""),
    }


def _engine(name: str) -> dict[str, str]:
    obstacles = {mode: profiler.possible(mode).get(name, "") for mode in MODES}
    able = [mode for mode, why in obstacles.items() if not why]
    why = next((visible(each) for each in obstacles.values() if each), "")
    return {"name": name, "modes": ", ".join(able), "why": why}


def _row(known: Known, asked: Question) -> dict[str, Any]:
    return {
        "id": known.id,
        "href": asked.link(id=known.id),
        "compare": asked.link(id=asked.id, before=known.id),
        "when": when(known.started),
        "iso": iso(known.started),
        "mode": known.mode,
        "engine": known.engine,
        "seconds": seconds(known.seconds),
        "left": duration(known.left),
        "done": known.done,
        "workers": ", ".join(map(str, sorted(known.workers))),
        "errors": [f"worker {pid}: {visible(why)}" for pid, why in sorted(known.errors.items())],
    }
