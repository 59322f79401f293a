"""Send good and bad mail to the running example: ``python3 -m example_app.traffic``.

It needs nothing but Python, so that it runs from any second terminal.
"""

from __future__ import annotations

import argparse
import http.client
import random
import smtplib
import socket
import ssl
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from urllib.parse import urlencode

LOOPBACK = ("127.0.0.1", "localhost")
MAIL = "From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\n{extra}\r\nHow are you?\r\n"
FRIEND = "friend@good.example"


def send(
    smtp: tuple[str, int],
    to: str = FRIEND,
    sender: str = "friend@plain.example",
    subject: str = "Hello",
    extra: str = "",
    tls: bool = False,
) -> str:
    """Send one message by SMTP and return how that ended."""
    with smtplib.SMTP(*smtp, local_hostname="traffic.example", timeout=30) as client:
        if tls:
            # The relay's certificate is made anew with each start: encryption is enough here.
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            client.starttls(context=context)
        text = MAIL.format(sender=sender, to=to, subject=subject, extra=extra)
        client.sendmail(sender, [to], text)
    return "SMTP 250"


def nonsense(smtp: tuple[str, int]) -> str:
    """Say what no mail server understands."""
    with smtplib.SMTP(*smtp, timeout=30) as client:
        return f"SMTP {client.docmd(random.choice(['GET', 'MAKE', 'PLEASE']), '/')[0]}"


def hang_up(smtp: tuple[str, int]) -> str:
    """Go away in the middle of a message."""
    with socket.create_connection(smtp, 30) as client:
        client.sendall(b"EHLO x\r\nMAIL FROM:<a@plain.example>\r\nRCPT TO:<bob@relay.example>\r\n")
        client.sendall(b"DATA\r\nSubject: half a")
    return "hung up"


def post(web: tuple[str, int], to: str = FRIEND, method: str = "POST") -> str:
    """Submit a message by HTTP."""
    client = http.client.HTTPConnection(*web, timeout=30)
    form = {"from": "alice@relay.example", "to": to, "subject": "Hello", "text": "How are you?"}
    try:
        client.request(
            method,
            "/messages" if method == "POST" else "/messages/unknown",
            urlencode(form),
            {"Content-Type": "application/x-www-form-urlencoded"},
        )
        answer = client.getresponse()
        answer.read()
        return f"HTTP {answer.status}"
    finally:
        client.close()


# What is done and how often, out of 100; the first argument is still to come.
MIX: list[tuple[int, partial[str]]] = [
    (28, partial(send, sender="friend@good.example", tls=True)),
    # This domain has used TLS before, so that is a stranger.
    (2, partial(send, sender="friend@good.example")),
    (10, partial(send, to="friend@plain.example")),
    (5, partial(send, to="friend@untrusted.example")),
    (5, partial(send, to="friend@slow.example")),
    (3, partial(send, to="friend@unsafe.example")),
    (3, partial(send, to="friend@busy.example")),
    (3, partial(send, to="friend@refusing.example")),
    (8, partial(send, to="sales@relay.example")),
    (4, partial(send, to="archive@relay.example")),
    (4, partial(send, to="team@relay.example")),
    (2, partial(send, to="broken@relay.example")),
    (2, partial(send, to="nobody@relay.example")),
    (2, partial(send, sender="friend@forged.example")),
    (1, partial(send, subject="You won the lottery")),
    (1, partial(send, extra="Received: by elsewhere\r\n" * 60)),
    (2, partial(nonsense)),
    (1, partial(hang_up)),
    (11, partial(post)),
    (2, partial(post, to="nobody@relay.example")),
    (1, partial(post, method="GET")),
]


def main() -> None:
    """Do it from several threads and print how it ended."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--host", default="127.0.0.1", choices=LOOPBACK)
    options.add_argument("--port", default=8000, type=int, help="of HTTP")
    options.add_argument("--smtp-port", default=2525, type=int)
    options.add_argument("--messages", default=300, type=int)
    options.add_argument("--threads", default=8, type=int)
    given = options.parse_args()

    web, smtp = (given.host, given.port), (given.host, given.smtp_port)

    def one(step: partial[str]) -> str:
        try:
            return step(web if step.func is post else smtp)
        except smtplib.SMTPRecipientsRefused as error:
            return f"SMTP {next(iter(error.recipients.values()))[0]}"
        except smtplib.SMTPResponseException as error:
            return f"SMTP {error.smtp_code}"
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__

    steps = random.choices(
        [step for _, step in MIX],
        [weight for weight, _ in MIX],
        k=min(given.messages, 10_000),
    )
    with ThreadPoolExecutor(min(given.threads, 64)) as pool:
        ends = Counter(pool.map(one, steps))
    for end, count in sorted(ends.items()):
        print(f"{count:6} {end}")
    print(f"Now look at http://{given.host}:{given.port}/debug/vars")


if __name__ == "__main__":
    main()
