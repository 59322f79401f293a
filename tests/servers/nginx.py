"""A real nginx."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from .server import Server


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Nginx(Server):
    """A real nginx on a port of 127.0.0.1.

    :param upstream: where requests go, ``127.0.0.1:8000`` or ``unix:/path``.
    :param binary: the path of nginx.
    :param server: what stands in the ``server`` block, with the word ``UPSTREAM`` in it.
    """

    BARE_PROXY = "location / { proxy_pass http://UPSTREAM; }"

    def __init__(
        self, upstream: str, *, folder: Path, binary: str, server: str = BARE_PROXY
    ) -> None:
        super().__init__(folder)
        if upstream.startswith("unix:"):
            upstream = upstream.removesuffix(":") + ":"
        command = [binary, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
        try:
            # nginx cannot say which port it was given, so one is chosen for it, and may be lost.
            for _ in range(5):
                self.address = ("127.0.0.1", free_port())
                self._write_config(server.replace("UPSTREAM", upstream))
                before = len(self.log)
                self.launch(command, os.environ)
                if self._wait_ready(before):
                    return
                self.stop()
            raise AssertionError(f"nginx found no free port:\n{self.log}")
        except BaseException:
            self.stop()
            raise

    @property
    def port(self) -> int:
        return int(self.address[1])

    def _write_config(self, server: str) -> None:
        # Workers of a root nginx change to nobody, who cannot enter the test's folder.
        user = "user root;" if os.geteuid() == 0 else ""
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "\n".join(f"    {kind}_temp_path {self.folder}/{kind};" for kind in kinds)
        (self.folder / "nginx.conf").write_text(
            f"""\
daemon off;
{user}
pid {self.folder}/nginx.pid;
error_log stderr notice;
worker_processes 1;
events {{ worker_connections 64; }}
http {{
{temporary}
    access_log off;
    server {{
        listen 127.0.0.1:{self.port};
        {server}
    }}
}}
"""
        )

    def _wait_ready(self, before: int) -> bool:
        def started() -> str:
            if "Address already in use" in self.log[before:]:
                return "taken"
            assert self.alive(), f"nginx did not start:\n{self.log}"
            return "up" if "start worker process " in self.log[before:] else ""

        return self.wait_until(started, what="nginx starts") == "up"
