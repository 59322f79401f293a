"""A farm of real processes that share, count, and are killed: what a server's workers are."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from pathlib import Path

from flask_expvar import Registry
from flask_expvar.web.joining import join

from .contest import serve

MAPS = 10
TOKEN = "a-token-of-the-benchmarks-0123456789"


def joined(folder: Path, series: int) -> Registry:
    """Return a registry that shares in *folder*, with a count in each of its *series*."""
    registry = Registry("bench")
    join(registry, {"EXPVAR_DIR": str(folder), "EXPVAR_TOKEN": TOKEN})
    for number in range(MAPS):
        codes = registry.new_map(f"bench/map{number}", "code", "a map of counters")
        for key in range(series // MAPS):
            codes.add(f"key{key:05}")
    return registry


class Farm:
    """Processes forked from this one, which does not share itself."""

    def __init__(self, folder: Path, series: int) -> None:
        self._folder = folder
        self._series = series
        self._pids: list[int] = []
        # Nobody writes: the children end when the farm does.
        self._life = os.pipe()

    def start(self, count: str) -> int:
        """Start so many more workers, each once the one before has counted; return how many."""
        for _ in range(int(count)):
            ready, done = os.pipe()
            pid = os.fork()
            if pid == 0:
                self._work(done)
            os.close(done)
            if os.read(ready, 1) != b"+":
                raise RuntimeError("a worker could not start")
            os.close(ready)
            self._pids.append(pid)
        return len(self._pids)

    def _work(self, done: int) -> None:
        try:
            os.close(self._life[1])
            registry = joined(self._folder, self._series)
            os.write(done, b"+" if registry.store.slot.file else b"-")
            os.close(done)
            os.read(self._life[0], 1)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)

    def stop(self, count: str) -> int:
        """Kill the oldest workers; return how many are left."""
        for pid in self._pids[: int(count)]:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        del self._pids[: int(count)]
        return len(self._pids)

    def restart(self, count: str) -> int:
        """Kill the oldest worker and start another, so many times."""
        for _ in range(int(count)):
            self.stop("1")
            self.start("1")
        return len(self._pids)


if __name__ == "__main__":
    farm = Farm(Path(sys.argv[1]), int(sys.argv[2]))
    serve({"start": farm.start, "stop": farm.stop, "restart": farm.restart})
