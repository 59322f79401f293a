"""``/debug/config``: hidden unless known to be safe, and every rule says what it hid."""

from __future__ import annotations

import datetime
import gc
import json
import re
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any

import pytest
from apps import SHOP, TOKEN
from flask import Flask
from flask.testing import FlaskClient
from servers import Gunicorn

import flask_expvar as expvar
from flask_expvar.sources.config import item, sections

HTML = {"Accept": "text/html"}


@pytest.fixture
def registry() -> expvar.Registry:
    return expvar.Registry()


def make(registry: expvar.Registry, **config: Any) -> Flask:
    app = Flask("shop")
    app.config["EXPVAR_ACCESS"] = lambda request: True
    app.config.update(config)
    expvar.Expvar(app, registry=registry)
    return app


@pytest.fixture
def app(registry: expvar.Registry) -> Flask:
    return make(registry, SECRET_KEY="s3cr3t-key", SITE_NAME="Books", DEPTH=3)


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    with app.test_client() as client:
        yield client


def lines(client: FlaskClient, section: str, query: str = "") -> list[str]:
    """Return the lines of one section of the text."""
    answer = client.get(f"/debug/config{query}")
    assert answer.content_type == "text/plain; charset=utf-8"
    _, _, rest = answer.text.partition(f"## {section}\n\n")
    return rest.partition("\n\n")[0].splitlines()


def rows(client: FlaskClient, section: str, query: str = "") -> dict[str, Any]:
    found = json.loads(client.get(f"/debug/config.json{query}").text, parse_constant=pytest.fail)
    by_name = {each["name"]: each for each in found["sections"]}
    return {row["name"]: row for row in by_name[section]["items"]}


# -- which values are shown ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("DEBUG", False, "false"),
        ("SERVER_NAME", "shop.example.com", '"shop.example.com"'),
        ("SESSION_COOKIE_NAME", "id", '"id"'),  # on the safe list, whatever its name
        ("DEPTH", 3, "3"),
        ("RATE", 0.5, "0.5"),
        ("ON", True, "true"),
        ("NOTHING", None, "null"),
        ("SITE_NAME", "Books", "hidden # not on the safe list; str, 5 characters"),
        ("PLACES", ["a", "b"], "hidden # not on the safe list; list, 2 items"),
        ("WHEN", datetime.date(2026, 1, 2), "hidden # not on the safe list; date"),
        ("SECRET_KEY", "x", "hidden # key: secret; str, 1 character"),
        ("API_KEYS", 7, "hidden # key: apikey; int"),
        ("USER_PIN", 4711, "hidden # key: pin; int"),
        ("MAIL_PASSWORD", None, "hidden # key: pass; None"),
        ("CARD", 4111111111111111, '"hidden" # value: looks like a secret'),
        ("SHOWN_LIST", ["a", "b"], '"a,b"'),
        ("SHOWN_PASSWORD", "open", '"open"'),
        ("SHOWN_DB", "pg://bob:pw@db/x", '"pg://bob:hidden@db/x" # value: looks like a secret'),
        ("SHOWN_MAP", {"a": 1, "token": "x"}, '"a=1,token=hidden" # value: looks like a secret'),
        ("SHOWN_LINES", "a\nb\x1b", '"a\\nb\\u001b"'),
        ("shown_small", "a", "hidden # not on the safe list; str, 1 character"),
        ("NAN", float("nan"), '"nan"'),
    ],
)
def test_value_of_the_configuration(
    registry: expvar.Registry, name: str, value: object, line: str
) -> None:
    # Flask cannot be made with some of them.
    app = make(registry, EXPVAR_SHOW=["SHOWN_*"])
    with app.test_client() as client:
        app.config[name] = value
        if name == "SERVER_NAME":
            assert f"{name}: {line}" in client.get("/debug/config").text
            return
        assert [each for each in lines(client, "Flask") if each.startswith(f"{name}:")] == [
            f"{name}: {line}"
        ]


def test_a_number_that_python_refuses_to_write_is_told_by_its_kind() -> None:
    assert item("LARGE", 10**6000, [], False, 100).value == "(int)"


def test_a_repr_is_never_called() -> None:
    class Odd:
        def __repr__(self) -> str:
            raise AssertionError

        __str__ = __repr__

    assert item("A", Odd(), ["A"], False, 100).value == "(Odd)"


