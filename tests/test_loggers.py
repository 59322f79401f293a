"""Levels of loggers, on ``/debug/config``."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

import flask_expvar as expvar
from flask_expvar.traces.logs import lower_loggers

HTML = {"Accept": "text/html"}


class Kept(logging.Handler):
    """Keeps what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    found = logging.getLogger("shop.till")
    logging.getLogger("shop").setLevel(logging.ERROR)
    yield found
    found.setLevel(logging.NOTSET)
    logging.getLogger("shop").setLevel(logging.NOTSET)


@pytest.fixture
def client(logger: logging.Logger) -> Iterator[FlaskClient]:
    app = Flask("loggers")
    app.config.update(EXPVAR_ACCESS=lambda request: expvar.Level.ACT, EXPVAR_ACTIONS=("loggers",))
    expvar.Expvar(app, registry=expvar.Registry())
    with app.test_client() as client:
        yield client


def levels(client: FlaskClient) -> dict[str, str]:
    sections = client.get("/debug/config.json").get_json()["sections"]
    (found,) = [each for each in sections if each["name"] == "loggers"]
    return {each["name"]: each["value"] for each in found["items"]}


def post(client: FlaskClient, **fields: str) -> Any:
    return client.post("/debug/config", data={"action": "loggers", **fields})


def test_each_logger_is_listed_with_its_level_or_the_one_from_above(client: FlaskClient) -> None:
    found = levels(client)

    assert found["shop"] == "ERROR"
    assert found["shop.till"] == "ERROR (from shop)"
    assert found["root"] == logging.getLevelName(logging.root.level)


def test_level_is_set_while_the_program_runs(client: FlaskClient, logger: logging.Logger) -> None:
    told = post(client, logger="shop.till", level="DEBUG").get_json()

    assert next(iter(told["workers"].values())) == {
        "logger": "shop.till",
        "before": "NOTSET",
        "level": "DEBUG",
    }
    assert logger.level == logging.DEBUG
    assert levels(client)["shop.till"] == "DEBUG"


def test_traces_get_what_they_did_and_others_what_the_new_level_says(
    client: FlaskClient, logger: logging.Logger
) -> None:
    kept, traced = Kept(), expvar.TraceHandler()
    logger.addHandler(kept)
    logger.addHandler(traced)
    try:
        lower_loggers()
        post(client, logger="shop.till", level="WARNING")
        logger.info("quiet")
        logger.warning("loud")
        assert logger.isEnabledFor(logging.DEBUG)
        assert levels(client)["shop.till"] == "WARNING"
    finally:
        traced.close()
        logger.removeHandler(traced)
        logger.removeHandler(kept)

    assert kept.said == ["loud"]
    assert logger.level == logging.WARNING


def test_a_logger_that_is_not_there_is_not_made(client: FlaskClient) -> None:
    answer = post(client, logger="shop.cellar", level="DEBUG")

    assert answer.status_code == 404
    assert "shop.cellar" in answer.text
    assert "shop.cellar" not in logging.root.manager.loggerDict


@pytest.mark.parametrize("level", ["", "LOUD", "10"])
def test_a_level_that_is_none_is_refused_with_those_that_are(
    client: FlaskClient, level: str
) -> None:
    answer = post(client, logger="shop.till", level=level)

    assert answer.status_code == 400
    assert "level" in answer.text
    assert "DEBUG" in answer.text


def test_a_setting_has_to_allow_it(client: FlaskClient, logger: logging.Logger) -> None:
    client.application.config["EXPVAR_ACTIONS"] = ()

    refused = post(client, logger="shop.till", level="DEBUG")
    page = client.get("/debug/config", headers=HTML).text

    assert refused.status_code == 403
    assert logger.level == logging.NOTSET
    assert "EXPVAR_ACTIONS does not allow loggers" in page


def test_the_page_has_a_form_for_it(client: FlaskClient) -> None:
    page = client.get("/debug/config", headers=HTML).text

    assert 'name="logger"' in page
    assert "Set the level" in page
