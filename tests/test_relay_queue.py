"""The example's queue: what it counts, how it tries again, gives up, and is shared."""

from __future__ import annotations

import email
import smtplib
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from relays import SENDER, TEXT, Running, module, moved, running, session
from servers import wait_until

import flask_expvar


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("relay")
    script = folder / "save"
    script.write_text(f"#!/bin/sh\ncat > {folder}/piped\n")
    script.chmod(0o700)
    aliases = folder / "aliases"
    aliases.write_text(
        f"both: alice, friend@plain.example\nloop: loop\ngood: | {script}\n"
        "later: | sh -c 'exit 75'\nnever: | sh -c 'echo no such place; exit 3'\n"
    )
    with running(folder, aliases_file=aliases) as found:
        yield found


def queued(changes: Any, name: str) -> Any:
    return moved(changes).get(f"queue/{name}", 0)


def test_an_envelope_is_put_once_for_all_its_recipients(
    relay: Running, expvar_changes: Any
) -> None:
    with expvar_changes() as changes, relay.client() as client:
        client.sendmail(SENDER, ["alice@relay.example", "bob@relay.example"], TEXT)
        relay.wait_empty()

    assert queued(changes, "putCount") == 1
    assert queued(changes, "deliverAttempts") == {"email:local": 2}
    assert set(moved(changes)) == set(session())


def test_an_item_is_written_when_it_comes_after_each_attempt_and_at_its_end(
    relay: Running, expvar_changes: Any
) -> None:
    with expvar_changes() as changes, relay.client() as client:
        client.sendmail(SENDER, ["alice@relay.example", "bob@relay.example"], TEXT)
        relay.wait_empty()
        # The last write is counted when it is on the disk, where the test sees it as well.
        wait_until(lambda: queued(changes, "itemsWritten") == 4)
    assert queued(changes, "itemsWritten") == 4


@pytest.mark.parametrize(
    ("to", "kinds"),
    [
        ("bob@relay.example", {"email:local": 1}),
        ("friend@plain.example", {"email:remote": 1}),
        ("good@relay.example", {"pipe": 1}),
        ("both@relay.example", {"email:local": 1, "email:remote": 1}),
    ],
)
def test_attempts_are_counted_by_the_kind_of_the_recipient(
    relay: Running, expvar_changes: Any, to: str, kinds: dict[str, int]
) -> None:
    with expvar_changes() as changes:
        relay.send(to)
        relay.wait_empty()

    found = moved(changes)
    assert found.pop("queue/deliverAttempts") == kinds
    out = {"smtpOut/tlsCount", "smtpOut/securityLevelChecks", "sts/cache/fetches"}
    wanted = set(session()) | (out if "email:remote" in kinds else set())
    assert set(found) == wanted - {"queue/deliverAttempts"}


def test_what_arrives_is_what_was_sent_with_a_line_of_ours(relay: Running) -> None:
    relay.send("good@relay.example", text=TEXT.format("piped"))
    relay.send("friend@plain.example", text=TEXT.format("remote") + ".dot\r\n")
    relay.wait_empty()

    piped = (relay.relay.settings.folder.parent / "piped").read_text()
    assert "How are you?" in piped
    assert "Message-ID: <piped@test>" in piped
    received = relay.world.sinks["plain.example"].received[-1]
    assert received.header("Message-ID") == "<remote@test>"
    assert received.header("Received").startswith("from tests ([127.0.0.1])")
    assert received.data.endswith(b"How are you?\r\n.dot\r\n")


