"""TraceHandler: records in traces, below the loggers' levels, and nothing else changed by it."""

from __future__ import annotations

import itertools
import logging
import logging.config
import logging.handlers
import os
import queue
import subprocess
import sys
from collections.abc import Iterator

import pytest

from flask_expvar import TraceHandler, lower_loggers
from flask_expvar.traces.trace import Trace
from flask_expvar.traces.tracer import Tracer

ROOT = logging.getLogger()
numbers = itertools.count(1)


class Kept(logging.Handler):
    """Keeps what any other handler would print."""

    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def texts(self) -> list[str]:
        return [record.getMessage() for record in self.records]


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.fixture
def shop() -> Iterator[logging.Logger]:
    """Return a logger that nobody else has; what is added to it or to the root is undone."""
    top = f"shop{next(numbers)}"
    handlers = list(ROOT.handlers)
    yield logging.getLogger(top)
    mine = [
        ROOT,
        *(logging.getLogger(name) for name in list(ROOT.manager.loggerDict)
          if name.split(".")[0] == top),
    ]  # fmt: skip
    for logger in mine:
        for handler in list(logger.handlers):
            if logger is not ROOT or handler not in handlers:
                logger.removeHandler(handler)
                handler.close()
    lower_loggers()


@pytest.fixture
def trace() -> Iterator[Trace]:
    with Tracer().start("GET /", "/") as trace:
        yield trace


def added(logger: logging.Logger, *handlers: logging.Handler) -> None:
    for handler in handlers:
        logger.addHandler(handler)


def texts(trace: Trace) -> list[str]:
    return [event.text for event in trace.events]


# -- records ---------------------------------------------------------------------------------------


def test_record_made_in_a_trace_is_in_it(shop: logging.Logger, trace: Trace) -> None:
    added(ROOT, TraceHandler())
    logging.getLogger(f"{shop.name}.orders").warning("%d left", 3)

    (event,) = trace.events
    assert (event.kind, event.text) == ("record", f"WARNING {shop.name}.orders: 3 left")


def test_record_made_outside_of_a_trace_is_in_none(shop: logging.Logger) -> None:
    added(shop, TraceHandler())
    with Tracer().start("GET /", "/") as trace:
        pass
    shop.warning("late")

    assert texts(trace) == []


def test_exception_of_a_record_is_its_class_and_place_with_the_message_apart(
    shop: logging.Logger, trace: Trace
) -> None:
    added(shop, TraceHandler())
    try:
        raise ConnectionError("password was 1234")
    except ConnectionError as error:
        line = error.__traceback__.tb_lineno  # type: ignore[union-attr]
        shop.exception("not paid")

    (event,) = trace.events
    here = f"{__file__}:{line} in {sys._getframe().f_code.co_name}"
    assert event.text == f"ERROR {shop.name}: not paid (ConnectionError at {here})"
    assert event.detail == "password was 1234"
    assert trace.failed is None  # it was dealt with


def test_text_is_made_at_once(shop: logging.Logger, trace: Trace) -> None:
    added(shop, TraceHandler())
    basket = ["pear"]
    shop.warning("basket: %s", basket)
    basket.clear()

    assert texts(trace) == [f"WARNING {shop.name}: basket: ['pear']"]


@pytest.mark.parametrize(
    ("message", "args", "text"),
    [
        ("%d of %d", (1,), "%d of %d (with arguments that raise TypeError)"),
        ("%s", (Hostile(),), "%s (with arguments that raise RuntimeError)"),
        (Hostile(), (), "Hostile (with arguments that raise RuntimeError)"),
        ("%(a)s", ({"a": 1},), "1"),
        ("100%", (), "100%"),
    ],
)
def test_record_may_hold_anything(
    shop: logging.Logger,
    trace: Trace,
    capsys: pytest.CaptureFixture[str],
    message: str,
    args: tuple[object, ...],
    text: str,
) -> None:
    shop.propagate = False
    added(shop, TraceHandler(), logging.NullHandler())
    shop.warning(message, *args)

    assert texts(trace) == [f"WARNING {shop.name}: {text}"]
    assert capsys.readouterr().err == ""


def test_record_that_raises_everywhere_is_noted(shop: logging.Logger, trace: Trace) -> None:
    added(shop, TraceHandler(), logging.NullHandler())
    shop.propagate = False
    record = logging.makeLogRecord({"levelno": logging.WARNING, "levelname": Hostile()})
    shop.handle(record)

    assert texts(trace) == ["(a log record that raises RuntimeError)"]


