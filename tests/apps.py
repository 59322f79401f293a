"""Applications for servers in tests, as text that a server imports."""

from __future__ import annotations

#: A small application whose pages a token opens; with what each test of workers needs.
SHOP = '''
import os
import time

from flask import Flask, Response
import flask_expvar as expvar

app = Flask("shop")
app.config["EXPVAR_TOKEN"] = "a-token-of-the-tests-0123456789"
app.register_blueprint(expvar.blueprint())
app.wsgi_app = expvar.ExpvarMiddleware(app.wsgi_app)

orders = expvar.new_int("shop/orders", "orders placed")
by_status = expvar.new_map("shop/orderStatus", label="status", help="orders by status")
where = expvar.new_string("shop/where", "where it runs")
where.set("here")
expvar.publish("shop/pid", os.getpid, "adds up over workers")


@app.get("/")
def index():
    orders.add(1)
    by_status.add("paid")
    return "ok"


@app.get("/pid")
def pid():
    return str(os.getpid())


@app.get("/fail")
def fail():
    raise ValueError("on purpose")


@app.get("/slow")
def slow():
    time.sleep(3600)


@app.get("/stream/<int:count>")
def stream(count):
    return Response(b"x" * 1000 for _ in range(count))


@app.get("/fork")
def fork():
    """Count in a child that never calls exec."""
    child = os.fork()
    if child == 0:
        orders.add(1)
        os._exit(0)
    os.waitpid(child, 0)
    return "forked"
'''

TOKEN = {"Authorization": "Bearer a-token-of-the-tests-0123456789"}