def test_mail_that_is_refused_is_told_to_its_sender_and_counted(
    relay: Running, expvar_changes: Any
) -> None:
    before = relay.world.sinks["plain.example"].count
    with expvar_changes() as changes:
        relay.send("friend@refusing.example", text=TEXT.format("refused"))
        relay.wait_empty()
        wait_until(lambda: queued(changes, "itemsWritten") == 6)
    found = moved(changes)

    assert found["queue/dsnQueued"] == 1
    assert found["queue/putCount"] == 2
    assert found["queue/deliverAttempts"] == {"email:remote": 2}
    out = {"smtpOut/tlsCount", "smtpOut/securityLevelChecks", "sts/cache/fetches"}
    assert set(found) == {*session(), "queue/dsnQueued", *out}
    sink = relay.world.sinks["plain.example"]
    assert sink.count == before + 1
    dsn = email.message_from_bytes(sink.received[-1].data)
    assert sink.received[-1].sender in ("", "<>")
    assert dsn["X-Failed-Message-ID"] == "<refused@test>"
    assert dsn.get_content_type() == "multipart/report"
    text, status = dsn.get_payload()
    assert "550 5.7.1 We take nothing" in text.get_payload(decode=True).decode()
    assert status.get_payload()[1]["Final-Recipient"] == "rfc822; friend@refusing.example"


def test_a_command_decides_whether_it_is_tried_again(relay: Running, expvar_changes: Any) -> None:
    with expvar_changes() as changes:
        relay.send("never@relay.example", sender="alice@relay.example")
        relay.wait_empty()
    assert queued(changes, "deliverAttempts") == {"pipe": 1, "email:local": 1}
    assert queued(changes, "dsnQueued") == 1

    with expvar_changes() as changes:
        relay.send("later@relay.example", sender="alice@relay.example")
        relay.wait_empty()
    # At 0, 0.05, 0.15 and 0.35 s, or later; the first one after 0.2 s is the last.
    assert 1 <= queued(changes, "deliverAttempts")["pipe"] <= 4
    assert queued(changes, "dsnQueued") == 1


def test_a_notification_that_cannot_be_delivered_is_not_answered(
    relay: Running, expvar_changes: Any
) -> None:
    with expvar_changes() as changes:
        relay.send("friend@refusing.example", sender="someone@refusing.example")
        relay.wait_empty()

    assert queued(changes, "dsnQueued") == 1
    assert queued(changes, "putCount") == 2
    assert queued(changes, "deliverAttempts") == {"email:remote": 2}


def test_mail_waits_until_the_server_takes_it(tmp_path: Path) -> None:
    with running(tmp_path, give_up_after=60) as patient:
        see_mail_wait(patient)


def see_mail_wait(relay: Running) -> None:
    sink = relay.world.sinks["slow.example"]
    sink.delay, sink.reply = 0.0, "450 4.2.1 Not now"
    before = sink.count
    relay.relay.queue.put(
        SENDER, relay.relay.aliases.resolve("a@slow.example"), b"Subject: x\r\n\r\n"
    )
    [item] = wait_for_attempt(relay)
    assert item.recipients[0].last_failure == "mx.slow.example: 450 4.2.1 Not now"
    assert item.next_attempt > item.created
    sink.reply = ""
    relay.wait_empty()

    assert sink.count == before + 1


def wait_for_attempt(relay: Running) -> Any:
    def failed() -> Any:
        items, _ = relay.relay.queue.page(10, 0)
        return items if items and items[0].attempts else None

    return wait_until(failed)


def test_a_full_disk_is_told_to_the_client(relay: Running, expvar_changes: Any) -> None:
    relay.relay._database.read("pragma max_page_count = 1")  # as many as it has
    try:
        with (
            expvar_changes() as changes,
            pytest.raises(smtplib.SMTPDataError, match=r"451.*try again later"),
        ):
            relay.send(text=TEXT + "x\r\n" * 200_000)
    finally:
        relay.relay._database.read("pragma max_page_count = 1000000000")
    assert queued(changes, "putCount") == 0
    relay.send()
    relay.wait_empty()


def test_aliases_that_lead_to_themselves_are_refused_for_now(relay: Running) -> None:
    with relay.client() as client:
        client.ehlo()
        client.mail(SENDER)
        assert client.rcpt("loop@relay.example")[0] == 451