def test_long_record_is_cut(shop: logging.Logger, trace: Trace) -> None:
    added(shop, TraceHandler())
    shop.warning("x" * 1_000_000)

    assert len(texts(trace)[0]) == 4097


def test_record_that_two_handlers_get_is_in_the_trace_once(
    shop: logging.Logger, trace: Trace
) -> None:
    added(shop, TraceHandler())
    added(ROOT, TraceHandler())
    shop.warning("once")
    shop.warning("once")

    assert texts(trace) == [f"WARNING {shop.name}: once"] * 2


def test_filter_of_the_handler_is_asked(shop: logging.Logger, trace: Trace) -> None:
    handler = TraceHandler()
    handler.addFilter(lambda record: "secret" not in record.getMessage())
    added(shop, handler)
    shop.warning("secret")
    shop.warning("public")

    assert texts(trace) == [f"WARNING {shop.name}: public"]


# -- below the level -------------------------------------------------------------------------------


def test_records_below_the_level_are_in_the_trace_and_nowhere_else(
    shop: logging.Logger, trace: Trace
) -> None:
    everywhere = [Kept(), Kept(), Kept()]
    orders = logging.getLogger(f"{shop.name}.orders")
    for logger, handler in zip((ROOT, shop, orders), everywhere, strict=True):
        added(logger, handler)
    added(ROOT, TraceHandler())
    lower_loggers()
    orders.debug("one")
    orders.info("two")
    orders.warning("three")

    name = orders.name
    assert texts(trace) == [f"DEBUG {name}: one", f"INFO {name}: two", f"WARNING {name}: three"]
    assert [handler.texts for handler in everywhere] == [["three"]] * 3
    assert orders.isEnabledFor(logging.DEBUG)


def test_nothing_is_lowered_before_it_is_asked_for(shop: logging.Logger, trace: Trace) -> None:
    added(ROOT, TraceHandler())
    shop.info("one")

    assert texts(trace) == []
    assert ROOT.level == logging.WARNING


def test_level_of_the_handler_says_what_is_wanted(shop: logging.Logger, trace: Trace) -> None:
    added(shop, TraceHandler(logging.INFO))
    lower_loggers()
    shop.debug("one")
    shop.info("two")

    assert texts(trace) == [f"INFO {shop.name}: two"]


def test_handler_without_a_level_gets_everything(shop: logging.Logger, trace: Trace) -> None:
    added(shop, TraceHandler(logging.NOTSET))
    lower_loggers()
    shop.log(1, "one")

    assert texts(trace) == [f"Level 1 {shop.name}: one"]


def test_level_is_never_raised(shop: logging.Logger, trace: Trace) -> None:
    shop.setLevel(5)
    kept = Kept()
    added(shop, TraceHandler(), kept)
    lower_loggers()
    shop.log(5, "fine")

    assert (shop.level, kept.texts, texts(trace)) == (5, ["fine"], [])


def test_logger_below_a_lowered_one_is_not_raised_again(shop: logging.Logger, trace: Trace) -> None:
    orders = logging.getLogger(f"{shop.name}.orders")
    added(orders, TraceHandler(logging.INFO))
    added(shop, TraceHandler())
    lower_loggers()
    orders.debug("one")

    assert texts(trace) == [f"DEBUG {orders.name}: one"]


def test_logger_with_a_level_of_its_own_goes_on_as_before(
    shop: logging.Logger, trace: Trace
) -> None:
    kept = Kept()
    added(ROOT, kept, TraceHandler())
    chatty, quiet = (logging.getLogger(f"{shop.name}.{name}") for name in ("chatty", "quiet"))
    chatty.setLevel(logging.DEBUG)
    quiet.setLevel(logging.ERROR)
    lower_loggers()
    for logger in (chatty, quiet):
        for level in (logging.DEBUG, logging.WARNING, logging.ERROR):
            logger.log(level, "%s", level)

    assert kept.texts == ["10", "30", "40", "40"]
    assert [text.rpartition(" ")[2] for text in texts(trace)] == ["10", "30", "40", "40"]


