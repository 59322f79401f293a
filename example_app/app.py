"""A Flask app with debug pages. The lines that say ``expvar`` are all there is to it."""

from __future__ import annotations

import logging
import time
from typing import Any

from flask import Flask, Response, abort, redirect, render_template, request

import flask_expvar as expvar

from . import shop

app = Flask(__name__)

# Whoever sits at this machine may look. A shop behind a proxy would use EXPVAR_TOKEN instead.
app.config["EXPVAR_ACCESS"] = "loopback"
expvar.Expvar(app)  # the pages under /debug/, and the counting of requests

# What is logged while a request is served is shown in its trace, debug lines as well; they stay
# out of every other log as before.
log = logging.getLogger("shop")
log.addHandler(expvar.TraceHandler())

# Declared once, before any worker is forked; every worker counts into the same totals.
orders = expvar.new_int("shop/orders", "orders placed")
by_status = expvar.new_map("shop/orderStatus", label="status", help="orders by status")
checkout = expvar.new_histogram("shop/checkoutSeconds", "time the bank takes")

expvar.publish("shop/cartsOpen", lambda: len(shop.open_carts))
expvar.publish_build_info("shop", version="1.0.0", source_date=1_795_500_000)


@app.get("/")
def index() -> str:
    """Show what there is to do."""
    return render_template("index.html", products=shop.PRODUCTS)


@app.get("/products")
def products() -> dict[str, int]:
    """List the products with their prices in cents."""
    return shop.PRODUCTS


@app.get("/products/<name>")
def product(name: str) -> dict[str, Any]:
    """Show one product, or 404."""
    if name not in shop.PRODUCTS:
        abort(404, f"no product is called {name}")
    return {"name": name, "cents": shop.PRODUCTS[name]}


@app.post("/carts")
def open_cart() -> Any:
    """Put a product into a cart, for later."""
    shop.open_carts.append(_product_asked_for())
    return _back("put into a cart", 201)


@app.post("/orders")
def place_order() -> Any:
    """Order a product; now and then the bank declines."""
    name = _product_asked_for()
    orders.add()

    started = time.monotonic()
    # A part of the request on the page of traces, and a family of its own.
    with expvar.trace("bank", f"charge for {name}") as trace:
        paid = shop.charge(name)
        trace.log("the bank %s", "agreed" if paid else "declined")
    checkout.observe(time.monotonic() - started)
    log.debug("order of %s: %s", name, "paid" if paid else "declined")

    by_status.add("paid" if paid else "declined")
    return _back("ordered", 201) if paid else _back("the bank declined", 402)


@app.get("/report")
def report() -> Response:
    """Stream the sales report, slowly: the request is in flight until its last line."""
    return Response(shop.report_lines(), mimetype="text/plain")


@app.post("/restock")
def restock() -> Any:
    """Fail with an exception, which ends as a 500 and in ``http/exceptionCount``."""
    shop.restock()
    return _back("restocked", 200)


def _product_asked_for() -> str:
    name = request.form.get("product", "")
    if name not in shop.PRODUCTS:
        abort(400, f"product must be one of {', '.join(shop.PRODUCTS)}, not {name!r}")
    return name


def _back(message: str, status: int) -> Any:
    """Answer a program with *status*, and send a browser back to the first page."""
    if request.accept_mimetypes.best == "text/html":
        return redirect("/")
    return {"message": message}, status
