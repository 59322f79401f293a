"""Real servers for tests: gunicorn and nginx in processes of their own, with bounded waits."""

from .gunicorn import Gunicorn
from .nginx import Nginx
from .server import Response, Server
from .waiting import TIMEOUT, running, wait_until
from .waitress import Waitress

__all__ = [
    "TIMEOUT", "Gunicorn", "Nginx", "Response", "Server", "Waitress", "running", "wait_until",
]  # fmt: skip