def test_logger_that_does_not_propagate_goes_on_as_before(
    shop: logging.Logger, trace: Trace
) -> None:
    kept = Kept()
    apart = logging.getLogger(f"{shop.name}.apart")
    apart.propagate = False
    added(apart, kept)
    added(shop, TraceHandler())
    lower_loggers()
    apart.info("one")
    apart.warning("two")

    assert (kept.texts, texts(trace)) == (["two"], [])


def test_handler_added_later_is_seen_to_at_the_next_record(
    shop: logging.Logger, trace: Trace
) -> None:
    added(shop, TraceHandler())
    lower_loggers()
    after = Kept()
    added(shop, after)
    below = Kept()
    orders = logging.getLogger(f"{shop.name}.orders")
    added(orders, below)
    for text in ("one", "two"):
        orders.debug(text)

    assert after.texts == []
    assert below.texts == ["one"]  # which it got first
    assert len(trace.events) == 2


def test_handler_added_later_is_seen_to_outside_of_a_trace(shop: logging.Logger) -> None:
    added(shop, TraceHandler())
    lower_loggers()
    kept = Kept()
    added(shop, kept)
    shop.debug("one")

    assert kept.texts == []


def test_level_that_is_set_afterwards_holds(shop: logging.Logger, trace: Trace) -> None:
    kept = Kept()
    added(shop, kept, TraceHandler())
    lower_loggers()
    shop.setLevel(logging.DEBUG)
    shop.debug("one")
    lower_loggers()
    shop.debug("two")
    shop.setLevel(logging.ERROR)
    shop.warning("three")
    lower_loggers()
    shop.warning("four")

    assert kept.texts == ["one", "two"]
    assert [text[-3:] for text in texts(trace)] == ["one", "two", "our"]


def test_disabled_levels_stay_disabled(shop: logging.Logger, trace: Trace) -> None:
    added(shop, TraceHandler())
    lower_loggers()
    logging.disable(logging.INFO)
    try:
        shop.info("one")
        shop.warning("two")
    finally:
        logging.disable(logging.NOTSET)

    assert texts(trace) == [f"WARNING {shop.name}: two"]


def test_record_of_another_process_is_emitted_whatever_its_level(shop: logging.Logger) -> None:
    kept = Kept()
    added(shop, kept, TraceHandler())
    lower_loggers()
    record = logging.makeLogRecord({"name": shop.name, "levelno": logging.DEBUG, "msg": "far"})
    shop.handle(record)
    record.process = os.getpid() + 1
    shop.handle(record)

    assert kept.texts == ["far"]


def test_filters_of_other_handlers_do_not_see_what_they_did_not_get(shop: logging.Logger) -> None:
    seen: list[str] = []
    kept = Kept()
    kept.addFilter(lambda record: not seen.append(record.getMessage()))
    added(shop, kept, TraceHandler())
    lower_loggers()
    shop.debug("one")
    shop.warning("two")

    assert seen == ["two"]


# -- undone ----------------------------------------------------------------------------------------


def test_close_gives_back_levels_and_removes_filters(shop: logging.Logger) -> None:
    shop.setLevel(logging.ERROR)
    orders = logging.getLogger(f"{shop.name}.orders")
    kept, first, second = Kept(), TraceHandler(), TraceHandler(logging.INFO)
    added(shop, kept, first, second)
    added(orders, first)
    lower_loggers()
    lower_loggers()
    assert (shop.level, len(kept.filters)) == (logging.DEBUG, 1)

    first.close()
    assert (shop.level, len(kept.filters)) == (logging.INFO, 1)
    second.close()
    assert (shop.level, orders.level, kept.filters) == (logging.ERROR, logging.NOTSET, [])
    assert type(shop.level) is int
    assert logging.lastResort is not None
    assert logging.lastResort.filters == []


def test_handler_that_was_removed_first_gives_back_levels_too(shop: logging.Logger) -> None:
    handler = TraceHandler()
    added(shop, handler)
    lower_loggers()
    shop.removeHandler(handler)
    handler.close()

    assert shop.level == logging.NOTSET


# -- others' handlers ------------------------------------------------------------------------------


