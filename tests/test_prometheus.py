"""What docs/ has for Prometheus works with a real one that scrapes several machines."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from apps import SHOP, TOKEN
from servers import Gunicorn
from servers.prometheus import Prometheus

DOCS = Path(__file__).parent.parent / "docs"


def config(targets: list[str], folder: Path) -> str:
    """Return the configuration of the docs for three machines here, and a test's patience."""
    (folder / "token").write_text(TOKEN["Authorization"].removeprefix("Bearer "))
    text = (DOCS / "prometheus.yml").read_text()
    text = text.replace("interval: 15s", "interval: 1s").replace("rules.yml", f"{DOCS}/rules.yml")
    text = text.replace("/etc/prometheus/expvar-token", str(folder / "token"))
    for number, target in enumerate(targets, 1):
        text = text.replace(f"shop{number}.example.net:8000", target)
    return text


@pytest.mark.gunicorn
def test_several_machines_are_added_up(
    gunicorn: Callable[..., Gunicorn], need_tool: Callable[[str], str], tmp_path: Path
) -> None:
    binary = need_tool("prometheus")
    machines = [
        gunicorn(SHOP, "-w", "2" if number == 1 else "1", "-b", f"127.0.0.{number}:0")
        for number in (1, 2, 3)
    ]
    for requests, machine in zip((7, 5, 3), machines):
        for _ in range(requests):
            assert machine.get("/").status == 200
    machines[2].get("/nowhere")
    # The counts of a worker outlive it.
    os.kill(int(machines[0].get("/pid").text), signal.SIGKILL)
    targets = ["{}:{}".format(*machine.address) for machine in machines]

    with Prometheus(config(targets, tmp_path), folder=tmp_path / "p", binary=binary) as server:
        codes = "sum by (code) (http_response_code_count_total)"
        expected = {"200": 16.0, "404": 1.0}
        server.wait_until(lambda: server.query(codes, "code") == expected, what=codes)

        # A scrape that takes longer than a second fails here, and the next one does not.
        up, all_up = 'up{job="shop"}', dict.fromkeys(targets, 1.0)
        server.wait_until(lambda: server.query(up, "instance") == all_up, what=up)
        orders = "sum(shop_orders_total)"
        server.wait_until(lambda: server.query(orders, "") == {"": 15.0}, what=orders)
        one = server.query("count by (instance) (process_cpu_seconds_total)", "instance")
        assert one.keys() <= set(targets)
        now = time.time()
        asked = f"query_exemplars?query=http_request_seconds_bucket&start={now - 60}&end={now + 60}"
        found = server.wait_until(lambda: server.ask(asked), what="exemplars")
        assert all(len(e["labels"]["trace_id"]) == 32 for s in found for e in s["exemplars"])
        assert {each["seriesLabels"]["route"] for each in found} >= {"/"}
        (group,) = server.ask("rules")["groups"]
        problems = {rule["name"]: rule.get("lastError") for rule in group["rules"]}
        assert set(problems.values()) <= {None, ""}, problems


def test_the_rules_do_as_their_tests_say(need_tool: Callable[[str], str]) -> None:
    promtool = need_tool("promtool")

    done = subprocess.run(
        [promtool, "test", "rules", str(DOCS / "rules_test.yml")],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
