"""The shop itself: products, carts and payments. Nothing here knows of Flask or flask_expvar."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Iterator

PRODUCTS = {
    "apples": 120,
    "bread": 340,
    "coffee": 890,
    "honey": 650,
}

# In the memory of one worker, as caches and pools are in a real app. The oldest are given up.
open_carts: deque[str] = deque(maxlen=100)


class OutOfStockError(Exception):
    """Raised when somebody asks for a product that nobody can have."""


def charge(product: str) -> bool:
    """Ask the bank for the price of *product*; one time in eight it declines."""
    time.sleep(random.uniform(0.005, 0.05))
    return random.random() > 1 / 8


def report_lines() -> Iterator[str]:
    """Yield the sales report line by line; the whole takes about two seconds."""
    for day in range(1, 21):
        time.sleep(0.1)
        yield f"day {day:2}: {random.randint(10, 90)} orders\n"


def restock() -> None:
    """Order more from the supplier, who has closed for good."""
    raise OutOfStockError("the supplier does not answer")
