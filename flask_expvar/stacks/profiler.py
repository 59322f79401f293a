"""Profiler: takes one profile of this process at a time, and keeps the last ones."""

from __future__ import annotations

import itertools
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from .._native import allocate_rlock, start_thread
from ..exceptions import BusyError, UnavailableError, UnknownError
from . import engines
from .limits import bounded
from .order import Engine, Order, Served
from .profile import MODES, Profile

#: So many finished profiles are kept, each of so many bytes at the most.
KEPT, LONGEST = 10, 5 * 2**20
#: Between two looks, in seconds.
SHORTEST_INTERVAL, LONGEST_INTERVAL = 0.005, 1.0
#: A profile does not take longer than this, in seconds.
LONGEST_SECONDS = 120.0
_PAUSE = 0.02


class Running:
    """A profile that is being taken, or has been.

    :ivar id: what it is known by in its process, and in those that have asked it.
    :ivar started: when it began, since the epoch; *ends*: when it will be done at the latest.
    :ivar profile: what was found, None as long as it runs or if it has failed.
    :ivar error: why it has failed, empty if it has not.
    """

    def __init__(self, id: str, engine: Engine, order: Order) -> None:
        self.id = id
        self.engine = engine.name
        self.mode = order.mode
        self.seconds = order.seconds
        self.started = time.time()
        self.profile: Profile | None = None
        self.error = ""
        self.done = False
        self._engine = engine
        self._order = order
        self._began = time.monotonic()

    @property
    def ends(self) -> float:
        """When it will be done at the latest, since the epoch."""
        return self.started + self.seconds

    @property
    def left(self) -> float:
        """How many seconds it will still take."""
        return 0.0 if self.done else max(self._began + self.seconds - time.monotonic(), 0.0)

    def lease(self, seconds: float) -> None:
        """Let it end unless this is called again within *seconds*: its asker may die."""
        self._order.lease = time.monotonic() + seconds

    def stop(self) -> None:
        """End it now; what was seen so far is its profile."""
        self._order.stop.set()

    def wait(self, until: Callable[[], bool] | None = None) -> Profile:
        """Return the profile when it is done; under gevent other greenlets run meanwhile.

        :param until: asked often; when it says yes, the profile ends early.
        :raises UnavailableError: if it has failed.
        """
        try:
            while not self.done:
                if until is not None and until():
                    self.stop()
                time.sleep(_PAUSE)
        except BaseException:  # the server ends this request: nobody will want it
            self.stop()
            raise
        if self.profile is None:
            raise UnavailableError(self.error)
        return self.profile

    def _run(self, ended: Callable[[Running], None]) -> None:
        try:
            self.profile = bounded(self._engine.run(self._order), LONGEST)
        except BaseException as error:
            # Not logged: that would make Python know this thread, and under gevent its locks are
            # those of greenlets. Who waits is told.
            self.error = f"the engine {self.engine!r} has failed: {error!r}"
        finally:
            ended(self)
            self.done = True


class Profiler:
    """Takes the profiles of one process. While none is taken nothing of it exists but this."""

    def __init__(self, every: Iterable[Engine] | None = None) -> None:
        #: What threads and greenlets serve, by their identifiers, of each registry by its name.
        self.serving: dict[str, Callable[[], Mapping[int, Served]]] = {}
        self._engines = {each.name: each for each in every or engines.every()}
        self._lock = allocate_rlock()
        self._numbers = itertools.count(1)
        self._pid = os.getpid()
        self._running: Running | None = None
        self._kept: deque[Running] = deque(maxlen=KEPT)

    def start(
        self,
        seconds: float,
        mode: str = "wall",
        engine: str = "",
        interval: float = 0.01,
        *,
        in_main: bool = False,
        skip: frozenset[int] = frozenset(),
        id: str = "",
    ) -> Running:
        """Begin to take a profile, in a native thread of its own.

        :param engine: empty for the best that is possible.
        :param in_main: whether the program does its work in the main thread: then its CPU time
            is best told by signals.
        :param skip: identifiers of threads to leave out.
        :param id: what it is known by; several workers give theirs the same.
        :raises BusyError: if one is being taken.
        :raises UnavailableError: if this process cannot; it says why, and what it can.
        :raises ValueError: if *mode* or *engine* is not known.
        """
        if mode not in MODES:
            raise ValueError(f"mode {mode!r}: allowed are {', '.join(MODES)}")
        self._after_fork()
        chosen = engines.choose(self._engines, mode, engine, in_main=in_main)
        interval = min(max(interval, SHORTEST_INTERVAL), LONGEST_INTERVAL)
        order = Order(min(seconds, LONGEST_SECONDS), mode, interval, skip, self._served)
        with self._lock:
            if self._running is not None:
                known = self._running
                raise BusyError(self._pid, known.started, known.ends, now=time.time())
            found = Running(id or f"{self._pid}-{next(self._numbers)}", chosen, order)
            self._running = found
        start_thread(found._run, self._ended)
        return found

    @property
    def running(self) -> Running | None:
        """The one that is being taken."""
        self._after_fork()
        return self._running

    @property
    def kept(self) -> list[Running]:
        """Those that are done, the newest first; ten at the most."""
        self._after_fork()
        return list(self._kept)

    def find(self, id: str) -> Running:
        """Return the one that is known by *id*.

        :raises UnknownError: if there is none, or no more.
        """
        found = [each for each in (self.running, *self.kept) if each and each.id == id]
        if not found:
            raise UnknownError(
                f"worker {self._pid} keeps no profile {id!r:.40}, but its last {KEPT}"
            )
        return found[0]

    def possible(self, mode: str) -> dict[str, str]:
        """Return why each engine cannot take a profile of *mode* here, empty if it can."""
        return {name: each.obstacle(mode) for name, each in self._engines.items()}

    def _served(self) -> Mapping[int, Served]:
        sources = list(self.serving.values())
        if len(sources) == 1:
            return sources[0]()
        return {one: served for each in sources for one, served in each().items()}

    def _ended(self, running: Running) -> None:
        with self._lock:
            if self._running is running:
                self._running = None
            self._kept.appendleft(running)

    def _after_fork(self) -> None:
        # A child has none of its parent's threads, and its lock may be held by one of them.
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._lock = allocate_rlock()
            self._running = None
            self._kept.clear()


#: The one of this process.
profiler = Profiler()
