"""Pages: the parameters of a URL, and what one worker asks of another."""

from __future__ import annotations

from typing import Any

import pytest

from flask_expvar import ParameterError, Registry
from flask_expvar.pages.page import Query, answer


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0.25", 0.25), ("250ms", 0.25), ("90us", 9e-5), ("90µs", 9e-5), ("2s", 2.0), ("", None)],
)
def test_a_duration_is_in_seconds_unless_it_says_otherwise(
    text: str, seconds: float | None
) -> None:
    found = Query({"slower": text}).duration("slower")

    assert found == (seconds if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("text", ["-1", "1e3", "nan", "inf", " 1", "1 s", "٣", "1.", ".5", "1m"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ParameterError, match=r"slower=.*250ms"):
        Query({"slower": text}).duration("slower")


@pytest.mark.parametrize(("text", "number"), [("-2", -2), ("-0", 0), ("7", 7), ("", None)])
def test_a_whole_number_may_be_negative(text: str, number: int | None) -> None:
    assert Query({"b": text}).whole("b", -2, 7) == number


@pytest.mark.parametrize("text", ["-3", "8", "--1", "+1", "1.0", "-", "٣", "1_0", "9" * 200])
def test_another_number_is_refused_with_the_range(text: str) -> None:
    with pytest.raises(ParameterError, match="from -2 to 7"):
        Query({"b": text}).whole("b", -2, 7)


def test_a_choice_names_what_it_allows() -> None:
    with pytest.raises(ParameterError, match="status='no'; allowed: ok, error"):
        Query({"status": "no"}).choice("status", "ok", "error")


def test_a_text_has_a_limit_of_its_own() -> None:
    with pytest.raises(ParameterError, match="at most 3"):
        Query({"q": "four"}).text("q", 3)


class Echo:
    """A page that tells what it was asked."""

    name = "echo"

    def collect(self, registry: Registry, query: Query) -> Any:
        return {**query.given, "b": query.whole("b", 0, 7), "sensitive": query.sensitive}


def asked(**request: Any) -> Any:
    pages: Any = {"echo": Echo()}
    return answer(pages, Registry(), {"page": "echo", **request})


def test_a_sibling_is_asked_with_the_same_parameters() -> None:
    assert asked(query={"b": "3"}, sensitive=True) == {"data": {"b": 3, "sensitive": True}}


def test_nobody_asks_for_what_is_sensitive_by_a_parameter() -> None:
    assert asked(query={"sensitive": "1"})["data"]["sensitive"] is False


@pytest.mark.parametrize("query", [{"b": "9"}, {"x": "y" * 1000}])
def test_a_bad_parameter_is_no_answer_to_a_sibling(query: dict[str, str]) -> None:
    assert list(asked(query=query)) == ["error"]
