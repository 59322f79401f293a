"""Rounds: one profile of all workers, asked for by one of them."""

from __future__ import annotations

import _thread
import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..exceptions import ParameterError, UnavailableError, UnknownError
from ..stacks.order import ident
from ..stacks.profile import Profile, from_plain
from ..stacks.profiler import LONGEST_SECONDS
from ..stacks.threads import short_turns
from ..variables.reading import Part
from ..variables.registry import Registry
from . import profiling
from .membership import membership

#: How long the answers to small questions are waited for, and those with profiles, in seconds.
QUICK, SLOW = 2.0, 10.0
#: How long a worker may take to finish beyond the time asked for, in seconds.
GRACE = 10.0
_PAUSE, _RENEW = 0.05, 1.0

ALONE = (
    "worker {pid} is a sync one: it would wait for the profile in this request and do nothing else."
    " Let the profile be taken in the background and fetch it afterwards, or run more workers"
    " (one then asks the others), or threads"
)


def never() -> bool:
    """Return no."""
    return False


class Round:
    """A profile that several workers take at the same time, known by one id in all of them.

    :param only: the process id of the one worker that is meant; None for all.
    :param background: go on without being waited for; else it ends when nobody :meth:`poll`\\ s.
    :raises BusyError: if one of them is at it already; then none is.
    :raises UnavailableError: if none of them can.
    :raises ParameterError: if it takes longer than may be waited for.
    :raises UnknownError: if there is no such worker.
    """

    def __init__(
        self,
        registry: Registry,
        seconds: float,
        mode: str = "wall",
        engine: str = "",
        *,
        only: int | None = None,
        interval: float = 0.01,
        background: bool = False,
    ) -> None:
        self.id = secrets.token_hex(6)
        self.seconds = seconds
        self.profiles: dict[int, Profile] = {}
        #: Why workers took no part, by process id.
        self.refused: dict[int, str] = {}
        self._registry = registry
        self._background = background
        _check(seconds, background)
        self._parts = _meant(registry, only)
        self._leave_self_out()
        self._waiting: dict[int, Part] = {}
        with short_turns():
            self._begin(mode, engine, interval)
        self._ends = time.monotonic() + seconds

    def _leave_self_out(self) -> None:
        if self._background or not profiling.blocks_itself():
            return
        own = os.getpid()
        others = [part for part in self._parts if part.pid != own]
        if len(others) < len(self._parts):
            if not others:
                raise UnavailableError(ALONE.format(pid=own))
            self._parts = others
            self.refused[own] = "it waits for this very profile and does nothing else"

    def _begin(self, mode: str, engine: str, interval: float) -> None:
        request = {
            "do": "start",
            "id": self.id,
            "seconds": self.seconds,
            "mode": mode,
            "engine": engine,
            "interval": interval,
            "lease": not self._background,
        }
        errors = []
        # One before the others: of two who ask at the same time one gets all and one none.
        for parts in (self._parts[:1], self._parts[1:]):
            for part, told in self._ask(parts, request, QUICK):
                error = profiling.refusal(part.pid, told)
                if error is None:
                    self._waiting[part.pid] = part
                elif isinstance(error, UnavailableError):
                    errors.append(error)
                    self.refused[part.pid] = str(told["unavailable"])
                else:
                    self.stop()
                    raise error
        if not self._waiting and errors:
            raise errors[0]

    @property
    def left(self) -> float:
        """How many seconds it will still take."""
        return max(self._ends - time.monotonic(), 0.0)

    @property
    def missing(self) -> list[int]:
        """The workers that take part, or should, and have not answered yet."""
        return sorted(
            part.pid
            for part in self._parts
            if part.pid not in self.profiles and part.pid not in self.refused
        )

    def poll(self) -> bool:
        """Fetch what is done, let the rest know that somebody waits, and return whether all is."""
        request = {"do": "look", "id": self.id, "lease": not self._background}
        for part, told in self._ask(list(self._waiting.values()), request, SLOW):
            if "left" in told:
                continue
            self._waiting.pop(part.pid, None)
            try:
                self.profiles[part.pid] = from_plain(told["data"])
            except (KeyError, ValueError) as error:
                self.refused[part.pid] = str(told.get("unavailable", f"no profile: {error}"))
        if self._waiting:
            # Who has ended meanwhile will not answer.
            alive = {part.pid for part in self._registry.parts() if part.live}
            for pid in self._waiting.keys() - alive:
                del self._waiting[pid]
        return not self._waiting

    def wait(self, until: Callable[[], bool] = never) -> None:
        """Return when all are done; under gevent other greenlets run meanwhile.

        :param until: asked often; when it says yes, as it may when the client has hung up, all
            end early with what they have seen.
        """
        stopped = False
        renew = time.monotonic() + _RENEW
        latest = self._ends + GRACE
        try:
            while self._waiting and time.monotonic() < latest:
                if not stopped and (until() or profiling.is_stopping()):
                    self.stop()
                    stopped, latest = True, time.monotonic() + GRACE
                if stopped or not self.left or time.monotonic() > renew:
                    renew = time.monotonic() + _RENEW
                    with short_turns():
                        done = self.poll()
                    if done:
                        break
                time.sleep(min(_PAUSE, self.left) if not stopped and self.left else _PAUSE / 2)
        except BaseException:  # the server ends this request: nobody will want it
            self.stop()
            raise

    def stop(self) -> None:
        """End it everywhere; what was seen so far are the profiles."""
        self._ask(list(self._waiting.values()), {"do": "stop", "id": self.id}, QUICK)

    def _ask(
        self, parts: list[Part], request: dict[str, Any], seconds: float
    ) -> list[tuple[Part, dict[str, Any]]]:
        return ask(self._registry, parts, request, seconds)


