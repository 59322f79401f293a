"""What fails on a page: it has a box that says so, and all the rest is there."""

from __future__ import annotations

import json
import logging
import os

import pytest
from flask.testing import FlaskClient

import flask_expvar as expvar
from flask_expvar.pages import memory, profile, threads, traces, vars, vars_one
from flask_expvar.pages.overview import all_pages
from flask_expvar.pages.page import answer

TOKEN = "a-token-of-the-tests-0123456789"
OPEN = {"Authorization": f"Bearer {TOKEN}"}
HTML = {**OPEN, "Accept": "text/html"}
SECRET = "postgres://shop:hunter2hunter2@db/shop"
NAMES = [name for name in all_pages() if name != "profile"]  # nobody is asked for that


def fail(*_: object, **__: object) -> None:
    raise RuntimeError(f"cannot reach {SECRET}")


@pytest.mark.parametrize("name", NAMES)
def test_a_worker_whose_part_raises_has_a_box_and_the_page_is_there(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(type(all_pages()[name]), "collect", fail)

    page = client.get(f"/debug/{name}", headers=HTML)

    assert page.status_code == 200
    box = page.text.partition('class="broken"')[2].partition("</section>")[0]
    assert "The part of worker" in box
    assert "RuntimeError: cannot reach" in box
    assert "hunter2" not in page.text
    assert "<h1>" in page.text
    assert f"{os.getpid()} did not answer" not in page.text
    assert page.text.count('aria-current="page"') == 1
    assert "Copy as curl" in page.text
    assert client.get(f"/debug/{name}.json", headers=OPEN).status_code == 200


@pytest.mark.parametrize(
    ("module", "function", "page", "box", "rest"),
    [
        (vars_one, "ask_histories", "vars", "The past", "<b>orders</b>"),
        (vars_one, "ask_histories", "vars?name=shop/orders", "The past", "shop/orders"),
        (vars, "builtins", "vars", "What the runtime publishes", "<b>orders</b>"),
        (traces, "tell_dead", "traces", "Workers that died", "<h1>Traces"),
        (memory, "pauses", "memory", "The collector&#39;s pauses", "Generations"),
        (profile, "known_profiles", "profile", "The list of profiles", "<form"),
        (threads, "stuck", "threads", "Workers that stand still", "MainThread"),
    ],
)
def test_a_section_that_raises_has_a_box_and_the_rest_is_there(
    client: FlaskClient,
    registry: expvar.Registry,
    monkeypatch: pytest.MonkeyPatch,
    module: object,
    function: str,
    page: str,
    box: str,
    rest: str,
) -> None:
    registry.new_int("shop/orders").add(1)
    monkeypatch.setattr(module, function, fail)

    answer = client.get(f"/debug/{page}", headers=HTML)

    assert answer.status_code == 200
    assert f"<b>{box}</b> could not be made" in answer.text
    assert rest in answer.text
    assert "hunter2" not in answer.text


@pytest.mark.parametrize("name", [*NAMES, "profile"])
def test_a_page_that_cannot_be_made_at_all_says_so_inside_the_frame(
    client: FlaskClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    monkeypatch.setattr(type(all_pages()[name]), "html", fail)

    page = client.get(f"/debug/{name}", headers=HTML)

    assert page.status_code == 503
    assert "This could not be made: RuntimeError" in page.text
    assert 'aria-label="Debug pages"' in page.text
    assert "hunter2" not in page.text
    assert any(record.exc_info for record in caplog.records if record.levelno == logging.WARNING)


def test_a_reader_who_may_not_see_messages_is_told_the_class_alone(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(all_pages()["flags"]), "collect", fail)

    assert "RuntimeError</bdi>" in client.get("/debug/flags?sensitive=0", headers=HTML).text


def test_a_sibling_is_told_what_was_raised_here(
    registry: expvar.Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = all_pages()
    monkeypatch.setattr(type(pages["flags"]), "collect", fail)

    told = answer(pages, registry, {"page": "flags", "query": {}, "sensitive": True})

    assert told["failed"].startswith("RuntimeError: cannot reach")
    assert "hunter2" not in json.dumps(told)
