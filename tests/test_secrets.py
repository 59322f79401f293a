"""A corpus of secrets, put wherever a program can put one, comes out of no page in any form."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from planted import NAMED, PLANTED

import flask_expvar as expvar
from flask_expvar.pages.overview import all_pages
from flask_expvar.pages.page import Query
from flask_expvar.redaction import redact_text
from flask_expvar.redaction_argv import redact_argv
from flask_expvar.sources.values import shown

SECRETS = [secret for _, secret in [*PLANTED, *NAMED]]
BROWSER, PROGRAM = {"Accept": "text/html"}, {"Accept": "*/*"}


def out(text: str) -> list[str]:
    """Return the secrets that are in *text*, as they are or as JSON and HTML write them."""
    plain = text.replace("&#39;", "'").replace("&#34;", '"').replace("&amp;", "&")
    return [secret for secret in SECRETS if secret in plain or json.dumps(secret)[1:-1] in plain]


def test_the_corpus_is_large_and_each_secret_is_another_one() -> None:
    assert len(PLANTED) >= 60
    assert len(set(SECRETS)) == len(SECRETS)
    assert out("\n".join(text for text, _ in PLANTED)) == [secret for _, secret in PLANTED]


@pytest.mark.parametrize(("text", "secret"), PLANTED)
def test_secret_is_hidden_in_a_text_in_an_argument_and_in_a_value(text: str, secret: str) -> None:
    assert secret not in redact_text(text)
    assert secret not in redact_text(f"before {text} after {text}")
    assert secret not in redact_argv(["app", "--say", text])[2]
    assert secret not in shown("say", text)
    assert secret not in shown("say", [text, {"a": (text,)}])


# -- everything at once --------------------------------------------------------------------------


@pytest.fixture
def level() -> list[expvar.Level]:
    return [expvar.Level.ACT]


@pytest.fixture
def registry() -> expvar.Registry:
    return expvar.Registry()


@pytest.fixture
def app(
    registry: expvar.Registry, level: list[expvar.Level], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Flask]:
    """Return an application with each secret in everything that a page shows."""
    app = Flask("shop")
    app.config["EXPVAR_ACCESS"] = lambda request: level[0]
    app.config["EXPVAR_SHOW"] = ["SAY_*"]
    app.config.update(NAMED)
    monkeypatch.setattr(sys, "orig_argv", ["python", "app.py", *_argv()])
    for number, (text, _) in enumerate(PLANTED):
        app.config[f"SAY_{number}"] = text
        app.config[f"SAY_MANY_{number}"] = [text, {"x": text}]
        app.config[f"OTHER_{number}"] = text
        monkeypatch.setenv(f"SAY_{number}", text)
        monkeypatch.setenv(f"OTHER_{number}", text)
    for name, secret in NAMED:
        monkeypatch.setenv(name, secret)
    expvar.Expvar(app, registry=registry)
    held = list(_logs(registry))
    _variables(registry)
    _traces(registry)
    yield app
    del held


def _argv() -> list[str]:
    said = [word for text, _ in PLANTED for word in ("--say", text)]
    return [*said, *(word for name, secret in NAMED for word in (f"--{name}", secret))]


def _variables(registry: expvar.Registry) -> None:
    for number, (text, _) in enumerate(PLANTED):
        registry.new_string(f"say/{number}", text).set(text)
        registry.publish(f"func/{number}", lambda text=text: {"say": text, "many": [text]})
        registry.publish(f"fails/{number}", lambda text=text: int(text))
    for name, secret in NAMED:
        registry.new_string(f"named/{name}").set(secret)
        registry.publish(f"inside/{name}", lambda name=name, secret=secret: {name: secret})
    registry.publish("argv", _argv)


def _logs(registry: expvar.Registry) -> Iterator[Any]:
    for number, (text, _) in enumerate(PLANTED):
        log = expvar.event_log(f"log {number % 5}", text, registry=registry)
        log.log("%s", text)
        log.error(ValueError(text))
        yield log
    for text, _ in PLANTED[:20]:
        yield expvar.event_log(text, "as a family", registry=registry)


def _traces(registry: expvar.Registry) -> None:
    handler = expvar.TraceHandler()
    logger = logging.Logger("shop")
    logger.addHandler(handler)
    for number, (text, _) in enumerate(PLANTED):
        # Of one family a few are kept: many families keep them all.
        with suppress(ValueError), expvar.trace(f"t{number}", text, registry=registry) as trace:
            trace.log("%s", text)
            trace.error("%s", text)
            logger.warning("%s", text)
            trace.child("child", text).finish()
            raise ValueError(text)
    for text, _ in PLANTED[:20]:
        with expvar.trace(text, "as a family", registry=registry):
            pass
    for name, secret in NAMED:
        with expvar.trace("named", f"{name}={secret}", registry=registry) as trace:
            trace.log("%s=%s", name, secret)


@pytest.fixture
def client(app: Flask, registry: expvar.Registry) -> Iterator[FlaskClient]:
    values: dict[str, Any] = dict(NAMED)
    for number, (text, _) in enumerate(PLANTED):
        values |= {f"say{number}": text, f"many{number}": [text], f"map{number}": {"x": text}}
    values["argv"] = _argv()
    expvar.register_flags(values, argv=[], registry=registry)
    with app.test_client() as client:
        yield client


def _addresses(client: FlaskClient) -> Iterator[str]:
    yield "profile?seconds=50ms&format=json"
    for name in all_pages().keys() - {"profile"}:
        for end in ("", ".json"):
            for query in ("", "?full=1", "?q=s", "?q=hidden", "?limit=50"):
                yield f"{name}{end}{query}"
    for number in range(len(PLANTED)):
        yield f"traces?fam=t{number}"
        listed = client.get(f"/debug/traces?fam=t{number}", headers=PROGRAM).json
        yield from (f"traces?trace={each['id']}" for each in listed["traces"])
    yield "traces?fam=named"
    for number in range(5):
        yield f"events?fam=log%20{number}&exp=1"
        listed = client.get(f"/debug/events?fam=log%20{number}", headers=PROGRAM).json
        yield from (f"events?id={each['id']}" for each in listed["logs"])


@pytest.mark.parametrize("who", [expvar.Level.READ, expvar.Level.ACT])
def test_no_planted_secret_comes_out_of_any_page_in_any_form(
    client: FlaskClient, level: list[expvar.Level], who: expvar.Level
) -> None:
    level[0] = who
    asked, leaks = 0, {}
    for address in _addresses(client):
        for headers in (PROGRAM, BROWSER):
            answer = client.get(f"/debug/{address}", headers=headers)
            assert answer.status_code in (200, 400), address
            asked += answer.status_code == 200
            if found := out(answer.text):
                leaks[address] = found

    assert leaks == {}
    assert asked > 300


def test_no_planted_secret_leaves_a_worker_for_another(
    client: FlaskClient, registry: expvar.Registry
) -> None:
    for name, page in all_pages().items():
        told = page.collect(registry, Query({}, sensitive=True))
        assert out(json.dumps(told)) == [], name


def test_each_planted_text_has_its_place_on_the_pages(client: FlaskClient) -> None:
    flags = client.get("/debug/flags", headers=PROGRAM).text
    config = client.get("/debug/config", headers=PROGRAM).text
    variables = client.get("/debug/vars", headers=PROGRAM).json

    for number in range(len(PLANTED)):
        assert f"-say{number}=" in flags
        assert config.count(f"SAY_{number}: ") == 2  # Flask and the environment
        assert "hidden" in variables[f"say/{number}"]
        assert "hidden" in variables[f"func/{number}"]["say"]
