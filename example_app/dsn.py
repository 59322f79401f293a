"""Delivery status notifications: telling the sender what could not be delivered (RFC 3464)."""

from __future__ import annotations

from email import message_from_bytes
from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import compat32
from email.utils import formatdate, make_msgid

from .envelope import FAILED, Item

TEXT = """\
Your message could not be delivered to:

{failures}

It will not be tried again.
"""


def make_dsn(item: Item, hostname: str) -> bytes:
    """Return a message to the sender of *item* about the recipients that failed."""
    failed = item.with_status(FAILED)
    dsn = MIMEMultipart("report", report_type="delivery-status")
    dsn["From"] = f"Mail Delivery System <postmaster@{hostname}>"
    dsn["To"] = item.sender
    dsn["Subject"] = "Mail delivery failed"
    dsn["Message-ID"] = make_msgid(domain=hostname)
    dsn["Date"] = formatdate()
    # So that it is known what it is about, and nobody answers it.
    dsn["In-Reply-To"] = dsn["X-Failed-Message-ID"] = _message_id(item)
    dsn["Auto-Submitted"] = "auto-replied"
    lines = [f"  {_line(each.original)}: {_line(each.last_failure)}" for each in failed]
    dsn.attach(MIMEText(TEXT.format(failures="\n".join(lines)), "plain", "utf-8"))
    dsn.attach(_status(item, hostname))
    return dsn.as_bytes(policy=compat32.clone(linesep="\r\n"))


def _status(item: Item, hostname: str) -> Message:
    """Return the part that programs read: a block on us, and one for each recipient."""
    blocks: list[Message | str] = [first := Message()]
    first["Reporting-MTA"] = f"dns; {hostname}"
    for each in item.with_status(FAILED):
        block = Message()
        block["Original-Recipient"] = f"rfc822; {_line(each.original)}"
        block["Final-Recipient"] = f"rfc822; {_line(each.original)}"
        block["Action"] = "failed"
        block["Status"] = "5.0.0"
        block["Diagnostic-Code"] = f"smtp; {_line(each.last_failure)}"
        blocks.append(block)
    part = Message()
    part["Content-Type"] = "message/delivery-status"
    part.set_payload(blocks)
    return part


def _message_id(item: Item) -> str:
    return _line(str(message_from_bytes(item.data)["Message-ID"] or ""))


def _line(text: str) -> str:
    """Return *text* as one line of ASCII, as a header needs it."""
    return " ".join(text.encode("ascii", "replace").decode().split())[:200]
