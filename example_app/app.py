"""What gunicorn loads in each worker: ``gunicorn example_app.app:app``."""

from __future__ import annotations

import atexit
import os

from .front import add_relay, create_app
from .relay import Relay
from .settings import from_environ

app = create_app()
# Here a worker begins to listen and to send. Not with --preload: the arbiter would, and its
# threads and its connection to the database are of no use to the workers that it forks.
relay = Relay(from_environ(os.environ))
atexit.register(relay.close)
add_relay(app, relay)