def _check(seconds: float, background: bool) -> None:
    limit, why = (LONGEST_SECONDS, "") if background else profiling.longest()
    if not 0 < seconds <= limit:
        allowed = f"more than 0 and at most {limit:g} seconds"
        raise ParameterError("seconds", f"{seconds:g}", f"{allowed}; {why}" if why else allowed)


def _meant(registry: Registry, only: int | None) -> list[Part]:
    parts = [part for part in registry.parts() if part.live and part.worker]
    parts.sort(key=lambda part: part.slot)
    if only is None:
        return parts
    found = [part for part in parts if part.pid == only]
    if not found:
        pids = ", ".join(str(part.pid) for part in parts)
        raise UnknownError(f"no worker {only}; there are: {pids}")
    return found


def ask(
    registry: Registry, parts: Iterable[Part], request: dict[str, Any], seconds: float
) -> list[tuple[Part, dict[str, Any]]]:
    """Return what the workers of *parts*, this process perhaps among them, say to *request*."""
    own = os.getpid()
    others = [part for part in parts if part.pid != own]
    told: list[tuple[Part, Any]] = []
    for part in parts:
        if part.pid == own:
            # The thread that waits, unless greenlets of it do all the work.
            skip = [ident()] if _thread.get_ident() == ident() else []
            told.append((part, profiling.answer({**request, "skip": skip}, registry)))
    answers = membership(registry).ask(others, {"profile": request}, seconds)
    told += [(part, answers[part.slot]) for part in others if part.slot in answers]
    return [(part, each) for part, each in told if isinstance(each, dict) and "error" not in each]


