"""The dashboard of Grafana is what Grafana's own schema knows, and asks what Prometheus can."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

import flask_expvar as expvar
from flask_expvar.pages.dashboard import MOST, dashboard_of
from flask_expvar.pages.exporter_config import exporter_config_of


@pytest.fixture
def registry() -> expvar.Registry:
    registry = expvar.Registry()
    registry.new_int("shop/orders", 'orders "placed"').add(3)
    registry.new_map("shop/orderStatus", "status").new_map("paid", "by").add("card", 2)
    registry.new_map("shop/waitSeconds", "queue").new_histogram("a").observe(1)
    registry.new_int("shop/sentBytes").add(1)
    registry.new_float("shop/load", multiprocess_mode="max").set(0.5)
    return registry


def expressions(board: Any) -> list[str]:
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]


@pytest.mark.parametrize("names", ["expvar", "otel"])
def test_grafanas_own_models_know_all_of_it(registry: expvar.Registry, names: str) -> None:
    # Generated from Grafana's schema; what it does not know is gone when it is written again.
    models = pytest.importorskip("grafana_foundation_sdk.models.dashboard")
    encoder = pytest.importorskip("grafana_foundation_sdk.cog.encoder")
    plugins = pytest.importorskip("grafana_foundation_sdk.cog.plugins")
    plugins.register_default_plugins()
    board = json.loads(expvar.dashboard(registry, names=names))

    read = models.Dashboard.from_json(board)

    again = json.loads(encoder.JSONEncoder().encode(read))
    assert lost(board, again) == []


def lost(given: Any, again: Any, where: str = "") -> list[str]:
    """Return what is in *given* and not, or otherwise, in *again*."""
    if isinstance(given, dict):
        if not isinstance(again, dict):
            return [where]
        return [
            each
            for key, value in given.items()
            for each in (lost(value, again[key], f"{where}.{key}") if key in again
                         else [f"{where}.{key}"] if value not in ([], "") else [])
        ]  # fmt: skip
    if isinstance(given, list):
        if not isinstance(again, list) or len(given) != len(again):
            return [where]
        pairs = enumerate(zip(given, again))
        return [each for at, (a, b) in pairs for each in lost(a, b, f"{where}[{at}]")]
    return [] if given == again else [where]


@pytest.mark.parametrize("names", ["expvar", "otel"])
def test_prometheus_can_be_asked_what_it_asks(
    registry: expvar.Registry, names: str, need_tool: Callable[[str], str], tmp_path: Path
) -> None:
    promtool = need_tool("promtool")
    rules = []
    for number, asked in enumerate(
        expressions(json.loads(expvar.dashboard(registry, names=names)))
    ):
        for variable, value in (("__rate_interval", "5m"), ("job", ".*"), ("instance", ".*")):
            asked = asked.replace(f"${variable}", value)
        rules.append({"record": f"r{number}", "expr": asked})
    # JSON is YAML.
    text = json.dumps({"groups": [{"name": "asked", "rules": rules}]})
    (tmp_path / "rules.yml").write_text(text)

    done = subprocess.run(
        [promtool, "check", "rules", str(tmp_path / "rules.yml")],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout


def test_each_variable_has_a_panel_with_its_unit(registry: expvar.Registry) -> None:
    board = json.loads(expvar.dashboard(registry, title="Shop"))

    panels = {panel["title"]: panel for panel in board["panels"]}
    assert board["title"] == "Shop"
    asked = panels["shop/orderStatus"]["targets"][0]["expr"]
    assert asked.startswith("sum by (by, status) (rate(shop_order_status_total{")
    assert panels["shop/waitSeconds"]["fieldConfig"]["defaults"]["unit"] == "s"
    assert panels["shop/sentBytes"]["fieldConfig"]["defaults"]["unit"] == "Bps"
    assert panels["shop/orders"]["description"] == 'orders "placed"'


def test_what_a_server_says_makes_the_same_dashboard_and_file(registry: expvar.Registry) -> None:
    registry.new_map("shop/empty", "nothing")
    registry.new_map("http/responseCodeCount", "code").add("200")
    app = Flask("shop")
    app.config["EXPVAR_ACCESS"] = lambda request: True
    app.register_blueprint(expvar.blueprint(registry=registry))
    client = app.test_client()
    metrics = client.get("/debug/metrics.json").json["metrics"]
    variables = client.get("/debug/vars.json?full=1").json["vars"]

    assert dashboard_of(metrics, title="Shop") == expvar.dashboard(registry, title="Shop")
    assert exporter_config_of(metrics, variables) == expvar.exporter_config(registry)


def test_panels_do_not_overlap_and_have_numbers_of_their_own(registry: expvar.Registry) -> None:
    for number in range(MOST + 10):
        registry.new_int(f"many/{number}")

    panels = json.loads(expvar.dashboard(registry))["panels"]

    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert sum(panel["title"].startswith(("many/", "shop/")) for panel in panels) == MOST
