"""ExpvarMiddleware: counts and times every request of a WSGI application."""

from __future__ import annotations

import _thread
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

from ..stacks import hook
from ..stacks.arms import arms_of
from ..traces.known import MAX_EVENTS, NOTHING
from ..traces.logs import lower_loggers
from ..traces.trace import current
from ..traces.tracer import tracer_of
from ..variables import registry as registries
from ..variables.histogram import Histogram
from ..variables.kinds import Int, Var
from ..variables.maps import Map
from ..variables.registry import Registry
from . import signals
from .arming import Armed
from .exchange import KEY, Exchange, Inner
from .joining import join_alone, notes_of, tick_alone
from .recorder import NONE, Found
from .requests import Requests
from .routes import METHODS
from .splitting import is_split, split_histogram

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: How much of an unknown method is shown: a scanner's may be as long as a page.
LONGEST_METHOD = 6
MOST_METHODS = 100
#: So many ways to count a request are remembered.
MOST_KNOWN = 5000
#: The code of a response whose status does not begin with three digits, and of one without.
ODD_STATUS, NO_STATUS = "(odd)", "(none)"
_LISTS = (list, tuple)

_log = logging.getLogger("flask_expvar")


class ExpvarMiddleware:
    """Wrap *app* and record its requests, in variables below *prefix*.

    ======================  =============================================================
    ``requestCount``        method → requests; ``unknown<METHOD>`` for unknown ones
    ``responseCodeCount``   code → responses
    ``exceptionCount``      class name, without its module → exceptions that no handler took
    ``requestsInFlight``    requests whose response body is not closed yet
    ``requestSeconds``      route → histogram of the seconds until the body was closed
    ``firstByteSeconds``    route → histogram of the seconds until the first byte was there
    ``requestBytes``        what the application has read of request bodies
    ``responseBytes``       what it has given as response bodies
    ``durationSeconds``     method → code → route → histogram of the same seconds; only with
                            OpenTelemetry's names, ``EXPVAR_METRICS_NAMES``
    ======================  =============================================================

    The route is ``environ["expvar.route"]`` if the application has set it, else Flask's URL
    rule, else ``(no route)``; never the path. Method, code and time to the first byte are
    counted before the server gets that byte: a client that has an answer is always counted.

    Any WSGI application will do, and the server keeps what it optimises for: lists stay lists,
    and results of ``wsgi.file_wrapper`` stay what they are. Recording never raises; what could
    not be counted is counted in ``expvar/dropped``. Wrapped twice with the same variables, a
    request is counted once.

    :param registry: where the variables are declared; the default registry if None.
    :param clock: seconds that only grow.
    :param traces: whether each request is a trace, for the page of traces.
    :param trace_header: the name of a response header that tells the client the trace's id,
        quoted as in a URL; none unless given.
    :param attach: called once, before the first request is counted; makes the workers share,
        unless a blueprint has, if not given.
    :raises NameTakenError: if one of the names is something else already.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        registry: Registry | None = None,
        prefix: str = "http",
        clock: Callable[[], float] = time.perf_counter,
        traces: bool = True,
        trace_header: str | None = None,
        attach: Callable[[], None] | None = None,
    ) -> None:
        self._app: WSGIApplication = app
        self._prefix = prefix
        self._begun = self._ready = False
        self.registry = registry = registries.default_registry if registry is None else registry
        self._attach = attach if attach is not None else partial(join_alone, registry)
        self.clock = clock
        self.methods = registry.new_map(
            f"{prefix}/requestCount", "method", "requests by method", max_keys=MOST_METHODS
        )
        self.codes = registry.new_map(
            f"{prefix}/responseCodeCount", "code", "responses by status code"
        )
        self.exceptions = registry.new_map(
            f"{prefix}/exceptionCount", "exception", "unhandled exceptions by class"
        )
        self.in_flight = registry.new_int(
            f"{prefix}/requestsInFlight",
            "requests whose response body is not closed yet",
            multiprocess_mode="livesum",
        )
        self.totals = registry.new_map(
            f"{prefix}/requestSeconds", "route", "seconds until the response body was closed"
        )
        self.firsts = registry.new_map(
            f"{prefix}/firstByteSeconds", "route", "seconds until the first byte of the response"
        )
        self.received = registry.new_int(
            f"{prefix}/requestBytes", "bytes that were read of request bodies"
        )
        self.sent = registry.new_int(f"{prefix}/responseBytes", "bytes of response bodies")
        self.known: dict[Any, Found] = {}
        tracer = tracer_of(registry)
        self.requests = Requests(tracer) if traces else None
        self.trace_header = trace_header
        self._late: deque[Exchange] = deque()
        signals.watch(self._app, self.requests is not None)
        registry.follow(self)
        arms_of(registry).listeners.add(self)

    def arm(self, armed: bool) -> None:
        """Have single requests profiled, or no more; a request costs nothing as long as not."""
        app = self._app
        if armed and not isinstance(app, Armed):
            self._app = Armed(app, arms_of(self.registry))
        elif not armed and isinstance(app, Armed) and not hook.left():
            self._app = app.app

    def moved(self) -> None:
        """Look anew where to note requests: this is a forked child, or shares since now."""
        self._begun = self._ready = False

    def left(self) -> None:
        """Look anew where to count: what is remembered may have been deleted."""
        self.known = {}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request as the application does."""
        if not self._ready:
            self._prepare(environ)
        if KEY in environ:
            around = Exchange.around(environ)
            if self._is_counted(around):
                return self._app(environ, start_response)
            exchange: Exchange = Inner(around)
        else:
            exchange = Exchange()
        # All in place: a request finds nothing of this in the processor's caches, so that each
        # step is what it costs, and a call is ten. What is no method of a class is named before
        # it is called: Python 3.11 takes its time otherwise.
        exchange._recorder = self
        exchange._start_response = start_response
        exchange._environ = environ
        exchange._ends = exchange._status = exchange._raised = exchange._route = None
        exchange._sent = exchange._read = 0
        try:
            method = environ["REQUEST_METHOD"]
        except KeyError:
            method = ""
        exchange._method = method
        environ[KEY] = exchange
        if "CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ:
            exchange.count_input(environ)
        exchange._lock = lock = self.registry.lock
        clock = self.clock
        exchange._began = clock()
        with lock:
            self.in_flight._cell[0] += 1
        requests = self.requests
        if requests is not None:  # its trace begins, and is the current one
            # Asked each time by the module: gevent puts a function there that knows greenlets.
            exchange._ident = _thread.get_ident()
            exchange._family = requests.unnamed
            next_number, wall = requests.next_number, requests.wall
            exchange._number = number = next_number()
            exchange._wall = began = wall()
            exchange._events = []
            exchange._room = MAX_EVENTS
            exchange._more = NOTHING
            exchange._end = exchange._error = None
            me: Any = ref(exchange)
            exchange._ref = me
            requests.flying[number] = me
            if "HTTP_TRACEPARENT" in environ:
                exchange.follow(environ["HTTP_TRACEPARENT"])
            exchange._before = current.set(me)
            exchange._notes = notes = requests.notes
            if notes is not None:  # Notes.begin()
                try:
                    text = requests.noted[method]
                    exchange._note = note = notes.free.pop()
                    words = notes.words
                    words[note - 2] = began
                    words[note - 1] = number
                    words[note] = text
                except Exception:  # a method that is none, or no room
                    exchange.note(notes, requests.noted)
        app = self._app
        try:
            body = app(environ, exchange.start_response)
        except BaseException as error:
            exchange.break_off(error)
            raise
        exchange._body = body
        if isinstance(body, _LISTS):
            return exchange.answer_list(body)
        wrapper = environ.get("wsgi.file_wrapper")
        if wrapper is not None:
            return exchange.answer_file(body, wrapper)
        return exchange

    def _prepare(self, environ: WSGIEnvironment) -> None:
        self._ready = True
        if not self._begun:
            self._begun = True
            signals.watch(self._app, self.requests is not None)
            try:
                self._attach()
            except Exception:
                _log.warning("workers could not be joined; each counts alone", exc_info=True)
            if "SERVER_SOFTWARE" in environ:  # a test's client has none, and leaves no thread
                tick_alone(self.registry)
            lower_loggers()
            if self.requests is not None:
                self.requests.note_in(*notes_of(self.registry))
            self._begun = self._ready = True  # also if joining has moved the registry just now
        while self._late:
            self._late.popleft().conclude()

    def _is_counted(self, outer: Exchange | None) -> bool:
        while outer is not None:
            if outer.counts_in(self.in_flight):
                return True
            outer = outer._around
        return False

    # What an exchange calls when a key is new, or not there to stay

    def find(self, method: Any, status: Any, route: Any) -> Found:
        """Return where a request is counted; remembered if nothing had to be renamed."""
        known = self.known  # what is found now may have left when it is put there
        found = self.method(method), self.code(status), self.histogram(self.firsts, route)
        split = self._split(method, found[1].name, route)
        try:
            total = self.totals.own(route)
            if type(total) is not Histogram:
                return (*found, (NONE, split))
            keys = zip((self.methods, self.codes, self.firsts), (method, status[:3], route))
            if [each.own(key) for each, key in keys] == [*found] and len(known) < MOST_KNOWN:
                known[method, status, route] = (*found, (total, split))
            return (*found, (total, split))
        except Exception:  # what is no text, or cannot be hashed
            return (*found, (NONE, split))

    def _split(self, method: object, code: str, route: object) -> Histogram | None:
        if not is_split(self.registry):
            return None
        try:
            return split_histogram(self.registry, self._prefix, method, code, route)
        except Exception as error:
            self.lost(self.totals, error)
            return None

    def method(self, method: object) -> Int:
        """Return the counter of a request method."""
        key = str(method)
        known = key if key in METHODS else f"unknown<{key[:LONGEST_METHOD]}>"
        return self._child(self.methods, known)

    def code(self, status: object) -> Int:
        """Return the counter of a status as an application gave it."""
        key = status[:3] if isinstance(status, str) else ""
        if not (len(key) == 3 and key.isascii() and key.isdigit()):
            key = NO_STATUS if status is None else ODD_STATUS
        return self._child(self.codes, key)

    def _child(self, counters: Map, key: str) -> Int:
        try:
            found = counters.new_int(key)
            if type(found) is Int:
                return found
            raise TypeError(f"{key!r} is a {found.kind}")
        except Exception as error:
            self.lost(counters, error)
            return Int()

    def histogram(self, histograms: Map, route: object) -> Histogram:
        """Return the histogram of *route*; what cannot be one counts nowhere."""
        try:
            return histograms.new_histogram(route)  # type: ignore[arg-type]  # made text there
        except Exception as error:
            self.lost(histograms, error)
            return Histogram()

    def put_off(self, exchange: Exchange) -> None:
        """Let *exchange* finish before the next request: the garbage collector has found it."""
        self._late.append(exchange)
        self._ready = False

    def lost(self, var: Var, error: Exception) -> None:
        """Note that something could not be counted in *var*. Never raises."""
        self.registry.drop(1, var, error)