def test_handler_of_last_resort_prints_as_if_there_were_no_other(
    shop: logging.Logger, trace: Trace, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.propagate = False
    added(shop, TraceHandler(logging.ERROR), TraceHandler(), TraceHandler())
    lower_loggers()
    shop.info("one")
    shop.warning("two")
    shop.error("three")

    assert capsys.readouterr().err == "two\nthree\n"
    assert len(trace.events) == 3


def test_handler_of_last_resort_prints_nothing_that_was_not_made(
    shop: logging.Logger, trace: Trace, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.propagate = False
    shop.setLevel(logging.ERROR)
    apart = logging.getLogger(f"{shop.name}.apart")
    apart.propagate = False
    added(shop, TraceHandler())
    lower_loggers()
    shop.warning("in the trace")
    apart.warning("nowhere")

    assert capsys.readouterr().err == ""
    assert texts(trace) == [f"WARNING {shop.name}: in the trace"]


def test_handler_of_last_resort_is_not_asked_where_there_is_another(
    shop: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.propagate = False
    added(shop, TraceHandler(), Kept(logging.CRITICAL))
    shop.error("one")

    assert capsys.readouterr().err == ""


def test_records_that_go_through_a_queue_are_in_the_trace_once(
    shop: logging.Logger, trace: Trace
) -> None:
    waiting: queue.Queue[logging.LogRecord] = queue.Queue()
    kept = Kept()
    listener = logging.handlers.QueueListener(waiting, kept, TraceHandler())
    shop.propagate = False
    added(shop, logging.handlers.QueueHandler(waiting), TraceHandler())
    lower_loggers()
    listener.start()
    shop.debug("one")
    shop.warning("two %s", "three")
    listener.stop()

    assert kept.texts == ["two three"]
    assert texts(trace) == [f"DEBUG {shop.name}: one", f"WARNING {shop.name}: two three"]


def test_caplog_catches_what_it_caught_before(
    shop: logging.Logger, trace: Trace, caplog: pytest.LogCaptureFixture
) -> None:
    added(ROOT, TraceHandler())
    lower_loggers()
    shop.info("one")
    shop.warning("two")
    with caplog.at_level(logging.INFO):
        shop.debug("three")
        shop.info("four")
    with caplog.at_level(logging.DEBUG, logger=shop.name):
        shop.debug("five")
    shop.info("six")

    assert caplog.messages == ["two", "four", "five"]
    assert [text.split()[-1] for text in texts(trace)] == ["one", "two", "four", "five", "six"]


def test_configuration_names_the_handler_and_may_be_read_again(
    shop: logging.Logger, trace: Trace
) -> None:
    settings = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            "kept": {"()": Kept},
            "trace": {"class": "flask_expvar.TraceHandler", "level": "INFO"},
        },
        "loggers": {shop.name: {"level": "WARNING", "handlers": ["kept", "trace"]}},
    }
    for number in range(2):
        logging.config.dictConfig(settings)
        assert type(shop.level) is int
        shop.info("lost %d", number)
        lower_loggers()
        shop.debug("lost %d", number)
        shop.info("kept %d", number)
        shop.warning("both %d", number)
        kept = shop.handlers[0]
        assert isinstance(kept, Kept)
        assert kept.texts == [f"both {number}"]

    assert [text[-6:] for text in texts(trace)] == ["kept 0", "both 0", "kept 1", "both 1"]


FLASK = """
import logging, sys
import flask, flask_expvar as expvar

app = flask.Flask("shop")
if "first" in sys.argv:
    app.logger
logging.getLogger().addHandler(expvar.TraceHandler())
expvar.lower_loggers()
with expvar.trace("GET /", "/") as trace:
    app.logger.debug("one")
    app.logger.warning("two")
print(*(event.text for event in trace.events), sep="\\n")
"""


@pytest.mark.parametrize(
    ("order", "printed"),
    [("first", "WARNING in <string>: two"), ("last", "two")],
)
def test_logger_of_a_flask_application_prints_warnings_once(order: str, printed: str) -> None:
    command = [sys.executable, "-c", FLASK, order]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert done.stdout.splitlines() == ["DEBUG shop: one", "WARNING shop: two"]
    (line,) = done.stderr.splitlines()
    assert line.endswith(printed)


PLAIN = """
import logging
import flask_expvar as expvar

logging.getLogger().addHandler(expvar.TraceHandler())
expvar.lower_loggers()
log = logging.getLogger("shop")
log.info("one")
log.warning("two")
with expvar.trace("job", "nightly"):
    log.debug("%d", "three")
    log.warning("four")
"""


def test_program_without_any_logging_prints_what_it_printed() -> None:
    command = [sys.executable, "-c", PLAIN]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert (done.stdout, done.stderr, done.returncode) == ("", "two\nfour\n", 0)
