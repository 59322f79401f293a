"""prometheus-expvar-exporter: its file gives the same series here, and our page never kills it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from expvar_exporter import scrape
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

import flask_expvar as expvar
from flask_expvar.exceptions import BadNameError, NameTakenError, SettingError
from flask_expvar.pages.page import scene
from flask_expvar.pages.vars import Vars
from flask_expvar.sources.exporter_config import read_renames

SEED = Path(__file__).parent / "seed-exporter.toml"
TEXT = SEED.read_text()
EXPVAR = re.compile(
    r'm\.(\w+)\.expvar ?= ?"(.*)"\n(?:m\.\1\.help ?= ?"(.*)"\n)(?:.*label_name ?= ?"(.*)")?'
)


def served(registry: expvar.Registry, config: Path) -> Any:
    app = Flask("shop")
    app.config["EXPVAR_ACCESS"] = lambda request: True
    app.config["EXPVAR_EXPORTER_CONFIG"] = str(config)
    app.register_blueprint(expvar.blueprint(registry=registry))
    return app.test_client()


def native(text: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the untyped series of our page, and their helps."""
    found = [each for each in text_string_to_metric_families(text) if each.type == "unknown"]
    series = {
        family.name: {tuple(each.labels.items()): each.value for each in family.samples}
        for family in found
    }
    return series, {family.name: family.documentation for family in found}


def chasquid() -> expvar.Registry:
    """Return what the seed's document says that chasquid exports."""
    registry = expvar.Registry()
    for number, (_, name, _, label) in enumerate(EXPVAR.findall(TEXT)):
        if label:
            registry.new_map(name).add("a:b", number)
            registry.new_map(name).add('"\\x41', 1.5)
        else:
            registry.new_int(name).add(number)
    expvar.publish_build_info("chasquid", "1.4", 86400, registry=registry)
    return registry


def test_the_seeds_file_gives_the_series_that_the_exporter_makes_of_it() -> None:
    client = served(chasquid(), SEED)
    series, helps = scrape(client.get("/debug/vars").text, TEXT)
    named = {name for name, *_ in EXPVAR.findall(TEXT)}
    assert len(named) == 27

    found, told = native(client.get("/debug/metrics").text)

    assert found == {name: each for name, each in series.items() if name in named}
    assert told == {name: help for name, help in helps.items() if name in named}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nonsense", "TOML"),
        ('[a]\nurl = "x"\nm.b.help = "c"', "has no expvar"),
        ('[a]\nurl = "x"\nm."b-c".expvar = "c"', "no name of a metric"),
        ('[a]\nurl = "x"\nm.b.expvar = "c"\nm.b.label_name = "d e"', "label_name"),
        ('[a]\nurl = "x"\nm.b = 3', "is no table"),
    ],
)
def test_what_would_kill_the_exporter_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "exporter.toml").write_text(text)

    with pytest.raises(SettingError, match=problem) as raised:
        served(expvar.Registry(), tmp_path / "exporter.toml")

    assert "exporter.toml" in str(raised.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="No such file"):
        read_renames(str(tmp_path / "none.toml"))


def test_sections_without_an_address_are_no_targets(tmp_path: Path) -> None:
    (tmp_path / "e.toml").write_text(
        '[a]\nm.b.expvar = "c"\n["d.e"]\nurl = "x"\nm.f.expvar = "g"\n'
    )

    assert [each.name for each in read_renames(str(tmp_path / "e.toml"))] == ["f"]


NAMES = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=12)
KEYS = st.text(max_size=8) | st.sampled_from(["\\x41", "\\\\xzz", '"', "\n", "\ud800", ""])
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats() | st.booleans()


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, KEYS, NUMBERS, KEYS), max_size=8))
def test_nothing_on_our_page_kills_the_exporter(made: list[Any]) -> None:
    registry = expvar.Registry()
    for at, (name, key, number, text) in enumerate(made):
        try:
            if at % 4 == 0:
                registry.new_map(name, "key", text).add(key, number)
            elif at % 4 == 1:
                registry.new_float(name, text).set(number)
            elif at % 4 == 2:
                registry.publish(name, lambda key=key, number=number: {key: number})
            else:
                registry.new_string(name, text).set(text)
                registry.new_map(f"{name}/more").new_histogram(key).observe(1)
        except (BadNameError, NameTakenError):
            continue
    text, vars_page = expvar.exporter_config(registry), Vars()

    series, _ = scrape(vars_page.machine(scene(vars_page, registry, {}), False)[0], text)

    assert all(name.isascii() for name in series)


def test_the_written_file_gives_the_series_of_our_page() -> None:
    registry = expvar.Registry()
    registry.new_int("shop/orders", 'orders "placed"\\').add(3)
    registry.new_map("shop/orderStatus", "status", "by status\x7f").add("paid", 2)
    registry.new_map("shop/times", "route").new_histogram("/x").observe(1)
    registry.new_float("shop/load", multiprocess_mode="max").set(0.5)
    text = expvar.exporter_config(registry, url="http://127.0.0.1:8000/debug/vars", listen=":1")

    series, helps = scrape(served(registry, SEED).get("/debug/vars").text, text)

    assert series["shop_orders_total"] == {(): 3}
    assert series["shop_order_status_total"] == {(("status", "paid"),): 2}
    assert series["shop_load"] == {(): 0.5}
    assert helps["shop_orders_total"] == 'orders "placed"\\'
    assert "# shop/times has more than numbers in it" in text
