"""Monitor: a listener of its own for the pages, held by one worker of a server at a time."""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import logging
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response
from flask.blueprints import BlueprintSetupState
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from .._native import original, start_named_thread
from ..exceptions import SettingError
from ..settings import MAKE_A_TOKEN, Settings, parse_address
from ..workers import lease

_log = logging.getLogger("flask_expvar")

#: So many connections are served at once; who says nothing for so many seconds is hung up on.
MOST, PATIENCE = 8, 30
NAME = "EXPVAR_MONITORING_ADDRESS"


def is_loopback(address: str) -> bool:
    """Tell whether nobody from another machine can reach *address*."""
    place = parse_address(address)
    if isinstance(place, str):
        return True  # a unix socket
    try:
        return ipaddress.ip_address(place[0]).is_loopback
    except ValueError:
        return place[0].lower() == "localhost"


def app_of(
    add_routes: Callable[[BlueprintSetupState], None], app: Flask, settings: Settings
) -> Flask:
    """Return an application that has the pages of *app* and nothing else.

    Who comes from this machine is trusted, and the socket's file says who may open it; any other
    address needs what ``EXPVAR_TOKEN`` or ``EXPVAR_BASIC`` ask for.

    :raises SettingError: if neither is there for such an address.
    """
    address = settings.monitoring_address or ""
    if not is_loopback(address) and not (settings.tokens or settings.basic):
        raise SettingError(
            NAME,
            f"is {address!r}, which other machines can reach, and there is no EXPVAR_TOKEN",
            f"127.0.0.1 or [::1], a unix socket, or a token (make one with: {MAKE_A_TOKEN})",
        )
    made = Flask(app.name, static_folder=None, root_path=app.root_path)
    access: Any = "loopback" if is_loopback(address) else "auto"
    made.config.update(
        SECRET_KEY=app.secret_key,
        EXPVAR_ACCESS=(lambda request: True) if address.startswith("unix:") else access,
        EXPVAR_TOKEN=settings.tokens or None,
        EXPVAR_BASIC=dict(settings.basic) or None,
        EXPVAR_ACTIONS=settings.actions,
    )
    pages = Blueprint("expvar", __name__, url_prefix="/debug")
    pages.record(add_routes)
    made.register_blueprint(pages)
    made.add_url_rule("/", "start", _start)
    return made


def _start() -> Response:
    return Response(status=302, headers={"Location": "debug/"})


class _Handler(WSGIRequestHandler):
    timeout = PATIENCE

    def log(self, type: str, message: str, *args: Any) -> None:
        """Say nothing: looking is no event, and what is refused has a log of its own."""


class _Server(ThreadedWSGIServer):
    daemon_threads = True
    _serving = 0

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._serving >= MOST:
            self.shutdown_request(request)
            return
        self._serving += 1
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._serving -= 1

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.debug("a connection to the listener has ended", exc_info=True)


class Listener:
    """Listens at *address* in whichever worker has the lease of the folder for it.

    The kernel gives the lease back however the worker dies, and the next one takes it within
    about a second. An address that is taken by another program is tried again and again.

    :param app: answers the requests.
    """

    def __init__(self, address: str, app: Any) -> None:
        self._address = address
        self._app = app
        self._lease: int | None = None
        self._server: _Server | None = None
        self._socket: socket.socket | None = None
        self._complained = ""
        #: Where it really listens, as the address of a page; empty if it does not.
        self.where = ""

    def tick(self, folder: Path | None) -> None:
        """Listen, if nobody else does. Never raises.

        :param folder: what the workers share; None if this process is alone.
        """
        if self._server is not None:
            return
        try:
            if folder is not None and self._lease is None:
                digest = hashlib.blake2b(self._address.encode(), digest_size=6).hexdigest()
                self._lease = lease.claim(folder / f"listener-{digest}")
                if self._lease is None:
                    return  # another worker has it
            self._begin()
        except OSError as error:
            if str(error) != self._complained:
                self._complained = str(error)
                _log.warning("the debug pages cannot be had at %s yet: %s", self._address, error)

    def _begin(self) -> None:
        place = parse_address(self._address)
        made = self._bound(place)
        try:
            made.listen(64)
            # By the file's own socket module, which under gevent is gevent's: this thread has a
            # hub of its own, and waits in it.
            host, port = (f"unix://{place}", 0) if isinstance(place, str) else place
            self._server = _Server(host, port, self._app, _Handler, fd=made.fileno())
        except BaseException:
            made.close()
            raise
        self._socket = made
        self.where = _where(place, made)
        _log.info("the debug pages are at %s", self.where)
        start_named_thread("flask_expvar listener", _serve, self._server)

    def _bound(self, place: tuple[str, int] | str) -> socket.socket:
        native = original("socket", "socket")
        if isinstance(place, str):
            made: socket.socket = native(socket.AF_UNIX)
        else:
            family = socket.getaddrinfo(*place, type=socket.SOCK_STREAM)[0][0]
            made = native(family)
        try:
            if isinstance(place, str):
                _clear(place, native)
                made.bind(place)
                os.chmod(place, 0o600)  # before anybody can connect
            else:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                made.bind(place)
        except BaseException:
            made.close()
            raise
        return made

    def close(self, *, forked: bool = False) -> None:
        """Listen no more; in a forked child only let go of what is the parent's."""
        server, self._server = self._server, None
        if server is not None:
            if not forked:
                server.shutdown()
            server.server_close()
        if self._socket is not None:
            self._socket.close()
        if self._lease is not None:
            os.close(self._lease)
        self._socket = self._lease = None
        self.where = ""


def _serve(server: _Server) -> None:
    with contextlib.suppress(Exception):  # closed
        server.serve_forever(poll_interval=0.5)


def _clear(path: str, native: Any) -> None:
    """Remove the socket of a process that has ended."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(f"{path} is there and no socket")
    except FileNotFoundError:
        return
    with contextlib.closing(native(socket.AF_UNIX)) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        else:
            raise OSError(f"another program listens at {path}")


def _where(place: tuple[str, int] | str, made: socket.socket) -> str:
    if isinstance(place, str):
        return f"unix:{place}"
    host, port = made.getsockname()[:2]
    return f"http://[{host}]:{port}/debug/" if ":" in host else f"http://{host}:{port}/debug/"
