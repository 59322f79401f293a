"""A sink: another mail server, which takes what it gets, or behaves badly."""

from __future__ import annotations

import asyncio
import email
import ssl
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from aiosmtpd.smtp import SMTP

#: Nobody reads them in the long run.
MOST_KEPT = 10_000


@dataclass(frozen=True)
class Received:
    """A message that a sink has said 250 to."""

    sender: str
    recipients: tuple[str, ...]
    data: bytes
    tls: bool
    at: float

    def header(self, name: str) -> str:
        """Return one of its headers."""
        return str(email.message_from_bytes(self.data)[name])


class Sink:
    """A mail server in a thread of its own.

    :param port: 0 for one that is free.
    :param delay: how long it takes to accept a message.
    :param reply: what it says to each recipient, instead of taking the message.
    """

    def __init__(
        self,
        host: str,
        port: int,
        name: str,
        tls: ssl.SSLContext | None = None,
        *,
        delay: float = 0.0,
        reply: str = "",
    ) -> None:
        self.received: deque[Received] = deque(maxlen=MOST_KEPT)
        #: Messages taken, and recipients refused.
        self.count = self.refused = 0
        self.delay, self.reply, self.tls = delay, reply, tls
        self._name = name
        self._loop = asyncio.new_event_loop()
        making = self._loop.create_server(self._connection, host, port)
        self._server = self._loop.run_until_complete(making)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def _connection(self) -> SMTP:
        return SMTP(self, hostname=self._name, tls_context=self.tls, timeout=60, loop=self._loop)

    async def handle_RCPT(
        self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        """Take a recipient, or not."""
        if self.reply:
            self.refused += 1
            return self.reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:
        """Take a message."""
        await asyncio.sleep(self.delay)
        found = Received(
            envelope.mail_from,
            tuple(envelope.rcpt_tos),
            envelope.content,
            bool(session.ssl),
            time.monotonic(),
        )
        self.received.append(found)
        self.count += 1
        return "250 OK"

    async def handle_exception(self, error: Exception) -> str:
        """Say that something is wrong: mostly a client that does not like our certificate."""
        return "451 4.3.0 Something went wrong"

    def close(self) -> None:
        """Hang up."""

        async def hang_up() -> None:
            self._server.close()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(hang_up(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