def test_of_the_environment_only_names_are_shown(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_MODE", "quite-fast")
    monkeypatch.setenv("SHOP_PLACE", "here")
    monkeypatch.setenv("FLASK_EXPVAR_SHOW", "SHOP_P*")

    found = lines(client, "Environment")

    assert "SHOP_MODE: hidden # environment: names only; str" in found
    assert 'SHOP_PLACE: "here"' in found
    assert found == sorted(found)


def test_a_wrong_setting_shows_nothing_more(app: Flask, registry: expvar.Registry) -> None:
    app.config.update(EXPVAR_SHOW=["*"], EXPVAR_NONSENSE=1)

    section = next(each for each in sections(registry) if each.name == "flask")
    by_name = {each.name: each for each in (make(100) for make in section.items())}

    assert by_name["SITE_NAME"].hidden
    assert not by_name["DEPTH"].hidden


# -- the other sections --------------------------------------------------------------------------


def test_installed_packages_are_listed_with_their_versions(client: FlaskClient) -> None:
    found = lines(client, "Packages")

    assert f'Flask: "{metadata.version("flask")}"' in found
    names = [line.partition(":")[0] for line in found]
    assert names == sorted(names, key=str.casefold)


def test_the_url_map_is_listed(app: Flask, client: FlaskClient) -> None:
    shown = [line for line in lines(client, "URL map") if "expvar" not in line]

    assert shown == ['/static/<path:filename>: "GET,HEAD,OPTIONS static"']


def test_rules_are_known_by_their_endpoint_too(registry: expvar.Registry) -> None:
    app = make(registry)
    app.add_url_rule("/x", "get", lambda: "", methods=["GET"])
    app.add_url_rule("/x", "put", lambda: "", methods=["PUT"])
    with app.test_client() as client:
        assert [line for line in lines(client, "URL map") if line.startswith("/x")] == [
            '/x: "GET,HEAD,OPTIONS get"',
            '/x: "OPTIONS,PUT put"',
        ]


def test_a_section_that_raises_costs_only_itself(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(app.url_map, "iter_rules", broken)

    assert lines(client, "URL map") == ["# cannot be read: RuntimeError"]
    assert "DEPTH: 3" in lines(client, "Flask")
    page = client.get("/debug/config", headers=HTML).text
    assert "cannot be read: <bdi>RuntimeError" in page
    assert "hunter2" not in page


# -- several applications ------------------------------------------------------------------------


def test_applications_of_two_registries_do_not_mix(registry: expvar.Registry) -> None:
    one, two = make(registry, OF_ONE=1), make(expvar.Registry(), OF_TWO=2)

    with one.test_client() as client:
        assert "OF_ONE: 1" in lines(client, "Flask")
        assert "OF_TWO" not in client.get("/debug/config").text
    with two.test_client() as client:
        assert "OF_ONE" not in client.get("/debug/config").text


def test_applications_of_one_registry_have_sections_of_their_own(
    app: Flask, client: FlaskClient, registry: expvar.Registry
) -> None:
    other = Flask("mail")
    other.register_blueprint(expvar.blueprint(registry=registry))
    other.config.update(OTHER="x", EXPVAR_SHOW=["*"])

    assert 'OTHER: "x"' in lines(client, "Flask of mail")
    assert "SITE_NAME: hidden # not on the safe list; str, 5 characters" in lines(
        client, "Flask of shop"
    )


def test_pages_do_not_keep_an_application(registry: expvar.Registry) -> None:
    make(registry, GONE=1)
    gc.collect()

    assert [each.name for each in sections(registry)] == [
        "environment",
        "gunicorn",
        "packages",
        "loggers",
    ]


# -- the page ------------------------------------------------------------------------------------


def test_the_twin_has_values_as_json_and_the_rule_of_each_hidden_one(client: FlaskClient) -> None:
    assert rows(client, "flask", "?q=depth")["DEPTH"] == {
        "name": "DEPTH", "value": 3, "kind": "int", "size": "", "hidden": False, "rule": "",
    }  # fmt: skip
    assert rows(client, "flask")["SECRET_KEY"] == {
        "name": "SECRET_KEY", "value": None, "kind": "str", "size": "10 characters",
        "hidden": True, "rule": "key: secret",
    }  # fmt: skip


def test_a_search_finds_names_and_shown_values_and_no_hidden_ones(client: FlaskClient) -> None:
    assert list(rows(client, "flask", "?q=site_")) == ["SITE_NAME"]
    assert list(rows(client, "flask", "?q=books")) == []
    assert client.get("/debug/config?q=s3cr3t").text == "# Config\n"
    assert "SESSION_COOKIE_NAME" in rows(client, "flask", "?q=session")


@pytest.mark.parametrize("query", ["?q=" + "x" * 201, "?worker=x"])
def test_a_bad_parameter_is_refused(client: FlaskClient, query: str) -> None:
    assert client.get("/debug/config" + query).status_code == 400


def test_people_see_what_is_hidden_and_why(app: Flask, client: FlaskClient) -> None:
    app.config["<script>"] = 1
    app.config["TURN\u202e"] = True

    page = client.get("/debug/config", headers=HTML).text

    assert "hidden · 10 characters" in page
    assert "key: secret" in page
    assert "not on the safe list" in page
    assert "EXPVAR_SHOW" in page
    assert "s3cr3t-key" not in page
    assert "Books" not in page
    assert "<script>" not in page
    assert "\u202e" not in page
    assert "style=" not in page
    for name in ("flask", "environment", "packages", "urls"):
        assert f'href="#{name}"' in page
        assert f'id="{name}"' in page


def test_thousands_of_settings_and_rules_make_a_bounded_page_soon(
    app: Flask, client: FlaskClient
) -> None:
    app.config["EXPVAR_SHOW"] = ["LONG_*"]
    app.config.update({f"LONG_{n}": "word " * 1000 for n in range(10_000)})
    for n in range(3000):
        app.add_url_rule(f"/rule{n}/{'x' * 50}", f"rule{n}", lambda: "")
    client.get("/debug/config")  # the packages are looked for

    for headers, url in (
        (HTML, "/debug/config"),
        ({}, "/debug/config"),
        ({}, "/debug/config.json"),
    ):
        began = time.process_time()
        answer = client.get(url, headers=headers)
        assert answer.status_code == 200
        assert len(answer.data) < 2 * 2**20
        # The aim is half a second; a busy machine takes longer.
        assert time.process_time() - began < 1.5
    assert re.search(r"# showing 2000 of 10,?0", client.get("/debug/config").text)


# -- real workers --------------------------------------------------------------------------------

CONFIG = """
app.config["SHARED"] = 7
app.config["ROUND"] = os.getpid()
"""


def joined(server: Gunicorn) -> bool:
    answer = server.get("/debug/config.json", headers=TOKEN).json()
    # A worker answers before the last lines of its module are read.
    (own,) = (
        row.get("workers", {})
        for section in answer["sections"]
        for row in section["items"]
        if row["name"] == "ROUND"
    )
    told = sorted(int(pid) for pid, row in own.items() if row)
    return told == server.worker_pids() and not answer["missing"]


@pytest.mark.parametrize("kind", ["sync", "gevent"])
def test_differences_between_real_workers_are_marked(
    gunicorn: Callable[..., Gunicorn], kind: str
) -> None:
    server = gunicorn(SHOP + CONFIG, "-w", "2", "-k", kind, "-e", "MODE=fast", "--timeout", "50")
    server.wait_until(lambda: joined(server), what="both workers join")
    pids = server.worker_pids()

    found = server.get("/debug/config.json", headers=TOKEN).json()["sections"]

    by_name = {each["name"]: {row["name"]: row for row in each["items"]} for each in found}
    own = by_name["flask"]["ROUND"]["workers"]
    assert {pid: row["value"] for pid, row in own.items()} == {str(pid): pid for pid in pids}
    differing = [row["name"] for each in found for row in each["items"] if "workers" in row]
    assert differing == ["ROUND"]
    assert by_name["gunicorn"]["timeout"]["value"] == 50
    assert by_name["gunicorn"]["worker_class"]["value"] == kind
    assert by_name["gunicorn"]["raw_env"]["hidden"]
    assert by_name["environment"]["MODE"]["hidden"]
    page = server.get("/debug/config", headers={**TOKEN, **HTML}).text
    assert page.count("differs between workers") == 1
