"""What the example's relay counts of SMTP that comes in, one variable after the other."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from relays import BOB, TEXT, Running, expect, module, moved, running, session

HOOK = """#!/bin/sh
case "$(cat)" in
*lottery*) exit 20 ;;
*puzzle*) exit 1 ;;
esac
echo "X-Seen-By: hook for $MAIL_FROM"
"""
ALIASES = """#!/bin/sh
case "$1" in
team@*) echo "alice, bob" ;;
broken@*) exit 3 ;;
esac
"""


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("relay")) as found:
        yield found


@pytest.fixture(scope="module")
def hooked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("hooked")
    hooks = {"post_data_hook": _script(folder / "post-data", HOOK)}
    hooks["alias_hook"] = _script(folder / "alias-resolve", ALIASES)
    with running(folder, **hooks) as found:
        yield found


def _script(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o700)
    return path


def mail(relay: Running, sender: str, *, tls: bool = False) -> int:
    with relay.client() as client:
        if tls:
            context = ssl.create_default_context(cafile=relay.relay.settings.ca_file)
            client._host = "localhost"  # what the certificate is for
            client.starttls(context=context)
        client.ehlo()
        return client.mail(sender)[0]


def test_a_message_moves_what_it_passes_and_nothing_else(
    relay: Running, expvar_changes: Any
) -> None:
    with expvar_changes() as changes:
        relay.send()
        relay.wait_empty()
        expect(changes, session())


def test_commands_are_counted_and_unknown_ones_marked(relay: Running, expvar_changes: Any) -> None:
    with expvar_changes() as changes, relay.client() as client:
        client.ehlo()
        assert client.docmd("MAKE ME A SANDWICH")[0] == 500
        assert client.docmd("ABCDEFGHI")[0] == 500
        assert client.docmd("HELP", "NONSENSE")[0] == 214

    found = moved(changes)["smtpIn/commandCount"]
    assert found == {"EHLO": 1, "HELP": 1, "QUIT": 1, "unknown<MAKE>": 1, "unknown<ABCDEF>": 1}
    assert set(moved(changes)) == {"smtpIn/commandCount", "smtpIn/responseCodeCount"}


def test_every_reply_is_counted_by_its_code(relay: Running, expvar_changes: Any) -> None:
    with expvar_changes() as changes, relay.client() as client:
        client.ehlo()
        assert client.docmd("DATA")[0] == 503
        assert client.docmd("HELO")[0] == 501

    assert moved(changes) == {
        "smtpIn/commandCount": {"EHLO": 1, "DATA": 1, "HELO": 1, "QUIT": 1},
        "smtpIn/responseCodeCount": {"220": 1, "250": 1, "503": 1, "501": 1, "221": 1},
    }


def test_messages_are_counted_by_the_tls_status_of_their_connection(
    relay: Running, expvar_changes: Any
) -> None:
    with expvar_changes() as changes:
        with relay.client() as client:
            client._host = "localhost"
            client.starttls(context=ssl.create_default_context(cafile=relay.relay.settings.ca_file))
            client.sendmail("friend@slow.example", [BOB], TEXT)
        relay.send()
        relay.wait_empty()

    assert moved(changes)["smtpIn/tlsCount"] == {"tls": 1, "plain": 1}
    assert moved(changes)["smtpIn/commandCount"]["STARTTLS"] == 1
    assert set(moved(changes)) == set(session())


def test_a_domain_that_has_used_tls_may_not_come_without(
    relay: Running, expvar_changes: Any
) -> None:
    relay.world.names.set("TXT", "safe.example", "v=spf1 ip4:127.0.0.1 -all")
    with expvar_changes() as changes:
        assert mail(relay, "a@safe.example") == 250
        assert mail(relay, "a@safe.example", tls=True) == 250
        assert mail(relay, "a@safe.example") == 550
        assert mail(relay, "a@unknown.example") == 250  # no SPF: it may be anybody

    found = moved(changes)
    assert found.pop("smtpIn/securityLevelChecks") == {"pass": 2, "fail": 1, "skip": 1}
    assert found.pop("smtpIn/spfResultCount") == {"pass": 3, "none": 1}
    assert set(found) == {"smtpIn/commandCount", "smtpIn/responseCodeCount"}


@pytest.mark.parametrize(
    ("record", "result", "code"),
    [
        ("v=spf1 ip4:127.0.0.1 -all", "pass", 250),
        ("v=spf1 -all", "fail", 550),
        ("v=spf1 ~all", "softfail", 250),
        ("v=spf1 ?all", "neutral", 250),
        ("v=spf1 mx -all", "fail", 550),
        ("v=spf1 a:mx.plain.example ip4:127.0.0.0/8 -all", "pass", 250),
        ("v=spf1 nonsense", "permerror", 250),
        ("another text", "none", 250),
    ],
)
def test_spf_is_checked_with_our_name_server_and_counted_by_result(
    relay: Running, expvar_changes: Any, record: str, result: str, code: int
) -> None:
    relay.world.names.set("TXT", "checked.example", record)
    with expvar_changes() as changes:
        assert mail(relay, "a@checked.example") == code

    found = moved(changes)
    assert found.pop("smtpIn/spfResultCount") == {result: 1}
    checked = {} if code == 550 else {"pass": 1} if result == "pass" else {"skip": 1}
    assert found.pop("smtpIn/securityLevelChecks", {}) == checked
    assert set(found) == {"smtpIn/commandCount", "smtpIn/responseCodeCount"}


def test_the_post_data_hook_lets_in_and_keeps_out(hooked: Running, expvar_changes: Any) -> None:
    with expvar_changes() as changes:
        hooked.send("bob@relay.example")
        with pytest.raises(smtplib.SMTPDataError, match="The post-data hook refused"):
            hooked.send(text="Subject: the lottery\r\n\r\n")
        with pytest.raises(smtplib.SMTPDataError, match=r"451.*hook failed"):
            hooked.send(text="Subject: a puzzle\r\n\r\n")
        hooked.wait_empty()
    found = moved(changes)

    assert found["smtpIn/hookResults"] == {"post-data:success": 1, "post-data:fail": 2}
    assert found["queue/putCount"] == 1
    assert set(found) == {*session(), "smtpIn/hookResults", "aliases/hookResults"}
    [kept] = (hooked.relay.settings.folder / "mail" / "bob" / "new").iterdir()
    assert kept.read_text().startswith("X-Seen-By: hook for someone@plain.example\n")


def test_the_alias_hook_is_counted_by_result(hooked: Running, expvar_changes: Any) -> None:
    with expvar_changes() as changes, hooked.client() as client:
        client.ehlo()
        client.mail("someone@plain.example")
        assert client.rcpt("team@relay.example")[0] == 250
        assert client.rcpt("broken@relay.example")[0] == 451
        assert client.rcpt("nobody@relay.example")[0] == 550
        assert client.rcpt("friend@plain.example")[0] == 250  # not ours: nobody is asked
    found = moved(changes)

    # Alice and Bob may be aliases too.
    assert found.pop("aliases/hookResults") == {"resolve:success": 4, "resolve:fail": 1}
    assert set(found) == {
        "smtpIn/commandCount",
        "smtpIn/responseCodeCount",
        "smtpIn/spfResultCount",
        "smtpIn/securityLevelChecks",
    }


def test_a_message_that_goes_round_in_circles_is_refused(
    relay: Running, expvar_changes: Any
) -> None:
    hops = "Received: by elsewhere\r\n"
    with expvar_changes() as changes:
        with pytest.raises(smtplib.SMTPDataError, match="More than 50 hops"):
            relay.send(text=hops * 51 + TEXT)
        expect(
            changes,
            {
                "smtpIn/loopsDetected": 1,
                "smtpIn/commandCount": {"EHLO": 1, "MAIL": 1, "RCPT": 1, "DATA": 1, "RSET": 1,
                                        "QUIT": 1},
                "smtpIn/responseCodeCount": {"220": 1, "250": 4, "354": 1, "554": 1, "221": 1},
                "smtpIn/spfResultCount": {"pass": 1},
                "smtpIn/securityLevelChecks": {"pass": 1},
                "smtpIn/tlsCount": {"plain": 1},
            },
        )  # fmt: skip
    with expvar_changes() as changes:
        relay.send(text=hops * 50 + TEXT)
        relay.wait_empty()

    assert moved(changes).get("smtpIn/loopsDetected", 0) == 0


def test_who_does_not_come_from_this_machine_may_not_send_elsewhere(relay: Running) -> None:
    gate = relay.relay.gate

    assert gate.rcpt("192.0.2.7", "friend@good.example")[0].startswith("554 5.7.1")
    assert gate.rcpt("192.0.2.7", BOB)[0].startswith("250")


@pytest.mark.parametrize(("peer", "outside"), [("127.0.0.1", True), ("192.0.2.7", False)])
def test_who_submits_from_elsewhere_may_write_to_us_and_not_through_us(
    relay: Running, peer: str, outside: bool
) -> None:
    front = module("front")

    with Flask("front").test_request_context(environ_base={"REMOTE_ADDR": peer}):
        assert front._resolved(relay.relay, BOB)
        if outside:
            assert front._resolved(relay.relay, "friend@good.example")
        else:
            with pytest.raises(module("gate").Refusal, match="Relay access denied"):
                front._resolved(relay.relay, "friend@good.example")