def collect_profiles(
    registry: Registry,
    seconds: float,
    mode: str = "wall",
    engine: str = "",
    only: int | None = None,
    *,
    interval: float = 0.01,
    until: Callable[[], bool] = never,
) -> tuple[list[Profile], list[int]]:
    """Return a profile of each worker, taken at the same time, and who gave none.

    Waits for them, under gevent together with other greenlets; when the caller is interrupted
    they end everywhere.

    :param until: asked often; when it says yes they end early. See :func:`.hangup.hung_up`.
    :raises BusyError, UnavailableError, ParameterError, UnknownError: as :class:`Round` does.
    """
    found = Round(registry, seconds, mode, engine, only=only, interval=interval)
    found.wait(until)
    if not found.profiles and found.refused:
        raise UnavailableError(
            "; ".join(f"worker {pid}: {why}" for pid, why in found.refused.items())
        )
    return [found.profiles[pid] for pid in sorted(found.profiles)], sorted(
        {*found.missing, *found.refused}
    )


@dataclass
class Known:
    """A profile that is being taken or is kept, and by which workers.

    :param left: in seconds, until all of them are done.
    """

    id: str
    engine: str
    mode: str
    started: float
    seconds: float
    left: float
    done: bool
    workers: list[int] = field(default_factory=list)
    errors: dict[int, str] = field(default_factory=dict)


def known_profiles(registry: Registry) -> list[Known]:
    """Return what all workers are taking and keep, the newest first."""
    found: dict[str, Known] = {}
    for part, told in ask(registry, _meant(registry, None), {"do": "list"}, QUICK):
        for each in told.get("profiles", ()):
            with contextlib.suppress(TypeError, KeyError):
                error = each.pop("error", "")
                known = found.setdefault(each["id"], Known(**each))
                known.workers.append(part.pid)
                known.left = max(known.left, each["left"])
                known.done = known.done and each["done"]
                if error:
                    known.errors[part.pid] = str(error)
    return sorted(found.values(), key=lambda known: -known.started)


class Asked(NamedTuple):
    """Profiles of single requests, in all workers.

    :param armed: of each ``worker`` that waits for requests: of which ``route``, ``slower`` than
        so many seconds, how many are ``left``, and in how many seconds that ``ends_in``.
    :param kept: each with its ``worker``, its ``id`` for :func:`fetch_profiles`, the id of its
        ``trace``, its ``route``, when it ``started`` and how many ``seconds`` it took; the newest
        first.
    """

    armed: list[dict[str, Any]]
    kept: list[dict[str, Any]]


def request_profiles(registry: Registry) -> Asked:
    """Return which profiles of single requests all workers keep, and which they wait for."""
    found = Asked([], [])
    for part, told in ask(registry, _meant(registry, None), {"do": "list"}, QUICK):
        found.kept.extend({**each, "worker": part.pid} for each in told.get("requests", ()))
        found.armed.extend({**each, "worker": part.pid} for each in told.get("armed", ()))
    found.kept.sort(key=lambda each: -float(each["started"]))
    return found


def fetch_profiles(registry: Registry, id: str) -> tuple[list[Profile], float]:
    """Return the profiles of the round or request *id*, and how many seconds others need.

    :raises UnknownError: if no worker keeps any of it.
    :raises UnavailableError: if it has failed in all workers.
    """
    profiles, left, errors, known = [], 0.0, [], False
    for part, told in ask(registry, _meant(registry, None), {"do": "look", "id": id}, SLOW):
        if "unknown" in told:
            continue
        known = True
        if "data" in told:
            with contextlib.suppress(ValueError):
                profiles.append(from_plain(told["data"]))
        elif "left" in told:
            # Not done, even if it will be at any moment.
            left = max(left, float(told["left"]), 0.05)
        else:
            errors.append(f"worker {part.pid}: {told.get('unavailable')}")
    if not known:
        kept = "each worker keeps its last ten, and twenty of requests"
        raise UnknownError(f"no profile {id[:80]!r}; {kept}")
    if errors and not profiles and not left:
        raise UnavailableError("; ".join(errors))
    return profiles, left


def stop_profiles(registry: Registry, id: str) -> None:
    """End the round *id* everywhere; what was seen so far is kept."""
    ask(registry, _meant(registry, None), {"do": "stop", "id": id}, QUICK)
