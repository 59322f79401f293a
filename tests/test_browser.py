"""The pages in a real Chromium: readable by everybody, quiet in its console, alive and steady.

Run by one environment of tox, py312, where they may not be missing in CI: once is enough, since
no line of Python in them depends on the interpreter.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest
from servers import Gunicorn

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

#: A program that has something to show on every page; with TALISMAN its own security headers.
APP = """
import os
from flask import Flask, abort
import flask_expvar as expvar

app = Flask("shop")
app.config["EXPVAR_ACCESS"] = "loopback"
if os.environ.get("TALISMAN"):
    from flask_talisman import Talisman
    Talisman(app, force_https=False, session_cookie_secure=False)
expvar.Expvar(app)

orders = expvar.new_int("shop/orders", "orders placed")
by_status = expvar.new_map("shop/orderStatus", label="status", help="orders by status")
checkout = expvar.new_histogram("shop/checkoutSeconds", "time the bank takes")
wide = expvar.new_map("shop/wide")
for number in range(40):
    wide.add(f"key {number}", number)
log = expvar.event_log("pool", "db1:5432")
log.error("connection lost")
expvar.register_queue(
    "mails", lambda limit, offset: ([expvar.QueueItem("1", summary="<b>a mail</b>")], 1)
)
expvar.register_page("stock", "Stock", lambda: {"honey": 3, "rows": [{"a": 1, "b": "<i>"}]})


@app.get("/")
def index():
    orders.add(1)
    by_status.add("paid")
    checkout.observe(0.2)
    with expvar.trace("bank", "charge"):
        expvar.current_trace().log("asking")
    return "ok"


@app.get("/fail")
def fail():
    raise ValueError("on purpose <script>alert(1)</script>")
