"""Exchange: one request and its response, from the call of the application to the closed body."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..variables.kinds import Int
from .bodies import Chunks, CountedInput, detour, promised
from .notes import Notes
from .requests import UNKNOWN
from .routes import NO_ROUTE, route_of
from .tally import GONE, NEITHER, Tally, closed

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: Where an application finds the exchange that it is part of.
KEY = "expvar.request"


class Exchange(Tally):
    """What the middleware knows of one request; its :meth:`__iter__` is the response's body.

    It is the request's trace as well: one object for everything, because each further one costs
    a request 3 µs, with all that both must know.
    """

    __slots__ = ()

    #: The exchange around this one, of another middleware.
    _around: Exchange | None = None

    # No __init__, as a class calls one more slowly: the middleware sets what it has to, in place.

    def note(self, notes: Notes, noted: Mapping[str, int]) -> None:
        """Note the request where the way of most has not worked."""
        try:
            text = noted[self._method]
        except Exception:  # a method that is none, or no text
            text = noted[UNKNOWN]
        self._note = note = notes.begin(self._wall, self._number, text)
        if not note:  # no room
            self._notes = None

    def count_input(self, environ: WSGIEnvironment) -> None:
        length, stream = environ.get("CONTENT_LENGTH"), environ.get("wsgi.input")
        empty = not length or length == "0"
        if stream is not None and not (empty and "HTTP_TRANSFER_ENCODING" not in environ):
            environ["wsgi.input"] = CountedInput(stream, self.read)

    @staticmethod
    def around(environ: WSGIEnvironment) -> Exchange | None:
        """Return the innermost exchange of *environ* that is still open."""
        found = environ.get(KEY)
        if not isinstance(found, Exchange):
            return None
        while found is not None and not found._open:
            found = found._around
        return found

    def counts_in(self, gauge: Int) -> bool:
        """Return whether this request is counted as in flight in *gauge*."""
        return self._open and self._recorder.in_flight is gauge

    # What the application calls

    def start_response(self, status: str, headers: Any, exc_info: Any = None) -> Any:
        """Begin the response; the status that counts is the last before the first byte.

        With *exc_info* the application says which exception it answers: it is counted.
        """
        if self._recorder.trace_header is not None:
            headers = self._with_id(headers)
        start_response = self._start_response
        if exc_info is None:
            self._write = start_response(status, headers)
        else:
            self._note_error(exc_info)
            self._write = start_response(status, headers, exc_info)
        self._status = status
        self._headers = headers
        # Now: Flask forgets its request before the body is read.
        if self._route is None:
            environ = self._environ
            try:
                self._route = environ["werkzeug.request"].url_rule.rule  # route_of(), mostly
            except Exception:
                self._route = route_of(environ)
        return self.write

    def _with_id(self, headers: Any) -> Any:
        if self._recorder.requests is None or not self._open:
            return headers
        try:
            route = route_of(self._environ)
            if route is not NO_ROUTE or self._route is None:
                self._route = route
            return [*headers, (self._recorder.trace_header, quote(self.id, safe="!"))]
        except Exception as error:
            self._recorder.lost(self._recorder.totals, error)
            return headers

    def _note_error(self, exc_info: Any) -> None:
        try:
            self.fail(exc_info[1])
        except (TypeError, LookupError):  # the server says what it thinks of it
            return

    def write(self, data: bytes) -> Any:
        """Send *data* at once: the other way to give a body."""
        if self._ends is None and data:
            self._count_first()
        result = (self._write or closed)(data)
        try:
            self._sent += len(data)
        except TypeError:  # the server took what has no length
            self._sent += 0
        return result

    def read(self, n: int) -> None:
        """Note that the application has read *n* bytes of the request's body."""
        self._read += n

    def fail(self, error: BaseException) -> None:
        """Count *error*, once however often it is told in a row."""
        if self._open and error is not self._raised:
            self._raised = error
            if self._route is None:
                self._route = route_of(self._environ)
            self._recorder.exceptions.add(type(error).__name__)
            if self._recorder.requests is not None:
                self.error(error)
                if not isinstance(error, (Exception, GeneratorExit)):
                    self._own().doomed = True

    def ignore(self) -> None:
        """Record nothing of this request, here and in the middlewares around."""
        exchange: Exchange | None = self
        while exchange is not None:
            exchange._take_back()
            exchange = exchange._around

    def _take_back(self) -> None:
        if self._open:
            self._environ = GONE
            self._ends = NEITHER
            gauge = self._recorder.in_flight
            lock = self._recorder.registry.lock
            with lock:
                gauge._cell[0] -= lock is self._lock
            requests = self._recorder.requests
            if requests is not None:
                self._withdraw(requests)

    # What the middleware calls

    def answer_list(self, body: Any) -> Iterable[bytes]:
        """Keep a list a list: servers ask for its length, and set Content-Length by it."""
        if self._ends is None:
            self._count_first()
        try:
            self._sent += sum(map(len, body))
        except TypeError:  # no bytes; the server says so
            self._sent += 0
        chunks = Chunks(body)
        chunks.close = self.close
        return chunks

    def answer_file(self, body: Any, wrapper: Any) -> Iterable[bytes]:
        """Keep the server's own file object, which it sends without reading it (sendfile)."""
        try:
            is_file = isinstance(body, wrapper)
        except TypeError:  # uWSGI's is a function, whose argument comes back
            is_file = isinstance(body, io.IOBase)
        rest = detour(body, self.close) if is_file else None
        if rest is None:
            return self
        self._body = rest
        if self._ends is None:
            self._count_first()
        if self._method != "HEAD" and self._status is not None:
            self._sent += promised(self._headers)
        return body  # type: ignore[no-any-return]

    def break_off(self, error: BaseException) -> None:
        """Note that the application raised *error* instead of giving a body."""
        self._break(error)
        self.conclude()

    def _break(self, error: BaseException) -> None:
        self.fail(error)
        if self._ends is None:
            self._status = "500"  # what the server makes of it
            self._count_first()

    # What the server calls

    def __iter__(self) -> Iterator[bytes]:
        # A generator, not __next__: the end of a body is then no exception, which saves 0.3 µs.
        try:
            for chunk in self._body:
                if self._ends is None and chunk:
                    self._count_first()
                try:
                    self._sent += len(chunk)
                except TypeError:  # no bytes; the server says so
                    self._sent += 0
                yield chunk
        except GeneratorExit:  # the server stopped here; it calls close()
            raise
        except BaseException as error:
            self._break(error)
            raise
        if self._ends is None:
            self._count_first()

    def close(self) -> None:
        """Close the application's body and count the rest, both once."""
        body = self._body
        self._body = ()
        try:
            try:
                close = body.close
            except AttributeError:
                return
            close()
        except BaseException as error:
            self.fail(error)
            raise
        finally:
            self.conclude()

    def __del__(self) -> None:
        """Count the rest where the server never closed the body."""
        try:
            if self._environ is GONE:
                return
            # Found by the collector, maybe while another request is the current trace, and while
            # the interpreter is about to change what is current: up to 3.11 it crashes if a
            # finalizer does that then.
            self._before = None
            # The collector may come while this very thread holds the lock. Only asked: between
            # taking it and giving it back a signal handler may come, and wait for it or raise.
            if not self._recorder.registry.lock.locked():
                self._body = ()
                self.conclude()
            else:
                self._recorder.put_off(self)
        except Exception:  # half made, or the interpreter is going down
            return


class Inner(Exchange):
    """One that another middleware's exchange is around."""

    __slots__ = ("_around",)

    def __init__(self, around: Exchange | None) -> None:
        self._around = around
