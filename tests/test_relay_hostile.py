"""Hostile SMTP costs the example's relay a clear reply and a capped label, nothing more."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from relays import Running, module, moved, running
from servers import wait_until

HELLO = b"EHLO tests\r\n"
BEGIN = HELLO + b"MAIL FROM:<a@plain.example>\r\nRCPT TO:<bob@relay.example>\r\n"
QUIT = b"QUIT\r\n"


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("relay"), max_bytes=100_000) as found:
        yield found


@pytest.fixture(autouse=True)
def goes_on(relay: Running) -> Iterator[None]:
    """See that the relay takes mail after whatever a test has done to it."""
    yield
    relay.send()
    relay.wait_empty()


def connect(relay: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", relay.relay.listener.port), 30)


def talk(relay: Running, *parts: bytes) -> list[str]:
    """Say all of it at once, and return the replies by their codes, the greeting left out."""
    with connect(relay) as client:
        client.sendall(b"".join(parts))
        answer = b"".join(iter(lambda: client.recv(65536), b"")).decode()
    lines = [line for line in answer.splitlines() if line[3:4] != "-"]
    return [line[:3] for line in lines][1:]


def bob_got(relay: Running) -> list[bytes]:
    relay.wait_empty()
    folder = relay.relay.settings.folder / "mail" / "bob" / "new"
    return [path.read_bytes() for path in folder.glob("*")]


@pytest.mark.parametrize("length", [600, 2_000, 1_000_000])
def test_a_command_that_is_too_long_is_refused(
    relay: Running, expvar_changes: Any, length: int
) -> None:
    with expvar_changes() as changes:
        assert talk(relay, b"NOOP " + b"x" * length + b"\r\n", HELLO, QUIT) == ["500", "250", "221"]

    assert moved(changes)["smtpIn/commandCount"] == {"EHLO": 1, "QUIT": 1}


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (b"NO\x00OP", "500"),
        (b"\x00\x00\x00\x00", "500"),
        (b"\xff\xfe\xfd", "500"),
        (b"", "500"),
        (b"MAIL FROM:<a\x00b@plain.example>", "553"),
        (b"MAIL FROM:<a@plain.example\x00>", "553"),
        (b"MAIL FROM:<a@../../plain.example>", "553"),
        (b"MAIL FROM:<'; drop table item@plain.example>", "501"),
        (b"MAIL FROM:<a@plain.example> SIZE=99999999", "552"),
        (b"MAIL FROM:", "501"),
        (b"RCPT TO:<bob@relay.example>", "503"),
        (b"EHLO", "501"),
    ],
)
def test_bytes_that_mean_nothing_get_a_clear_reply(
    relay: Running, command: bytes, code: str
) -> None:
    assert talk(relay, HELLO, command, b"\r\n", QUIT) == ["250", code, "221"]


def test_an_address_never_becomes_a_path(relay: Running) -> None:
    sent = b"RCPT TO:<../../../x@relay.example>\r\n"

    assert talk(relay, BEGIN, sent, QUIT) == ["250", "250", "250", "553", "221"]


def test_control_bytes_of_unknown_commands_stay_out_of_the_labels(
    relay: Running, expvar_changes: Any
) -> None:
    with expvar_changes() as changes:
        talk(relay, b"A\x00\x1b[2J\r\n", QUIT)

    assert moved(changes)["smtpIn/commandCount"] == {"unknown<A??[2J>": 1, "QUIT": 1}


def test_a_whole_session_may_come_in_one_packet(relay: Running, expvar_changes: Any) -> None:
    with expvar_changes() as changes:
        text = b"DATA\r\nSubject: pipelined\r\n\r\nOne.\r\n.\r\n"
        codes = talk(relay, BEGIN, text, BEGIN[len(HELLO) :], text, QUIT)

    assert codes == ["250"] * 3 + ["354", "250"] + ["250"] * 2 + ["354", "250", "221"]
    assert moved(changes)["queue/putCount"] == 2


def test_commands_before_the_handshake_are_not_taken_for_those_after_it(
    relay: Running, expvar_changes: Any
) -> None:
    context = ssl.create_default_context(cafile=relay.relay.settings.ca_file)
    with expvar_changes() as changes, connect(relay) as plain:
        plain.recv(1000)
        plain.sendall(HELLO)
        while b"250 HELP" not in plain.recv(1000):
            pass
        plain.sendall(b"STARTTLS\r\nMAIL FROM:<evil@plain.example>\r\n")
        assert plain.recv(1000).startswith(b"220")
        try:
            with context.wrap_socket(plain, server_hostname="localhost") as client:
                client.sendall(b"NOOP\r\n")
                assert client.recv(1000) == b"250 OK\r\n"
        except ssl.SSLError:
            pass  # what was injected was taken for a bad handshake, which is as good

    assert "MAIL" not in moved(changes)["smtpIn/commandCount"]


def test_half_a_message_is_no_message(relay: Running, expvar_changes: Any) -> None:
    with expvar_changes() as changes:
        for ending in (b"", b"\r\n", b"\r\n.", b"\r\n.\r"):
            with connect(relay) as client:
                client.sendall(BEGIN + b"DATA\r\n")
                seen = b""
                while b"354" not in seen:
                    seen += client.recv(1000)
                client.sendall(b"Subject: half a" + ending)
        wait_until(lambda: not open_connections(relay))

    assert "queue/putCount" not in moved(changes)


def open_connections(relay: Running) -> list[Any]:
    """Return the connections that the relay still has."""
    loop = relay.relay.listener._loop

    async def handlers() -> list[Any]:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        return [task for task in tasks if "_handle_client" in repr(task)]

    return asyncio.run_coroutine_threadsafe(handlers(), loop).result(10)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"x" * 50_000, "500"),  # a line
        (b"x" * 900 + b"\r\n" + b"x" * 1_000_000, "500"),
        (b"short\r\n" * 20_000, "552"),
        (b"A: b\r\n" * 15_000, "250"),
        (b"\x00\xff\x1b\r\n" * 100, "250"),
        (b"", "250"),
    ],
)
def test_content_is_taken_as_it_is_or_refused(relay: Running, content: bytes, code: str) -> None:
    codes = talk(relay, BEGIN, b"DATA\r\n", content, b"\r\n.\r\n", QUIT)

    assert codes == ["250", "250", "250", "354", code, "221"]


@pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\n"])
def test_no_second_message_is_smuggled_behind_a_false_end(
    relay: Running, expvar_changes: Any, end: bytes
) -> None:
    evil = b"MAIL FROM:<evil@plain.example>\r\nRCPT TO:<alice@relay.example>\r\nDATA\r\nx\r\n"
    with expvar_changes() as changes:
        talk(relay, BEGIN, b"DATA\r\nSubject: x\r\n\r\nfirst", end, evil, b".\r\n", QUIT)

    assert moved(changes).get("queue/putCount", 0) <= 1
    assert moved(changes)["smtpIn/commandCount"]["MAIL"] == 1


def test_what_a_client_calls_itself_begins_no_header(relay: Running) -> None:
    name = b"EHLO x\x0bBcc: y\x00" + b"z" * 300 + b"\r\n"
    text = b"DATA\r\nX-Test: name\r\n\r\n.\r\n"
    assert talk(relay, name, BEGIN[len(HELLO) :], text, QUIT)[-2] == "250"

    [kept] = [mail for mail in bob_got(relay) if b"X-Test: name" in mail]
    assert kept.splitlines()[0].startswith(b"Received: from xBcc: yzzz")
    assert len(kept.splitlines()[0]) < 300


def test_ten_thousand_unknown_commands_end_the_connection_and_fill_no_more_than_the_cap(
    relay: Running, expvar_changes: Any
) -> None:
    counters = module("counters")
    nonsense = b"".join(b"X%d\r\n" % n for n in range(10_000))
    with expvar_changes() as changes, connect(relay) as client:
        try:
            client.sendall(nonsense)
            seen = b"".join(iter(lambda: client.recv(65536), b""))
        except ConnectionError:
            seen = b""  # it has hung up before it has read all of it
    try:
        assert b"502" in seen or not seen
        assert sum(moved(changes)["smtpIn/commandCount"].values()) < 1000
        with expvar_changes() as changes:
            for first in range(0, 100, 5):
                talk(relay, b"".join(b"Y%d\r\n" % n for n in range(first, first + 4)), QUIT)

        found = moved(changes)["smtpIn/commandCount"]
        assert found.pop("QUIT") == 20
        assert sum(found.values()) == 80
        assert found["(other)"] > 20
        assert len(list(counters.commands)) <= 51
        assert changes["expvar/dropped"] == found["(other)"]
    finally:
        for key in counters.commands:
            if key.startswith(("unknown", "(other)")):
                counters.commands.delete(key)