"""

PAGES = [
    "", "vars", "vars?q=shop/checkout", "vars?q=none", "vars?under=shop/&nonzero=1&since=now",
    "vars?name=shop/orderStatus", "vars?name=shop/checkoutSeconds", "vars?name=none",
    "traces", "traces?fam=GET%20/", "traces?fam=GET%20/&b=0&all=0",
    "traces?fam=bank&lat=1", "events", "events?fam=pool", "threads", "queue", "flags", "config",
    "stock", "nothing", "vars?limit=x",
]  # fmt: skip


#: What axe looks for in each theme: a dark page differs in its colours alone.
THEMES = {
    "light": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"],
    "dark": ["color-contrast"],
}
AXE = """async rules => {
    const {violations} = await axe.run(document, {runOnly: rules, resultTypes: ["violations"]});
    return violations.map(({id, nodes}) => [id, nodes.slice(0, 3).map(node => node.html)]);
}"""


def _missing() -> str:
    for module in ("playwright", "axe_playwright_python", "flask_talisman"):
        if importlib.util.find_spec(module) is None:
            return module
    return "" if shutil.which("chromium") else "chromium"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    missing = _missing()
    if missing and os.environ.get("CI") == "true" and os.environ.get("TOX_ENV_NAME") == "py312":
        pytest.fail(f"{missing} is missing", pytrace=False)
    if missing:
        pytest.skip(f"{missing} is missing; tox runs these tests in py312")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # As root, which CI is, Chromium has no sandbox.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        path = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


def _serve(folder: Any, **env: str) -> Gunicorn:
    options = ("--workers", "2", "--threads", "4", "--bind", "127.0.0.1:0")
    server = Gunicorn(APP, *options, folder=folder, env=env)
    for _ in range(5):
        server.get("/")
    server.get("/fail")
    return server


@pytest.fixture(scope="module")
def server(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    with ExitStack() as stack:
        yield stack.enter_context(_serve(tmp_path_factory.mktemp("server")))  # type: ignore[arg-type]


def at(server: Gunicorn, page: str) -> str:
    assert isinstance(server.address, tuple)
    return f"http://127.0.0.1:{server.address[1]}/debug/{page}"


@contextmanager
def tab(browser: Browser, **how: Any) -> Iterator[Page]:
    """Yield a page of a context of its own."""
    context = browser.new_context(**how)
    try:
        yield context.new_page()
    finally:
        context.close()


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(
    browser: Browser, server: Gunicorn, width: int
) -> None:
    source = (resources.files("axe_playwright_python") / "axe.min.js").read_text()
    found: dict[str, Any] = {}
    with tab(browser, viewport={"width": width, "height": 900}) as page:
        # Between the two the layout is one of theirs: a few pages tell.
        for name in PAGES if width != 768 else PAGES[:6]:
            page.emulate_media(color_scheme="light")
            page.goto(at(server, name))
            # Not a script element: the policy would not let it in.
            page.evaluate(source)
            for theme, rules in THEMES.items():
                page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
                violations = page.evaluate(AXE, rules)
                if violations:
                    found[f"{name} {theme}"] = violations
            if page.evaluate("document.documentElement.scrollWidth") > width:
                found[f"{name} is too wide"] = True
    assert found == {}


@pytest.mark.parametrize("talisman", ["", "1"])
def test_no_page_breaks_the_policy_or_complains_in_the_console(
    browser: Browser, tmp_path: Any, talisman: str
) -> None:
    said: list[str] = []
    with _serve(tmp_path / "gunicorn", TALISMAN=talisman) as server, tab(browser) as page:  # type: ignore[attr-defined]
        page.on("console", lambda message: said.append(f"{page.url}: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"{page.url}: {error}"))
        for name in PAGES:
            answer = page.goto(at(server, name))
            assert answer is not None
            expected = {"nothing": 404, "vars?name=none": 404, "vars?limit=x": 400}.get(name, 200)
            assert answer.status == expected, name
            assert page.locator("nav[aria-label='Debug pages']").count() == 1
    # Chromium itself says of an error page that it is one.
    assert [line for line in said if "the server responded with a status of" not in line] == []


def test_without_script_every_page_says_the_same(browser: Browser, server: Gunicorn) -> None:
    def texts(page: Page) -> dict[str, str]:
        found = {}
        for name in ("vars?q=shop/", "traces?fam=bank", "events", "queue", "flags", "stock"):
            page.goto(at(server, name))
            # Rates are those of the moment.
            found[name] = re.sub(r"[\d.]+/s", "…/s", page.locator("main").inner_text())
        return found

    with tab(browser) as page, tab(browser, java_script_enabled=False) as plain:
        assert texts(page) == texts(plain)


@contextmanager
def refreshed(
    browser: Browser, server: Gunicorn, name: str
) -> Iterator[tuple[Page, Callable[[], None]]]:
    """Yield a page that refreshes, and what makes it do so once more."""
    with tab(browser) as page:
        page.clock.install()
        page.goto(at(server, name))

        def again() -> None:
            with page.expect_response(lambda answer: "/debug/" in answer.url):
                page.clock.run_for(2000)
            page.wait_for_function("document.querySelector('.live') !== null")

        yield page, again


STATE = """() => ({
    focus: document.activeElement.id || document.activeElement.textContent.trim().slice(0, 20),
    selected: getSelection().toString(),
    scrolled: [scrollY, document.querySelector("#table-memory .scroll").scrollTop],
    open: [...document.querySelectorAll("details[open]")].length,
})"""


def test_focus_selection_scroll_and_open_details_survive_twenty_refreshes(
    browser: Browser, server: Gunicorn
) -> None:
    # A chart that comes moves what is below it, and a worker takes a row once a second.
    def drawn() -> bool:
        server.get("/")
        text = server.get("/debug/?span=1m", headers={"Accept": "text/html"}).text
        return all(f"table-{name}" in text for name in ("memory", "cpu", "latency", "heat"))

    server.wait_until(drawn)
    with refreshed(browser, server, "?refresh=2&span=1m") as (page, again):
        page.evaluate("""() => {
            document.querySelector("#table-memory").open = true;
            const region = document.querySelector("#table-memory .scroll");
            region.scrollTop = 5;
            const heading = document.querySelector("h1").firstChild;
            getSelection().setBaseAndExtent(heading, 1, heading, 5);
            document.querySelector("footer .live a").focus({preventScroll: true});
            scrollTo(0, 300);
        }""")
        page.wait_for_function("scrollY === 300")
        before = page.evaluate(STATE)
        assert (before["selected"], before["scrolled"][0]) == ("verv", 300)
        figure = page.locator(".tiles .note").first
        first = figure.inner_text()

        for _ in range(20):
            server.get("/")
            again()

        assert page.evaluate(STATE) | {"scrolled": before["scrolled"]} == before
        assert page.evaluate("scrollY") == 300
        page.wait_for_function(
            "text => document.querySelector('.tiles .note').innerText !== text", arg=first
        )
        assert page.locator("#banner").is_hidden()


def test_what_is_open_or_has_the_focus_moves_with_its_row(
    browser: Browser, server: Gunicorn
) -> None:
    rows = "table.traces > tbody > tr"
    with refreshed(browser, server, "traces?fam=GET%20/&refresh=2") as (page, again):
        own = page.locator(f"{rows}:first-child td.wide > a").get_attribute("href")
        row = page.locator(rows).filter(has=page.locator(f'a[href="{own}"]'))
        was = row.locator("details").evaluate("each => (each.open = !each.open)")
        row.locator("summary").focus()
        server.get("/")
        again()
        page.wait_for_function(
            "link => !document.querySelector('td.wide > a').href.endsWith(link)", arg=own
        )
        assert row.locator("details").evaluate("each => each.open") == was
        assert row.locator("summary").evaluate("each => each === document.activeElement")


def test_nobody_is_asked_while_the_tab_is_hidden_or_somebody_types(
    browser: Browser, server: Gunicorn
) -> None:
    with refreshed(browser, server, "vars?refresh=2") as (page, again):
        again()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.locator("#q").focus()
        page.clock.run_for(60_000)
        assert asked == []

        page.locator("#q").blur()
        page.evaluate("""() => {
            Object.defineProperty(document, "hidden", {get: () => window.away, configurable: true});
            window.away = true;
            document.dispatchEvent(new Event("visibilitychange"));
        }""")
        page.clock.run_for(600_000)
        assert asked == []

        with page.expect_response(lambda answer: "/debug/" in answer.url):
            page.evaluate("""() => {
                window.away = false;
                document.dispatchEvent(new Event("visibilitychange"));
            }""")
            page.clock.run_for(300)


def test_a_tab_that_is_left_alone_asks_every_other_minute_until_somebody_is_back(
    browser: Browser, server: Gunicorn
) -> None:
    with refreshed(browser, server, "vars?q=shop&refresh=2") as (page, again):
        again()
        with page.expect_response(lambda answer: "/debug/" in answer.url):
            page.clock.fast_forward(301_000)
        # Not wait_for_function: what it has to wait for it evaluates, which the policy refuses.
        page.locator(".status", has_text="every other minute").wait_for()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.clock.run_for(110_000)
        assert asked == []
        with page.expect_response(lambda answer: "/debug/" in answer.url):
            page.clock.run_for(15_000)

        with page.expect_response(lambda answer: "/debug/" in answer.url):
            page.mouse.move(100, 100)
            page.clock.run_for(300)
        again()


def test_a_banner_tells_that_the_server_is_gone(browser: Browser, tmp_path: Any) -> None:
    server = _serve(tmp_path / "gunicorn")
    try:
        with refreshed(browser, server, "?refresh=2") as (page, again):
            again()
            assert page.locator("#banner").is_hidden()
            server.stop()
            page.clock.run_for(2500)
            page.locator("#banner").wait_for(state="visible")
            assert "No answer since" in page.locator("#banner").inner_text()
    finally:
        server.stop()


def test_a_chart_to_zoom_into_stays_where_it_is_over_a_refresh(
    browser: Browser, server: Gunicorn
) -> None:
    with refreshed(browser, server, "vars?name=shop/orders&span=1m&refresh=2") as (page, again):
        page.locator(".uplot canvas").evaluate("canvas => { canvas.dataset.mark = 'same'; }")
        again()
        page.locator(".uplot canvas[data-mark=same]").wait_for()
        assert page.locator(".uplot").count() == 1


def test_times_of_day_are_the_servers_wherever_the_browser_is(
    browser: Browser, server: Gunicorn
) -> None:
    with tab(browser, timezone_id="Asia/Kolkata") as page:
        page.goto(at(server, "vars?name=shop/orders&refresh=2"))
        first = page.locator("figure .plot > text").first.text_content()
        page.locator(".u-over").hover(position={"x": 0, "y": 50})
        legend = page.locator(".u-legend .u-value").first
        assert legend.text_content() == first
        page.locator(".status", has_text="updated").wait_for()
        made = page.locator("footer .made").inner_text()
        said = page.locator(".status").inner_text()
    assert said.removeprefix("updated ")[:5] in made


def test_keys_lead_to_the_search_and_pause(browser: Browser, server: Gunicorn) -> None:
    with refreshed(browser, server, "vars?refresh=2") as (page, again):
        again()
        page.keyboard.press("p")
        assert "paused" in page.locator(".status").inner_text()
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") == "q"
        page.keyboard.press("Escape")
        page.goto(at(server, "vars"))
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
