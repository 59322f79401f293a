"""What the example's relay counts of SMTP that goes out: TLS, levels, MTA-STS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from relays import Running, module, moved, running

POLICY = "version: STSv1\nmode: {}\nmx: {}\nmax_age: 86400\n"
POLICIES = ("tested", "enforced", "unsafe", "elsewhere")


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    hosts = tuple(f"mta-sts.{name}.example" for name in POLICIES)
    with running(tmp_path_factory.mktemp("relay"), hosts) as found:
        yield found


def deliver(relay: Running, address: str) -> str:
    """Make one attempt, and return the failure."""
    item = module("mailqueue").new_item("a@relay.example", [], b"Subject: x\r\n\r\n")
    kinds = module("envelope")
    try:
        relay.relay.courier.deliver(item, kinds.Recipient(address, kinds.REMOTE))
    except (kinds.TemporaryError, kinds.PermanentError) as error:
        return str(error)
    return ""


ATTEMPT = {"queue/deliverAttempts": {"email:remote": 1}, "sts/cache/fetches": 1}


@pytest.mark.parametrize(
    ("server", "status"),
    [
        ("plain.example", "plain"),
        ("untrusted.example", "tls:insecure"),
        ("good.example", "tls:secure"),
    ],
)
def test_connections_are_counted_by_how_safe_they_are(
    relay: Running, expvar_changes: Any, server: str, status: str
) -> None:
    address = relay.domain(f"tls-{server}", server)
    before = relay.world.sinks[server].count
    with expvar_changes() as changes:
        assert deliver(relay, address) == ""

    wanted = {"smtpOut/tlsCount": {status: 1}, "smtpOut/securityLevelChecks": {"pass": 1}}
    assert moved(changes) == {**ATTEMPT, **wanted}
    received = relay.world.sinks[server].received[-1]
    assert relay.world.sinks[server].count == before + 1
    assert received.tls == (status != "plain")


def test_a_domain_never_gets_less_safe(relay: Running, expvar_changes: Any) -> None:
    address = relay.domain("level.example", "plain.example")
    with expvar_changes() as changes:
        assert deliver(relay, address) == ""
        relay.domain("level.example", "good.example")
        assert deliver(relay, address) == ""
        relay.domain("level.example", "untrusted.example")
        assert deliver(relay, address) == "level.example was safer before than tls:insecure"

    found = moved(changes)
    assert found.pop("smtpOut/securityLevelChecks") == {"pass": 2, "fail": 1}
    assert found.pop("smtpOut/tlsCount") == {"plain": 1, "tls:secure": 1, "tls:insecure": 1}
    assert set(found) == set(ATTEMPT)
    [level] = [row for row in relay.relay.levels.page() if row["name"] == "level.example"]
    assert level["outgoing"] == "tls:secure"


def test_policies_are_counted_by_their_mode(relay: Running, expvar_changes: Any) -> None:
    tested = relay.domain("tested.example", "untrusted.example",
                          POLICY.format("testing", "another.example"))  # fmt: skip
    enforced = relay.domain("enforced.example", "good.example",
                            POLICY.format("enforce", "*.good.example"))  # fmt: skip
    with expvar_changes() as changes:
        assert deliver(relay, tested) == ""
        assert deliver(relay, enforced) == ""

    found = moved(changes)
    assert found.pop("smtpOut/sts/mode") == {"testing": 1, "enforce": 1}
    assert found.pop("smtpOut/sts/security") == {"pass": 1}
    assert set(found) == {*ATTEMPT, "smtpOut/tlsCount", "smtpOut/securityLevelChecks"}


def test_an_enforced_policy_needs_a_certificate_that_can_be_trusted(
    relay: Running, expvar_changes: Any
) -> None:
    policy = POLICY.format("enforce", "mx.untrusted.example")
    address = relay.domain("unsafe.example", "untrusted.example", policy)
    before = relay.world.sinks["untrusted.example"].count
    with expvar_changes() as changes:
        assert "does not allow tls:insecure" in deliver(relay, address)

    found = moved(changes)
    assert found.pop("smtpOut/sts/security") == {"fail": 1}
    assert found.pop("smtpOut/sts/mode") == {"enforce": 1}
    assert set(found) == {*ATTEMPT, "smtpOut/tlsCount", "smtpOut/securityLevelChecks"}
    assert relay.world.sinks["untrusted.example"].count == before


def test_a_server_that_the_policy_does_not_name_is_not_even_asked(
    relay: Running, expvar_changes: Any
) -> None:
    policy = POLICY.format("enforce", "*.elsewhere.example")
    address = relay.domain("elsewhere.example", "good.example", policy)
    with expvar_changes() as changes:
        assert "not in the MTA-STS policy" in deliver(relay, address)

    assert moved(changes) == {**ATTEMPT, "smtpOut/sts/mode": {"enforce": 1}}


def test_a_domain_without_servers_and_one_that_is_down_are_not_the_same(relay: Running) -> None:
    relay.world.names.set("MX", "down.example", "mx.down.example")
    relay.world.names.set("A", "mx.down.example", "127.0.0.99")

    assert deliver(relay, "a@nowhere.example") == "nobody takes mail for nowhere.example"
    assert deliver(relay, "a@down.example") == "mx.down.example: ConnectionRefusedError"
