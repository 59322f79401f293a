"""The example's cache of MTA-STS policies, with a real name server and real HTTPS."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from relays import Running, module, moved, running

POLICY = "version: STSv1\nmode: enforce\nmx: mx.good.example\nmax_age: 1000\n"
DOMAIN = "cached.example"


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("relay")
    with running(folder, hosts=(f"mta-sts.{DOMAIN}",)) as found:
        yield found


@pytest.fixture
def cache(relay: Running) -> Iterator[Any]:
    """Return the cache, which knows nothing, of a domain with a policy."""
    relay.domain(DOMAIN, "good.example", POLICY)
    yield relay.relay.policies
    for path in folder_of(relay).iterdir():
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()


def folder_of(relay: Running) -> Path:
    return Path(relay.relay.settings.folder / "policies")


@pytest.fixture
def entry(relay: Running) -> Path:
    """Return the file that the policy of the domain is kept in."""
    return folder_of(relay) / f"{DOMAIN}.json"


def counted(changes: Any) -> dict[str, int]:
    return {name.removeprefix("sts/cache/"): n for name, n in moved(changes).items()}


def test_a_policy_is_fetched_once_and_then_found(
    cache: Any, entry: Path, expvar_changes: Any
) -> None:
    with expvar_changes() as changes:
        assert cache.fetch(DOMAIN).allows("mx.good.example")
    assert counted(changes) == {"fetches": 1}
    assert json.loads(entry.read_bytes())["mode"] == "enforce"

    with expvar_changes() as changes:
        assert cache.fetch(DOMAIN).allows("mx.good.example")
    assert counted(changes) == {"fetches": 1, "hits": 1}


def test_a_domain_without_a_policy_is_no_failure(cache: Any, expvar_changes: Any) -> None:
    with expvar_changes() as changes:
        assert cache.fetch("plain.example") is None

    assert counted(changes) == {"fetches": 1}


def test_an_entry_expires(cache: Any, entry: Path, expvar_changes: Any) -> None:
    cache.fetch(DOMAIN)
    os.utime(entry, (0, entry.stat().st_mtime - 1001))
    with expvar_changes() as changes:
        assert cache.fetch(DOMAIN) is not None
    assert counted(changes) == {"fetches": 1, "expired": 1}

    with expvar_changes() as changes:
        cache.fetch(DOMAIN)
    assert counted(changes) == {"fetches": 1, "hits": 1}


@pytest.mark.parametrize(
    "text",
    [
        "version: STSv2\nmode: enforce\nmx: a.example\nmax_age: 1000\n",
        "version: STSv1\nmode: perhaps\nmx: a.example\nmax_age: 1000\n",
        "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: never\n",
        "version: STSv1\nmode: enforce\nmax_age: 1000\n",
        "",
    ],
)
def test_a_policy_that_makes_no_sense_is_a_failed_fetch(
    relay: Running, cache: Any, entry: Path, expvar_changes: Any, text: str
) -> None:
    relay.domain(DOMAIN, "good.example", text or "\n")
    with expvar_changes() as changes:
        assert cache.fetch(DOMAIN) is None

    assert counted(changes) == {"fetches": 1, "failedFetch": 1}
    assert not entry.exists()


def test_a_policy_that_is_announced_and_not_there_is_a_failed_fetch(
    relay: Running, cache: Any, expvar_changes: Any
) -> None:
    del relay.world.policies.texts[f"mta-sts.{DOMAIN}"]
    with expvar_changes() as changes:
        assert cache.fetch(DOMAIN) is None

    assert counted(changes) == {"fetches": 1, "failedFetch": 1}


def test_a_policy_behind_a_certificate_for_another_name_is_a_failed_fetch(
    relay: Running, cache: Any, expvar_changes: Any
) -> None:
    relay.domain("stranger.example", "good.example", POLICY)
    with expvar_changes() as changes:
        assert cache.fetch("stranger.example") is None

    assert counted(changes) == {"fetches": 1, "failedFetch": 1}


@pytest.mark.parametrize("text", ["{", "[]", '{"version": "STSv1", "no": "such field"}', ""])
def test_a_damaged_entry_is_fetched_anew(
    cache: Any, entry: Path, expvar_changes: Any, text: str
) -> None:
    entry.write_text(text)
    with expvar_changes() as changes:
        assert cache.fetch(DOMAIN) is not None

    assert counted(changes) == {"fetches": 1, "unmarshalErrors": 1}


@pytest.mark.parametrize(
    "change", [{"mode": "perhaps"}, {"max_age": "long"}, {"mx": []}, {"version": None}]
)
def test_an_invalid_entry_is_fetched_anew(
    cache: Any, entry: Path, expvar_changes: Any, change: dict[str, Any]
) -> None:
    cache.fetch(DOMAIN)
    entry.write_text(json.dumps({**json.loads(entry.read_text()), **change}))
    with expvar_changes() as changes:
        assert cache.fetch(DOMAIN) is not None

    assert counted(changes) == {"fetches": 1, "invalid": 1}


def test_a_policy_that_cannot_be_written_as_text_is_used_and_not_kept(
    relay: Running, cache: Any, entry: Path, expvar_changes: Any
) -> None:
    relay.domain(DOMAIN, "good.example", POLICY + "mx: \udcff.example\n")
    with expvar_changes() as changes:
        assert cache.fetch(DOMAIN).allows("mx.good.example")

    assert counted(changes) == {"fetches": 1, "marshalErrors": 1}
    assert not entry.exists()


def test_an_entry_that_cannot_be_read_nor_written_does_not_stop_the_mail(
    relay: Running, cache: Any, entry: Path, expvar_changes: Any
) -> None:
    entry.mkdir()
    with expvar_changes() as changes:
        assert cache.fetch(DOMAIN) is not None

    assert counted(changes) == {"fetches": 1, "ioErrors": 2}
    assert list(folder_of(relay).iterdir()) == [entry]


def test_a_refresh_fetches_what_is_in_the_cache(
    relay: Running, cache: Any, entry: Path, expvar_changes: Any
) -> None:
    cache.fetch(DOMAIN)
    relay.domain(DOMAIN, "good.example", POLICY.replace("1000", "2000"))
    with expvar_changes() as changes:
        cache.refresh()

    assert counted(changes) == {"refreshCycles": 1, "refreshes": 1}
    assert json.loads(entry.read_bytes())["max_age"] == 2000


def test_a_refresh_that_fails_keeps_the_old_policy(
    relay: Running, cache: Any, entry: Path, expvar_changes: Any
) -> None:
    cache.fetch(DOMAIN)
    del relay.world.policies.texts[f"mta-sts.{DOMAIN}"]
    with expvar_changes() as changes:
        cache.refresh()

    assert counted(changes) == {"refreshCycles": 1, "refreshes": 1, "refreshErrors": 1}
    with expvar_changes() as changes:
        assert cache.fetch(DOMAIN) is not None
    assert counted(changes) == {"fetches": 1, "hits": 1}


def test_a_refresh_of_an_empty_cache_is_a_cycle_too(cache: Any, expvar_changes: Any) -> None:
    with expvar_changes() as changes:
        cache.refresh()

    assert counted(changes) == {"refreshCycles": 1}


@pytest.mark.parametrize(
    ("pattern", "server", "allowed"),
    [
        ("mx.a.example", "mx.a.example", True),
        ("*.a.example", "mx.a.example", True),
        ("*.a.example", "a.example", False),
        ("*.a.example", "mx.b.a.example", False),
        ("mx.a.example", "mx.b.example", False),
    ],
)
def test_a_star_in_a_policy_stands_for_one_label(pattern: str, server: str, allowed: bool) -> None:
    assert module("sts").Policy(mx=[pattern]).allows(server) == allowed
