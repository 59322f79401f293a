"""An application whose workers take profiles of each other; gunicorn runs it in tests."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import work
from flask import Flask, request

import flask_expvar as expvar
from flask_expvar.exceptions import BusyError, ParameterError, UnavailableError
from flask_expvar.stacks import hook
from flask_expvar.stacks.arms import arms_of
from flask_expvar.stacks.profile import Profile
from flask_expvar.variables.registry import default_registry
from flask_expvar.workers import rounds
from flask_expvar.workers.hangup import hung_up

app = Flask(__name__)
TOKEN = "a-token-of-the-tests-0123456789"
app.config.update(EXPVAR_TOKEN=TOKEN, EXPVAR_ACTIONS=("arm",))
app.register_blueprint(expvar.blueprint())
app.wsgi_app = expvar.ExpvarMiddleware(app.wsgi_app)  # type: ignore[method-assign]

CODES = {BusyError: 409, ParameterError: 400, UnavailableError: 501}


@app.get("/work")
def work_on() -> str:
    end = time.monotonic() + 0.1
    while time.monotonic() < end:
        work.once()
        time.sleep(0.002)
    return str(os.getpid())


def told(profile: Profile) -> dict[str, Any]:
    return {
        "engine": profile.engine,
        "mode": profile.mode,
        "seconds": profile.seconds,
        "work": work.spent(profile),
        "spent": sum(each.cpu_ns for each in profile.samples) / 1e9,
        "routes": sorted({each.route for each in profile.samples}),
        "threads": sorted(info.name for info in profile.threads.values()),
    }


def asked() -> tuple[Any, ...]:
    args = request.args
    only = args.get("worker", type=int)
    return default_registry, float(args["seconds"]), args["mode"], args.get("engine", ""), only


@app.get("/take")
def take() -> Any:
    environ = request.environ
    try:
        profiles, missing = rounds.collect_profiles(*asked(), until=lambda: hung_up(environ))
    except tuple(CODES) as error:
        return {"error": str(error)}, CODES[type(error)]
    return {"by": os.getpid(), "missing": missing, "of": {p.worker: told(p) for p in profiles}}


@app.get("/begin")
def begin() -> str:
    *what, only = asked()
    return rounds.Round(*what, only=only, background=True).id


@app.get("/fetch")
def fetch() -> Any:
    profiles, left = rounds.fetch_profiles(default_registry, request.args["id"])
    return {"left": left, "of": {p.worker: told(p) for p in profiles}}


@app.get("/known")
def known() -> Any:
    return [vars(each) for each in rounds.known_profiles(default_registry)]


@app.get("/arm")
def arm() -> str:
    arms_of(default_registry).arm(3, "/work")
    return "armed"


@app.get("/requests")
def requests() -> Any:
    return {
        "of": rounds.request_profiles(default_registry).kept,
        "left": hook.left(),
        "hooked": sys.getprofile() is not None,
    }


@app.get("/workers")
def workers() -> str:
    return str(sum(part.live and part.worker for part in default_registry.parts()))
