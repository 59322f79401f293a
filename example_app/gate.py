"""The gate: what is let in over SMTP and HTTP, and with which reply."""

from __future__ import annotations

import email
import ipaddress
import os
from email.utils import formatdate, make_msgid

import flask_expvar as expvar

from . import counters
from .aliases import Aliases
from .envelope import NOBODY, Recipient, TemporaryError, domain_of, is_address
from .hooks import run_hook
from .levels import PLAIN, TLS, Levels
from .mailqueue import MailQueue
from .names import Names
from .settings import Settings
from .spf_check import check_spf

#: With this a hook says that it will never take the message.
NEVER = 20


class Refusal(Exception):
    """Raised for mail that is not taken; the text is the SMTP reply."""


class Gate:
    """Decides on senders, recipients and messages."""

    def __init__(
        self, settings: Settings, queue: MailQueue, names: Names, levels: Levels, aliases: Aliases
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._names = names
        self._levels = levels
        self._aliases = aliases

    def mail(self, peer: str, helo: str, sender: str, tls: bool) -> str:
        """Decide on a sender: SPF, then the security level of its domain."""
        if sender == NOBODY:
            return "250 2.1.0 OK"
        if not is_address(sender):
            return "553 5.1.7 That is no address to send from"
        spf = check_spf(self._names, peer, sender, helo)
        if spf == "fail":
            return "550 5.7.23 SPF check failed"
        if not self._levels.check_incoming(domain_of(sender), TLS if tls else PLAIN, spf):
            return "550 5.7.3 Security level check failed: this domain has used TLS before"
        return "250 2.1.0 OK"

    def rcpt(self, peer: str, address: str) -> tuple[str, list[Recipient]]:
        """Decide on a recipient: ours, or one that this machine may send to."""
        if not is_address(address):
            return "553 5.1.3 That is no address to send to", []
        try:
            found = self._aliases.resolve(address)
        except TemporaryError:
            return "451 4.3.0 Cannot resolve the address now, try again later", []
        if not found:
            return "550 5.1.1 Nobody here has that address", []
        outside = domain_of(address) not in self._settings.local_domains
        if outside and not ipaddress.ip_address(peer).is_loopback:
            return "554 5.7.1 Relay access denied", []
        return "250 2.1.5 OK", found

    def data(
        self, peer: str, helo: str, sender: str, recipients: list[Recipient], content: bytes
    ) -> str:
        """Take a message, or say why not."""
        try:
            by = f"from {helo} ([{peer}])"
            return f"250 2.0.0 Queued as {self.take(by, sender, recipients, content)}"
        except Refusal as refusal:
            return str(refusal)

    def take(self, by: str, sender: str, recipients: list[Recipient], content: bytes) -> str:
        """Put a message into the queue, and return its id.

        :raises Refusal: if it goes round in circles, or the hook does not want it.
        """
        headers = email.message_from_bytes(content.partition(b"\r\n\r\n")[0])
        if len(headers.get_all("Received", [])) > self._settings.max_received:
            counters.loops_detected.add()
            expvar.current_trace().error("a loop")
            raise Refusal(f"554 5.4.6 More than {self._settings.max_received} hops: a loop")
        ours = self._ask_hook(sender, recipients, content)
        # One printable line, whatever the client called itself.
        by = "".join(c for c in by if 32 <= ord(c) < 127)[:200]
        ours += f"Received: {by}\r\n by {self._settings.hostname}; {formatdate()}\r\n".encode()
        if "Message-ID" not in headers:
            ours += f"Message-ID: {make_msgid(domain=self._settings.hostname)}\r\n".encode()
        return self._queue.put(sender, recipients, ours + content)

    def _ask_hook(self, sender: str, recipients: list[Recipient], content: bytes) -> bytes:
        """Return the headers that the post-data hook wants to add."""
        hook = self._settings.post_data_hook
        if hook is None:
            return b""
        to = " ".join(each.address for each in recipients)
        env = {"PATH": os.environ.get("PATH", os.defpath), "MAIL_FROM": sender, "RCPT_TO": to}
        answer = run_hook("Hook.Post-DATA", [hook], content, env)
        counters.smtp_hooks.add("post-data:success" if answer.ok else "post-data:fail")
        if answer.ok:
            lines = [line for line in answer.output.splitlines() if b":" in line]
            return b"".join(line + b"\r\n" for line in lines)
        if answer.status == NEVER:
            raise Refusal("554 5.7.1 The post-data hook refused the message")
        raise Refusal("451 4.3.0 The post-data hook failed, try again later")
