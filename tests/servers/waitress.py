"""A real waitress."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from .nginx import free_port
from .server import Server


class Waitress(Server):
    """A real waitress on a port of 127.0.0.1.

    :param app: the source of a module with a WSGI callable ``app``.
    """

    def __init__(self, app: str, *, folder: Path) -> None:
        super().__init__(folder)
        (folder / "app.py").write_text(app)
        spec = importlib.util.find_spec("flask_expvar")
        home = str(Path(spec.origin).parent.parent) if spec and spec.origin else ""
        path = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH", "")]))
        env = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
        env.pop("PYTHONSAFEPATH", None)
        try:
            # It cannot say which port it was given, so one is chosen for it, and may be lost.
            for _ in range(5):
                self.address = ("127.0.0.1", free_port())
                listen = f"127.0.0.1:{self.address[1]}"
                self.launch(
                    [sys.executable, "-m", "waitress", f"--listen={listen}", "app:app"], env
                )
                if self._wait_ready():
                    return
                self.stop()
            raise AssertionError(f"waitress found no free port:\n{self.log}")
        except BaseException:
            self.stop()
            raise

    def _wait_ready(self) -> bool:
        def started() -> str:
            if "Serving on" in self.log:
                return "up"
            return "" if self.alive() else "gone"

        return self.wait_until(started, what="waitress starts") == "up"
