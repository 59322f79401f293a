"""Workers of the example are killed while mail goes through: none is lost, and the counts agree."""

from __future__ import annotations

import itertools
import os
import random
import smtplib
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from relays import module
from servers import wait_until
from test_example_app import Example

# They take a quarter of a minute. What is tested is a disk and sockets, the same in all Pythons,
# so in CI only the newest does; on a desk all do.
ELSEWHERE = os.environ.get("CI") == "true" and sys.version_info < (3, 13)
MESSAGES, KILLS = 1000, 5
CLIENTS, SENDERS = 6, 4
REFUSED = "friend@refusing.example"

pytestmark = pytest.mark.gunicorn


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Any]:
    found = module("world").World(tmp_path / "world")
    yield found
    found.close()


class Clients:
    """Send until enough messages were taken; what was not taken is never sent again."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._pause = threading.Event()
        self._numbers = itertools.count()
        self.accepted: dict[str, str] = {}
        self.failed = 0
        self._threads = [threading.Thread(target=self._run) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while len(self.accepted) < MESSAGES:
            id = f"<{next(self._numbers)}@test>"
            to = REFUSED if hash(id) % 20 == 0 else "friend@plain.example"
            text = f"Subject: x\r\nMessage-ID: {id}\r\n\r\nHow are you?\r\n"
            try:
                with smtplib.SMTP("127.0.0.1", self._port, "client", timeout=20) as client:
                    client.sendmail("someone@plain.example", [to], text)
                    self.accepted[id] = to
            except (OSError, smtplib.SMTPException):
                self.failed += 1
                self._pause.wait(0.02)  # all workers may be beginning just now

    def join(self) -> None:
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()


@pytest.mark.skipif(ELSEWHERE, reason="in CI the newest Python does it")
def test_no_message_is_lost_when_workers_are_killed(tmp_path: Path, world: Any) -> None:
    told = {**world.settings(), "RELAY_RETRY_FIRST": "0.1", "RELAY_SENDERS": str(SENDERS)}
    choose, kills = random.Random(7), []
    with Example(tmp_path, "--workers", "3", conf=False, **told) as example:
        clients = Clients(example.smtp_port)
        for number in range(1, KILLS + 1):
            enough = MESSAGES * number // (KILLS + 1)
            wait_until(lambda enough=enough: len(clients.accepted) >= enough)
            kills.append(time.monotonic())
            example.kill_worker(choose.choice(example.worker_pids()))
        clients.join()

        def depth() -> int:
            return int(example.get("/debug/queue.json").json()["queues"][0]["depth"])

        example.wait_until(lambda: depth() == 0, what="the queue empties")
        figures = example.figures()

    sink, refusing = world.sinks["plain.example"], world.sinks["refusing.example"]
    times = defaultdict(list)
    for each in sink.received:
        if each.sender not in ("", "<>"):
            times[each.header("Message-ID")].append(each.at)
    dsns = Counter(
        each.header("X-Failed-Message-ID") for each in sink.received if each.sender in ("", "<>")
    )

    # Every message that was taken has arrived, or its sender was told.
    assert len(clients.accepted) >= MESSAGES
    assert {id for id, to in clients.accepted.items() if to != REFUSED} <= times.keys()
    assert {id for id, to in clients.accepted.items() if to == REFUSED} <= dsns.keys()
    # What arrived twice did so because of a kill between the 250 of the sink and our note of it.
    twice = {id: at for id, at in times.items() if len(at) > 1}
    assert len(twice) <= KILLS * SENDERS
    for at in twice.values():
        assert any(at[0] - 1 <= kill <= at[-1] for kill in kills)

    # The counts agree with what the servers saw, but for what was just being done at a kill.
    open_ended = KILLS * SENDERS
    attempts = figures["chasquid/queue/deliverAttempts"]["email:remote"]
    assert 0 <= attempts - sink.count - refusing.refused <= open_ended
    arrived = len(times) + len(dsns) + sum(dsns.values())
    taken = len(clients.accepted) + len(dsns)
    assert taken - open_ended <= figures["chasquid/queue/putCount"] <= arrived
    assert 0 <= sum(dsns.values()) - figures["chasquid/queue/dsnQueued"] <= open_ended
