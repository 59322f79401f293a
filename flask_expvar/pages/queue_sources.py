"""Sources of queues that many programs have: ``queue.Queue``, Celery and RQ.

Nothing of theirs is imported: what is given brings its own methods. None of them changes a
queue, and none tells what the work is done with, only its name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from datetime import datetime, timezone
from itertools import islice
from typing import Any

from .queue_items import PENDING, OddError, QueueItem

Found = tuple[list[Any], int]


class _Fetch:
    """A fetch that says whether all workers see the same queue."""

    def __init__(self, fetch: Callable[[int, int], Found], shared: bool) -> None:
        self._fetch = fetch
        self.shared = shared

    def __call__(self, limit: int, offset: int) -> Found:
        return self._fetch(limit, offset)


def from_queue(
    queue: Any, describe: Callable[[Any], Any] | None = None
) -> Callable[[int, int], Found]:
    """Return a fetch for a ``queue.Queue``, or another one of that module.

    Items are looked at where they are, and stay. Of a ``SimpleQueue`` and of queues between
    processes only the depth is known. Each worker has a queue of its own.

    :param describe: returns an item as :class:`QueueItem` or a mapping; without it items that
        are one already tell of themselves, and others only of which class they are.
    """

    def fetch(limit: int, offset: int) -> Found:
        held = getattr(queue, "queue", None)
        if held is None:
            return [], queue.qsize()
        # gevent's has no mutex: it is not changed while this greenlet does not wait.
        with getattr(queue, "mutex", None) or nullcontext():
            depth = len(held)
            items = list(islice(held, offset, offset + limit))
        # Outside of the mutex: whoever works with the queue waits for it.
        return [_described(each, offset + n, describe) for n, each in enumerate(items, 1)], depth

    return _Fetch(fetch, shared=False)


def _described(item: Any, place: int, describe: Callable[[Any], Any] | None) -> Any:
    if describe is not None:
        return describe(item)
    if isinstance(item, QueueItem):
        return item
    # Not its repr: that runs foreign code, and may say what nobody should read.
    return QueueItem(str(place), summary=type(item).__name__)


def from_celery(app: Any, queue: str = "celery") -> Callable[[int, int], Found]:
    """Return a fetch for a queue of Celery's broker.

    The broker tells how many tasks wait; Redis also which: their ids, names, retries and times.
    Tasks that a Celery worker has taken already are not in the queue any more, and those of a
    priority other than the usual one are in others.

    :param app: the Celery application.
    """

    def fetch(limit: int, offset: int) -> Found:
        with app.connection_for_read() as connection:
            # Not default_channel, which tries for ever to reach a broker that is down.
            channel = connection.channel()
            try:
                listed = getattr(getattr(channel, "client", None), "lrange", None)
                if listed is not None:
                    return _redis_tasks(channel.client, queue, limit, offset)
                return [], _declared(channel, connection, queue)
            finally:
                channel.close()

    return _Fetch(fetch, shared=True)


def _redis_tasks(client: Any, queue: str, limit: int, offset: int) -> Found:
    # New tasks come in at the left, and the oldest leave at the right.
    raw = client.lrange(queue, -(offset + limit), -(offset + 1))
    return [_task(each) for each in reversed(raw)], client.llen(queue)


def _declared(channel: Any, connection: Any, queue: str) -> int:
    try:
        return int(channel.queue_declare(queue=queue, passive=True).message_count)
    except Exception as error:
        # Kombu's own transports forget an empty queue; with AMQP it is a wrong name.
        virtual = getattr(connection.transport, "driver_type", "amqp") != "amqp"
        if virtual and type(error).__name__ == "ChannelError":
            return 0
        raise


def _task(raw: Any) -> Any:
    try:
        headers = json.loads(raw)["headers"]
        return QueueItem(
            str(headers["id"]),
            summary=str(headers.get("task", "")),
            attempts=headers.get("retries"),
            next_attempt=_utc(datetime.fromisoformat(headers["eta"]))
            if headers.get("eta")
            else None,
            status=PENDING,
        )
    except (ValueError, LookupError, TypeError, AttributeError):
        return QueueItem("", summary="a message that Celery did not write")


def from_rq(queue: Any) -> Callable[[int, int], Found]:
    """Return a fetch for an ``rq.Queue``.

    A job tells its id, when it was queued, its function and how often it was tried again.
    """

    def fetch(limit: int, offset: int) -> Found:
        ids = queue.get_job_ids(offset, limit)
        # Not get_jobs(): it removes the ids whose jobs have expired.
        jobs = queue.job_class.fetch_many(
            ids, connection=queue.connection, serializer=queue.serializer
        )
        if not isinstance(jobs, Iterable):
            raise OddError("rq told of no jobs")
        return [_job(id, job) for id, job in zip(ids, jobs, strict=True)], queue.count

    return _Fetch(fetch, shared=True)


def _job(id: str, job: Any) -> QueueItem:
    if job is None:
        return QueueItem(id, summary="an expired job", status=PENDING)
    made = getattr(job, "enqueued_at", None) or getattr(job, "created_at", None)
    # "shop.send('a@b')": func_name would unpickle the arguments to tell what stands here.
    called = getattr(job, "description", None) or ""
    return QueueItem(
        id,
        created=_utc(made) if made is not None else None,
        summary=str(called).partition("(")[0],
        attempts=getattr(job, "number_of_retries", None),
        status=PENDING,
    )


def _utc(moment: datetime) -> datetime:
    """Return *moment*, which is UTC where it does not say so: neither library has local times."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)
