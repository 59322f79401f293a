"""The example shop, as the README runs it: its routes, its figures and its traffic."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from servers import Gunicorn

ROOT = Path(__file__).parent.parent
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Return a folder that holds the example and nothing else: the package is the tests' own."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "example_app", tmp_path / "code" / "example_app", ignore=ignored)
    return tmp_path / "code"


@pytest.fixture
def shop(gunicorn: Callable[..., Gunicorn], code: Path) -> Gunicorn:
    args = ("--workers", "2", "--threads", "4", "--bind", "127.0.0.1:0", "--chdir", str(code))
    return gunicorn("example_app.app:app", *args)


def figures(shop: Gunicorn) -> Any:
    answer = shop.get("/debug/vars")
    assert answer.status == 200, answer.text
    return answer.json()


def settled(shop: Gunicorn) -> Any:
    """Return the figures when the last answer has been counted too."""
    shop.wait_until(lambda: figures(shop)["http/requestsInFlight"] == 0, what="all is answered")
    return figures(shop)


def order(shop: Gunicorn, product: str = "honey", path: str = "/orders") -> int:
    return shop.post(path, f"product={product}", headers=FORM).status


def test_the_shop_counts_what_is_ordered(shop: Gunicorn) -> None:
    ends = Counter(order(shop) for _ in range(20))
    assert order(shop, "unicorns") == 400
    assert order(shop, path="/carts") == 201
    found = settled(shop)

    assert ends.keys() <= {201, 402}
    assert found["shop/orders"] == found["shop/checkoutSeconds"]["count"] == 20
    statuses = found["shop/orderStatus"]
    assert (statuses.get("paid", 0), statuses.get("declined", 0)) == (ends[201], ends[402])
    assert found["shop/cartsOpen"] == 1
    assert found["shop/version"] == "1.0.0"
    assert found["http/requestCount"] == {"POST": 22}


def test_every_link_of_the_shop_leads_somewhere(shop: Gunicorn) -> None:
    index = shop.get("/", headers={"Accept": "text/html"}).text
    links = set(re.findall(r'href="([^"]+)"', index))
    ends = {link: shop.get(link).status for link in links}

    assert ends.pop("/products/unicorns") == 404
    assert set(ends.values()) == {200}
    assert {"/debug/", "/debug/vars", "/report", "/products/honey"} <= ends.keys()
    assert shop.get("/products").json()["honey"] == 650
    assert set(re.findall(r'action="([^"]+)"', index)) == {"/orders", "/carts", "/restock"}


def test_what_goes_wrong_in_the_shop_is_counted_by_its_class(shop: Gunicorn) -> None:
    assert shop.post("/restock").status == 500
    found = settled(shop)

    assert found["http/exceptionCount"] == {"OutOfStockError": 1}
    assert found["http/responseCodeCount"] == {"500": 1}


def test_the_report_is_in_flight_until_its_last_line(shop: Gunicorn) -> None:
    with shop.connect() as reader:
        reader.sendall(b"GET /report HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
        lines = reader.makefile("rb")
        while not lines.readline().startswith(b"day  1:"):
            pass
        assert figures(shop)["http/requestsInFlight"] == 1
        rest = lines.read()
        lines.close()

    assert b"day 20:" in rest
    assert settled(shop)["http/responseCodeCount"] == {"200": 1}


def test_the_traffic_is_what_the_shop_has_counted(shop: Gunicorn, code: Path) -> None:
    _, port = shop.address
    command = [sys.executable, "-m", "example_app.traffic", "--port", str(port)]
    done = subprocess.run(
        [*command, "--requests", "80", "--threads", "4"],
        env={**os.environ, "PYTHONPATH": str(code)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    *ends, last = done.stdout.splitlines()
    printed = {end: int(count) for count, end in map(str.split, ends)}
    found = settled(shop)

    assert sum(printed.values()) == 80
    assert found["http/responseCodeCount"] == printed
    assert found["shop/orders"] == sum(found["shop/orderStatus"].values()) > 0
    assert last == f"Now look at http://127.0.0.1:{port}/debug/vars"
