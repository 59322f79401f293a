"""A real Prometheus."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .nginx import free_port
from .server import Server


class Prometheus(Server):
    """A real Prometheus on a port of 127.0.0.1, with its data in the folder.

    :param config: the text of its configuration.
    """

    def __init__(self, config: str, *, folder: Path, binary: str) -> None:
        super().__init__(folder)
        (folder / "prometheus.yml").write_text(config)
        try:
            # It cannot say which port it was given, so one is chosen for it, and may be lost.
            for _ in range(5):
                self.address = ("127.0.0.1", free_port())
                listen = f"--web.listen-address=127.0.0.1:{self.address[1]}"
                # Debian's looks in /etc and /var unless told otherwise.
                where = ["--config.file=prometheus.yml", "--storage.tsdb.path=data"]
                features = "--enable-feature=exemplar-storage"
                before = len(self.log)
                self.launch([binary, listen, features, *where], os.environ)
                if self._wait_ready(before):
                    return
                self.stop()
            raise AssertionError(f"Prometheus found no free port:\n{self.log}")
        except BaseException:
            self.stop()
            raise

    def _wait_ready(self, before: int) -> bool:
        def started() -> str:
            if "address already in use" in self.log[before:]:
                return "taken"
            assert self.alive(), f"Prometheus did not start:\n{self.log}"
            return "up" if "ready to receive web requests" in self.log[before:] else ""

        return self.wait_until(started, what="Prometheus starts") == "up"

    def ask(self, path: str) -> Any:
        """Return what the HTTP API answers."""
        answer = self.get(f"/api/v1/{path}")
        assert answer.status == 200, answer.text
        return json.loads(answer.body)["data"]

    def query(self, text: str, label: str) -> dict[str, float]:
        """Return the values of an instant query by one label."""
        found = self.ask(f"query?query={quote(text)}")["result"]
        return {each["metric"].get(label, ""): float(each["value"][1]) for each in found}
