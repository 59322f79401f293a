"""The courier: one attempt to bring a message to one recipient of any kind."""

from __future__ import annotations

import mailbox
import shlex
from pathlib import Path

import flask_expvar as expvar

from . import counters
from .envelope import LOCAL, PIPE, Item, PermanentError, Recipient, TemporaryError
from .hooks import TRY_AGAIN, run_hook
from .smtp_out import RemoteCourier


class Courier:
    """Hands messages over: to a command, to a Maildir, or to another server."""

    def __init__(self, maildirs: Path, remote: RemoteCourier) -> None:
        self._maildirs = maildirs
        self._remote = remote

    def deliver(self, item: Item, recipient: Recipient) -> None:
        """Deliver *item* to *recipient*.

        :raises TemporaryError: if it may work later.
        :raises PermanentError: if it never will.
        """
        counters.deliver_attempts.add(recipient.type)
        with expvar.trace("Courier", f"{recipient.type} {recipient.address}") as trace:
            if recipient.type == PIPE:
                self._to_command(item, recipient)
            elif recipient.type == LOCAL:
                self._to_maildir(item, recipient)
            else:
                self._remote.deliver(item, recipient.address)
            trace.log("delivered")

    def _to_command(self, item: Item, recipient: Recipient) -> None:
        answer = run_hook("Courier.Pipe", shlex.split(recipient.address), item.data)
        if not answer.ok:
            kind = TemporaryError if answer.status == TRY_AGAIN else PermanentError
            said = answer.output[:200].decode("utf-8", "replace")
            raise kind(f"the command ended with {answer.status}: {said}")

    def _to_maildir(self, item: Item, recipient: Recipient) -> None:
        user = recipient.address.rpartition("@")[0]
        try:
            # It syncs the file before it moves it in.
            mailbox.Maildir(self._maildirs / user).add(item.data)
        except OSError as error:
            raise TemporaryError(f"the Maildir of {user}: {type(error).__name__}") from error
