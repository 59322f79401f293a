"""Make a few hundred requests to the running example: ``python3 -m example_app.traffic``."""

from __future__ import annotations

import argparse
import http.client
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

LOOPBACK = ("127.0.0.1", "localhost", "::1")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
# Method, path and how often, out of 100.
MIX = [
    ("POST", "/orders", 45),
    ("GET", "/products", 25),
    ("GET", "/products/honey", 15),
    ("POST", "/carts", 8),
    ("GET", "/products/unicorns", 4),
    ("POST", "/restock", 2),
    ("GET", "/report", 1),
]


def request(host: str, port: int, method: str, path: str) -> str:
    """Make one request and return its status, or what went wrong."""
    client = http.client.HTTPConnection(host, port, timeout=30)
    product = random.choice(["apples", "bread", "coffee", "honey"])
    body = urlencode({"product": product}) if method == "POST" else None
    try:
        client.request(method, path, body, FORM if body else {})
        answer = client.getresponse()
        answer.read()
        return str(answer.status)
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        client.close()


def main() -> None:
    """Make the requests from several threads and print how they ended."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--host", default="127.0.0.1", choices=LOOPBACK)
    options.add_argument("--port", default=8000, type=int)
    options.add_argument("--requests", default=400, type=int)
    options.add_argument("--threads", default=8, type=int)
    given = options.parse_args()

    weights = [weight for _, _, weight in MIX]
    asked = random.choices(MIX, weights, k=min(given.requests, 10_000))
    with ThreadPoolExecutor(min(given.threads, 64)) as pool:
        ends = Counter(
            pool.map(lambda step: request(given.host, given.port, step[0], step[1]), asked)
        )
    for end, count in sorted(ends.items()):
        print(f"{count:6} {end}")
    print(f"Now look at http://{given.host}:{given.port}/debug/vars")


if __name__ == "__main__":
    main()
