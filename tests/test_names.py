"""Names, labels, rules and buckets are checked when a variable is declared."""

from __future__ import annotations

from typing import Any

import pytest

from flask_expvar import Registry
from flask_expvar.exceptions import BadKindError, NameTakenError
from flask_expvar.variables import names


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("int", "shop/orders"), ("int", "shop_orders")),
        (("int", "x"), ("map", "x_total")),
        (("float", "x_total"), ("int", "x")),
        (("histogram", "x"), ("int", "x_count")),
        (("int", "x_sum"), ("histogram", "x")),
        (("string", "x"), ("int", "x_info")),
        (("int", "shop/orderStatus"), ("int", "shop/order_status")),
        (("int", "x"), ("float", "x_created")),
    ],
)
def test_names_that_prometheus_cannot_tell_apart_clash(
    first: tuple[str, str], second: tuple[str, str]
) -> None:
    registry = Registry()
    getattr(registry, f"new_{first[0]}")(first[1])

    with pytest.raises(NameTakenError, match="Prometheus cannot tell"):
        getattr(registry, f"new_{second[0]}")(second[1])

    assert list(registry) == [first[1]]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("http/requestCount", "http_request_count"),
        ("shop/HTTPCode200s", "shop_http_code200s"),
        ("a:b%c", "a_b_c"),
        ("smtpOut/sts/mode", "smtp_out_sts_mode"),
    ],
)
def test_prometheus_sees_names_as_its_users_write_them(name: str, expected: str) -> None:
    assert names.mangle(name) == expected


@pytest.mark.parametrize(
    "name", ["process/cpuSeconds", "go_goroutines", "python_info", "expvar/workers"]
)
def test_names_that_figures_of_the_process_have_are_refused(name: str) -> None:
    with pytest.raises(NameTakenError, match="a figure of the process"):
        Registry().new_int(name)


@pytest.mark.parametrize("name", ["cmdline", "Memstats", "process", "PYTHON", "workers"])
def test_names_of_the_runtime_are_taken_whatever_their_case(name: str) -> None:
    with pytest.raises(NameTakenError, match="the runtime"):
        Registry().new_int(name)


@pytest.mark.parametrize(
    "buckets", [(), (1, 1), (2, 1), ("a",), (float("nan"),), (10**400,), None, range(101), (1e999,)]
)
def test_buckets_that_do_not_grow_are_refused(buckets: Any) -> None:
    with pytest.raises(BadKindError, match="buckets"):
        names.check_buckets(buckets)


def test_the_infinite_bucket_need_not_be_named_and_may_be() -> None:
    assert names.check_buckets((1, 2, float("inf"))) == names.check_buckets((1, 2)) == (1.0, 2.0)
