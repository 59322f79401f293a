"""The settings of the example's relay, as its environment tells them."""

from __future__ import annotations

from pathlib import Path

import pytest
from relays import module


def test_settings_are_read_from_the_environment() -> None:
    told = {
        "RELAY_FOLDER": "/srv/mail",
        "RELAY_USERS": "alice, bob,",
        "RELAY_SMTP_PORT": "25",
        "RELAY_GIVE_UP_AFTER": "3.5",
        "RELAY_ALIAS_HOOK": "/srv/hook",
        "HOME": "/root",
    }
    found = module("settings").from_environ(told)

    assert found.folder == Path("/srv/mail")
    assert found.users == ("alice", "bob")
    assert (found.smtp_port, found.give_up_after) == (25, 3.5)
    assert found.alias_hook == Path("/srv/hook")
    assert found.hostname == "relay.example"


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("RELAY_PORT", "25", "RELAY_PORT is no setting; there are .*RELAY_SMTP_PORT"),
        ("RELAY_SMTP_PORT", "smtp", "RELAY_SMTP_PORT must be of type int, not 'smtp'"),
        ("RELAY_TIMEOUT", "", "RELAY_TIMEOUT must be of type float, not ''"),
    ],
)
def test_what_is_no_setting_is_an_error(name: str, text: str, error: str) -> None:
    settings = module("settings")

    with pytest.raises(settings.SettingError, match=error):
        settings.from_environ({name: text})


def test_a_folder_that_others_may_read_is_refused(tmp_path: Path) -> None:
    settings = module("settings")
    mine = settings.private_folder(tmp_path / "new" / "folder")
    assert mine.stat().st_mode & 0o777 == 0o700

    mine.chmod(0o755)
    with pytest.raises(settings.SettingError, match="must be ours alone: chmod 700"):
        settings.private_folder(mine)
