"""``/debug/vars`` as netdata's own Go expvar plugin reads it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from apps import SHOP
from servers import Gunicorn

PLUGIN = Path("/usr/lib/netdata/plugins.d/python.d.plugin")
OPENED = SHOP.replace(
    'app.config["EXPVAR_TOKEN"] = "a-token-of-the-tests-0123456789"',
    'app.config["EXPVAR_ACCESS"] = "loopback"',
)
JOB = """
shop:
  name: shop
  url: "http://127.0.0.1:{port}/debug/vars"
  collect_memstats: true
  extra_charts:
    - id: orders
      options: {{name: orders, title: Orders, units: orders, family: shop, context: shop.o}}
      lines:
        - {{expvar_key: shop/orders, expvar_type: int, id: orders}}
"""


@pytest.mark.netdata
def test_netdata_charts_memory_and_a_counter(
    gunicorn: Callable[..., Gunicorn], need: Callable[[object, str], None], tmp_path: Path
) -> None:
    need(PLUGIN.exists(), "netdata's python.d.plugin")
    server = gunicorn(OPENED, "-w", "2", "-b", "127.0.0.1:0")
    server.get("/")
    (tmp_path / "python.d").mkdir()
    (tmp_path / "python.d.conf").write_text("enabled: yes\ndefault_run: no\ngo_expvar: yes\n")
    port = server.address[1]
    (tmp_path / "python.d" / "go_expvar.conf").write_text(JOB.format(port=port))
    (tmp_path / "lib").mkdir()
    env = {
        **os.environ,
        "NETDATA_USER_CONFIG_DIR": str(tmp_path),
        "NETDATA_STOCK_CONFIG_DIR": "/usr/lib/netdata/conf.d",
        "NETDATA_PLUGINS_DIR": "/usr/lib/netdata/plugins.d",
        "NETDATA_LIB_DIR": str(tmp_path / "lib"),
        "NETDATA_LOCK_DIR": str(tmp_path / "lib"),
        "PYTHONUNBUFFERED": "1",  # it is ended by a signal
    }
    env.pop("PYTHONSAFEPATH", None)
    command = ["timeout", "8", str(PLUGIN), "go_expvar", "debug", "trace"]

    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)

    said = done.stdout + done.stderr
    assert "SET 'memstats_heap_alloc' = " in said, said[-3000:]
    assert "SET 'orders' = 1" in said, said[-3000:]
