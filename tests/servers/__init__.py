"""Real servers for tests: gunicorn and nginx in processes of their own, with bounded waits."""

from .gunicorn import Gunicorn
from .nginx import Nginx
from .server import Response, Server
from .waiting import TIMEOUT, running, wait_until

__all__ = ["TIMEOUT", "Gunicorn", "Nginx", "Response", "Server", "running", "wait_until"]
