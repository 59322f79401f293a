"""The Flask front: submit mail, look it up, cancel it; and the debug pages (``expvar``)."""

from __future__ import annotations

import logging
from email.message import EmailMessage
from typing import Any

from flask import Flask, abort, redirect, render_template, request

import flask_expvar as expvar

from .envelope import Recipient, is_address
from .gate import Refusal
from .relay import Relay


def create_app() -> Flask:
    """Return the application with its debug pages; :func:`add_relay` does the rest.

    It comes before the relay, which counts as soon as it runs: only from here on does this worker
    count into what all workers share, and what it had counted before would go with it if it died.
    """
    app = Flask("example_app")

    # Whoever sits at this machine may look. A relay behind a proxy would use EXPVAR_TOKEN instead.
    # A listener of its own, as chasquid's monitoring_address, would be named here as well.
    app.config["EXPVAR_ACCESS"] = "loopback"
    # Nothing of the relay's environment is secret: it may be shown.
    app.config["EXPVAR_SHOW"] = ("RELAY_*",)
    expvar.Expvar(app)  # the pages under /debug/, and the counting of requests
    # Counting itself is in counters.py, and where the counters are used.

    # What the relay logs while it works on something is shown in the trace of that.
    log = logging.getLogger("relay")
    if not log.handlers:
        log.addHandler(expvar.TraceHandler())
    return app


def add_relay(app: Flask, relay: Relay) -> None:
    """Let *app* show *relay*, and take mail for it."""
    # All workers share the queue, so one of them is asked.
    expvar.register_queue("mail", relay.queue.page, shared=True)
    expvar.register_flags(relay.settings)
    expvar.register_page("domains", "Domains", relay.levels.page, about="their security levels")

    @app.get("/")
    def index() -> str:
        return render_template("index.html", settings=relay.settings)

    @app.post("/messages")
    def submit() -> Any:
        """Take a message, as a form or as JSON: ``from``, ``to``, ``subject``, ``text``.

        SPF and security levels are about servers that bring mail from elsewhere: what somebody
        at this machine submits is as that of a user who has logged in, and asks neither.
        """
        given = _fields()
        try:
            recipients = _resolved(relay, given["to"])
            id = relay.gate.take("from HTTP", given["from"], recipients, _message(given))
        except Refusal as error:
            expvar.current_trace().error(error)
            abort(422 if str(error).startswith("5") else 503, str(error))
        if request.accept_mimetypes.best == "text/html":
            return redirect(f"/messages/{id}")
        return {"id": id}, 202, {"Location": f"/messages/{id}"}

    @app.get("/messages/<id>")
    def look_up(id: str) -> Any:
        """Tell what became of a message; for a while also of one that is done."""
        return relay.queue.find(id) or abort(404, f"no message has the id {id}")

    @app.delete("/messages/<id>")
    def cancel(id: str) -> Any:
        """Remove a message that has not been delivered."""
        found = relay.queue.find(id) or abort(404, f"no message has the id {id}")
        if not relay.queue.cancel(id):
            abort(409, "it is done" if found["done"] else "it is being sent just now, try again")
        return {"cancelled": id}

    @app.errorhandler(400)
    @app.errorhandler(404)
    @app.errorhandler(409)
    @app.errorhandler(422)
    @app.errorhandler(503)
    def problem(error: Any) -> Any:
        return {"error": error.description}, error.code


def _fields() -> dict[str, str]:
    """Return what was submitted, or end the request with 400 and the reason."""
    given = request.get_json(silent=True) if request.is_json else request.form.to_dict()
    if not isinstance(given, dict):
        abort(400, "the body must be a form or a JSON object")
    fields = {name: given.get(name, "") for name in ("from", "to", "subject", "text")}
    for name, value in fields.items():
        if not isinstance(value, str) or len(value) > 100_000:
            abort(400, f"{name} must be a text of at most 100000 characters")
        if value != value.encode("utf-8", "ignore").decode():  # half of a surrogate pair
            abort(400, f"{name} must be a text that can be written as UTF-8")
        if name in ("from", "to") and not is_address(value):
            abort(400, f"{name} must be an address such as alice@relay.example, not {value!r}")
    return fields


def _resolved(relay: Relay, address: str) -> list[Recipient]:
    # Who comes from elsewhere may write to us, and not through us. A unix socket has no address.
    reply, recipients = relay.gate.rcpt(request.remote_addr or "127.0.0.1", address)
    if not recipients:
        raise Refusal(reply)
    return recipients


def _message(given: dict[str, str]) -> bytes:
    message = EmailMessage()
    message["From"], message["To"] = given["from"], given["to"]
    # A line end in a subject would begin another header.
    message["Subject"] = " ".join(given["subject"].split())
    message.set_content(given["text"])
    return message.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
