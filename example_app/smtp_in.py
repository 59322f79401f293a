"""SMTP in: takes mail from others; aiosmtpd speaks the protocol, this says yes or no.

Every worker listens on the same port (SO_REUSEPORT) and the kernel deals the connections out. If
only one did, its death would leave nobody to answer until another took over, and all mail would
have to pass through one process.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from aiosmtpd.smtp import SMTP

import flask_expvar as expvar

from . import counters
from .envelope import Recipient

THREADS = 8
#: Of the commands that we do not know so much is kept.
LONGEST_UNKNOWN = 6


class Policy(Protocol):
    """Who decides on mail; each returns the reply to give. They may take their time."""

    def mail(self, peer: str, helo: str, sender: str, tls: bool) -> str:
        """Decide on a sender."""

    def rcpt(self, peer: str, address: str) -> tuple[str, list[Recipient]]:
        """Decide on a recipient, and say who gets the mail."""

    def data(
        self, peer: str, helo: str, sender: str, recipients: list[Recipient], content: bytes
    ) -> str:
        """Decide on a message, and take it."""


class _Connection(SMTP):
    """One connection, which is one trace."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._smtp_methods = _Commands(self._smtp_methods)
        self._said_goodbye = False

    async def _handle_client(self) -> None:
        peer = self.session.peer if self.session is not None else None
        with expvar.trace("SMTP.Conn", str(peer[0] if peer else "")) as trace:
            trace.log("connected")
            try:
                await super()._handle_client()
            except asyncio.CancelledError:
                # So aiosmtpd ends every connection, those that have said QUIT as well.
                if not self._said_goodbye:
                    trace.error("the client has hung up")

    async def push(self, status: Any) -> None:
        """Send one line of a reply; the last one of a reply has its code."""
        line = status if isinstance(status, str) else status.decode("utf-8", "replace")
        if line[3:4] != "-":
            counters.response_codes.add(line[:3])
        expvar.current_trace().log("<- %s", line)
        self._said_goodbye = line.startswith("221")
        await super().push(status)

    async def smtp_HELP(self, arg: str) -> None:
        """Help; aiosmtpd's own would look the argument up as if it was a command."""
        await self.push("214 See RFC 5321")


class _Commands(dict[str, Any]):
    """The commands that there are; aiosmtpd looks up here what a client sends, and only that."""

    def get(self, command: str, default: Any = None) -> Any:
        known = command in self
        counters.commands.add(command if known else f"unknown<{_printable(command)}>")
        expvar.current_trace().log("-> %s", command if known else _printable(command))
        return super().get(command, default)


def _printable(command: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in command[:LONGEST_UNKNOWN])


class _Handler:
    """What aiosmtpd asks us. The answers need disk, DNS and hooks, so threads find them."""

    def __init__(self, policy: Policy, pool: ThreadPoolExecutor) -> None:
        self._policy = policy
        self._pool = pool

    async def handle_EHLO(
        self, server: SMTP, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [line for line in responses if not line.startswith("250-AUTH")]

    async def handle_MAIL(
        self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        reply: str = await self._ask(
            self._policy.mail, session.peer[0], session.host_name, address, bool(session.ssl)
        )
        if reply.startswith("250"):
            envelope.mail_from = address
        return reply

    async def handle_RCPT(
        self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        reply, recipients = await self._ask(self._policy.rcpt, session.peer[0], address)
        envelope.rcpt_tos += recipients
        return str(reply)

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:
        counters.tls_in.add("tls" if session.ssl else "plain")
        reply: str = await self._ask(
            self._policy.data,
            session.peer[0],
            session.host_name,
            envelope.mail_from,
            envelope.rcpt_tos,
            bytes(envelope.content),
        )
        return reply

    async def handle_exception(self, error: Exception) -> str:
        expvar.current_trace().error(error)
        return "451 4.3.0 Something went wrong here, try again later"

    async def _ask(self, func: Any, *args: Any) -> Any:
        # The thread goes on in the trace of the connection.
        run = contextvars.copy_context().run
        return await asyncio.get_running_loop().run_in_executor(self._pool, run, func, *args)


class Listener:
    """Listens for SMTP in a thread of its own."""

    def __init__(
        self,
        policy: Policy,
        host: str,
        port: int,
        *,
        hostname: str,
        max_bytes: int,
        tls: ssl.SSLContext | None,
    ) -> None:
        # It logs what strangers send, as they sent it. Here that is in the traces, made harmless.
        logging.getLogger("mail.log").setLevel(logging.ERROR)
        self.pool = ThreadPoolExecutor(THREADS, thread_name_prefix="smtp")
        self._loop = asyncio.new_event_loop()
        handler = _Handler(policy, self.pool)

        def connection() -> _Connection:
            return _Connection(
                handler,
                hostname=hostname,
                ident="ESMTP pocket chasquid",
                data_size_limit=max_bytes,
                tls_context=tls,
                timeout=60,
                loop=self._loop,
            )

        making = self._loop.create_server(connection, host, port, reuse_port=True)
        try:
            self._server = self._loop.run_until_complete(making)
        except BaseException:
            self._loop.close()
            raise
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._events = expvar.event_log("SMTP.Listener", f"{host}:{self.port}")
        self._events.log("listening, %s STARTTLS", "with" if tls else "without")
        self._thread = threading.Thread(target=self._loop.run_forever, name="smtp", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hang up."""
        asyncio.run_coroutine_threadsafe(self._hang_up(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self.pool.shutdown()
        self._events.close()

    async def _hang_up(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def server_tls(cert_file: Path, key_file: Path) -> ssl.SSLContext:
    """Return what STARTTLS needs."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert_file, key_file)
    return context
