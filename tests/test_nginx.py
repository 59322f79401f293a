"""Behind a real nginx with a bare proxy_pass the pages stay closed until they are opened."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from apps import SHOP, TOKEN
from servers import Gunicorn, Nginx

CLOSED = SHOP.replace('app.config["EXPVAR_TOKEN"] = "a-token-of-the-tests-0123456789"\n', "")
DEBUG = CLOSED.replace('app = Flask("shop")\n', 'app = Flask("shop")\napp.debug = True\n')


def address(server: Gunicorn) -> str:
    """Return where *server* listens, as proxy_pass wants it."""
    host, port = server.address  # type: ignore[misc]  # bound to a port
    return f"{host}:{port}"


@pytest.mark.parametrize("source", [CLOSED, DEBUG], ids=["plain", "debug mode"])
@pytest.mark.parametrize("path", ["/debug/", "/debug/vars", "/debug/none", "/debug/assets/x.css"])
def test_a_bare_proxy_pass_lets_nobody_in(
    gunicorn: Callable[..., Gunicorn], nginx: Callable[..., Nginx], source: str, path: str
) -> None:
    upstream = gunicorn(source, "-w", "2", "-b", "127.0.0.1:0")
    front = nginx(address(upstream))

    for host in ("app.example.com", "localhost", "127.0.0.1"):
        answer = front.get(path, headers={"Host": host})
        assert answer.status == 403, (host, answer.text)
        assert "EXPVAR" not in answer.text
    assert front.get("/").text == "ok"
    assert upstream.get(path).status == 403
    upstream.wait_for_log("flask_expvar|debug pages|refused|EXPVAR_")


def test_the_token_opens_it_through_the_proxy(
    gunicorn: Callable[..., Gunicorn], nginx: Callable[..., Nginx]
) -> None:
    front = nginx(address(gunicorn(SHOP, "-w", "2", "-b", "127.0.0.1:0")))

    assert front.get("/debug/vars").status == 401
    wrong = {"Authorization": "Bearer wrong-wrong-wrong-wrong"}
    assert front.get("/debug/vars", headers=wrong).status == 401
    assert front.get("/debug/vars", headers=TOKEN).json()["shop/orders"] == 0