def test_the_build_is_told_as_the_document_has_it(relay: Running) -> None:
    found = flask_expvar.snapshot()

    assert found["chasquid/version"] == "1.0.0"
    stamp = found["chasquid/sourceDateTimestamp"]
    told = datetime.strptime(found["chasquid/sourceDateStr"], "%Y-%m-%d %H:%M:%S %z")
    assert told == datetime.fromtimestamp(stamp, timezone.utc)


# -- without a relay: the queue alone --------------------------------------------------------------


class Queue:
    """A queue of one worker; several of them have one folder."""

    def __init__(self, folder: Path) -> None:
        self.owners = module("leases").Owners(folder / "workers")
        self.database = module("database").Database(folder / "queue.sqlite")
        self.queue = module("mailqueue").MailQueue(self.database, self.owners)

    def put(self) -> str:
        bob = module("envelope").Recipient("bob@relay.example", "email:local")
        return str(self.queue.put(SENDER, [bob], b"Subject: x\r\n\r\n"))

    def close(self) -> None:
        self.owners.close()
        self.database.close()


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[tuple[Queue, Queue]]:
    first, second = Queue(tmp_path), Queue(tmp_path)
    yield first, second
    first.close()
    second.close()


def test_an_item_is_leased_by_one_worker_at_a_time(workers: tuple[Queue, Queue]) -> None:
    first, second = workers
    id = first.put()

    item = second.queue.lease()
    assert item.id == id
    assert first.queue.lease() is None
    second.queue.retry(item, 0.0)
    assert first.queue.lease().attempts == 1


def test_what_a_dead_worker_had_is_given_back_and_what_a_living_one_has_is_not(
    tmp_path: Path,
) -> None:
    first, second = Queue(tmp_path), Queue(tmp_path)
    id = first.put()
    assert second.queue.lease().id == id
    assert first.queue.release_dead() == 0
    assert first.queue.lease() is None

    second.close()  # as the kernel does it for a worker that is killed
    assert first.queue.release_dead() == 1
    assert first.queue.lease().id == id
    first.close()


def test_a_message_can_be_cancelled_until_it_is_being_sent(workers: tuple[Queue, Queue]) -> None:
    first, second = workers
    leased, waiting = first.put(), first.put()
    assert second.queue.lease().id == leased

    assert not first.queue.cancel(leased)
    assert first.queue.cancel(waiting)
    assert not first.queue.cancel(waiting)
    assert first.queue.find(waiting) is None
    assert first.queue.page(10, 0)[1] == 1


def test_a_done_message_is_known_for_a_while(workers: tuple[Queue, Queue]) -> None:
    queue = workers[0].queue
    id = workers[0].put()
    queue.finish(queue.lease())

    assert queue.find(id)["done"]
    assert not queue.cancel(id)
    queue.forget(older_than=1000)
    assert queue.find(id) is not None
    queue.forget(older_than=-1)
    assert queue.find(id) is None


def test_the_pause_between_attempts_doubles_up_to_the_longest(
    workers: tuple[Queue, Queue], expvar_changes: Any
) -> None:
    class Never:
        def deliver(self, item: Any, recipient: Any) -> None:
            raise module("envelope").TemporaryError("not now")

    queue = workers[0].queue
    settings = module("settings").Settings(retry_first=10, retry_longest=35, give_up_after=1e9)
    loop = module("sending").SendLoop(1, workers[1].queue, Never(), settings)
    loop.stop()
    loop.join(10)
    workers[0].put()
    pauses = []
    with expvar_changes() as changes:
        for _ in range(4):
            item = queue.lease()
            loop.send(item)
            [shown], _ = queue.page(1, 0)
            pauses.append(round(shown.next_attempt - time.time()))
            with workers[0].database.write() as connection:
                connection.execute("update item set next_attempt = 0")

    assert pauses == [10, 20, 35, 35]
    # Each time how it ended, and when it is tried again.
    assert moved(changes) == {"queue/itemsWritten": 8}
