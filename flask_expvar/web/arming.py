"""Arming: requests that are profiled one by one, while somebody wants them to be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ..stacks import hook
from ..stacks.arms import Arms, Wish
from .exchange import KEY, Exchange
from .routes import NO_ROUTE

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


#: Where it is known who watches a request.
WATCHED = "expvar.watched"


def ignore(environ: WSGIEnvironment) -> None:
    """Record nothing of a request, and do not watch it either."""
    recorded, watched = environ.get(KEY), environ.get(WATCHED)
    if recorded is not None:
        recorded.ignore()
    if watched is not None:
        watched.withdraw()


class Armed:
    """Stands in for *app* while requests are wanted: without a wish nothing of it is there."""

    def __init__(self, app: WSGIApplication, arms: Arms) -> None:
        self.app = app
        self._arms = arms

    def __getattr__(self, name: str) -> Any:
        # Whoever asks what application this is.
        return getattr(self.app, name)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer as the application does, watched if this is one of those wanted."""
        if self._arms.wish is None:
            hook.clear()
            self._arms.retire()  # unless another thread is still watched
            return self.app(environ, start_response)
        if not self._is_meant(environ):
            return self.app(environ, start_response)
        wish = self._arms.take()
        watched = None if wish is None else Watched.begin(self._arms, wish, environ)
        if watched is None:
            return self.app(environ, start_response)
        try:
            body = self.app(environ, start_response)
        except BaseException:
            watched.end()
            raise
        return watched.answer(body)

    def _is_meant(self, environ: WSGIEnvironment) -> bool:
        """Return whether the route may be the one; to watch others would slow them down."""
        wish = self._arms.wish
        if wish is None or not wish.route:
            return wish is not None
        flask = getattr(self.app, "__self__", None)
        try:
            adapter = flask.url_map.bind_to_environ(environ)  # type: ignore[union-attr]
            rule, _ = adapter.match(return_rule=True)
            return bool(rule.rule == wish.route)
        except AttributeError:
            return True  # no Flask: it is known afterwards
        except Exception:  # nothing there, or the wrong method
            return wish.route == NO_ROUTE


class Watched:
    """One request that is watched, and its body."""

    def __init__(self, arms: Arms, wish: Wish, environ: WSGIEnvironment, found: hook.Hook) -> None:
        self._arms, self._wish, self._environ, self._hook = arms, wish, environ, found
        self._body: Any = ()
        self._exchange = Exchange.around(environ) if KEY in environ else None

    @classmethod
    def begin(cls, arms: Arms, wish: Wish, environ: WSGIEnvironment) -> Watched | None:
        """Watch the request that begins here; None if its thread is being watched already."""
        found = hook.begin()
        if found is None:
            arms.give_back(wish)
            return None
        watched = environ[WATCHED] = cls(arms, wish, environ, found)
        return watched

    def answer(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """Return what the server gets for *body*: lists and files are what they were."""
        wrapper = self._environ.get("wsgi.file_wrapper")
        is_file = isinstance(wrapper, type) and isinstance(body, wrapper)
        if is_file or isinstance(body, (list, tuple)):
            self.end()
            return body
        self._body = body
        return self

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._body
        except GeneratorExit:
            raise
        except BaseException:
            self.end()
            raise

    def close(self) -> None:
        """Close the body, which is part of the request, and watch no more."""
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self.end()

    def __del__(self) -> None:
        """Watch no more where the server has never closed the body."""
        self.end()

    def withdraw(self) -> None:
        """Watch no more: this request is not to be seen."""
        if not self._hook.ended and hook.end(self._hook) is not None:
            self._arms.give_back(self._wish)

    def end(self) -> None:
        """Watch no more; keep the profile if it is one of those wanted. Never raises."""
        if self._hook.ended:
            return
        try:
            # Flask's own request is forgotten by now; the exchange has noted its route.
            route = None if self._exchange is None else self._exchange._route
            self._finish(str(NO_ROUTE if route is None else route))
        except Exception:  # the request is what counts
            self._arms.give_back(self._wish)

    def _finish(self, route: str) -> None:
        exchange, wish = self._exchange, self._wish
        profile = hook.end(self._hook, route)
        if profile is None or profile.seconds < wish.slower or wish.route not in ("", route):
            self._arms.give_back(wish)
            return
        traced = exchange is not None and exchange._recorder.requests is not None
        kept = self._arms.keep(wish, profile, route, exchange.id if traced and exchange else "")
        if traced and exchange is not None:
            exchange.log("its own profile: %s", kept.id)
            exchange.facts = {**(exchange._more.facts or {}), "profile": kept.id}
