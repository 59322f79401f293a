"""Threads as text, in the manner of Go's ``goroutine?debug=1`` and ``debug=2``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .links import quoted
from .threads_question import Question
from .vars_table import visible

#: So many threads of a group are named.
NAMED = 10
MOST_BYTES = 1_500_000


def text(data: dict[str, Any], asked: Question) -> str:
    """Return *data* as text: groups of equal stacks, or each thread with its own."""
    lines = [head(data), *notes(data), ""]
    lines += _bounded(data["groups"], _each if asked.each else _group)
    for worker in data["stuck"]:
        lines += [f"worker {worker['pid']} does not answer: {worker['note']}"]
        lines += [visible(line) for line in worker["stack"].splitlines()] + [""]
    return "\n".join(lines)


def _bounded(
    groups: list[dict[str, Any]], shown: Callable[[dict[str, Any]], Iterable[str]]
) -> Iterator[str]:
    room = MOST_BYTES
    for number, group in enumerate(groups):
        for line in shown(group):
            room -= 4 * len(line) + 1 if not line.isascii() else len(line) + 1
            if room < 0:
                yield f"… the rest of group {number + 1} of {len(groups)} and what follows\n"
                return
            yield line


def head(data: dict[str, Any]) -> str:
    """Return how many there are of what."""
    # Not Go's own words: its pprof would take the rest for addresses.
    counts = ", ".join(f"{count} {kind}s" for kind, count in data["total"].items() if count)
    workers = ", ".join(map(str, data["workers"]))
    return f"threads: {counts or 'none'}; workers {workers or 'none'}"


def notes(data: dict[str, Any]) -> Iterator[str]:
    """Yield what is to be known before one reads the stacks."""
    if data["missing"]:
        yield f"# no answer from {', '.join(map(str, data['missing']))}"
    if data["seconds"]:
        yield f"# two looks {data['seconds']:g} s apart"
    if data["showing"] < data["of"]:
        yield f"# showing {data['showing']} of {data['of']} groups"
    yield from (f"# {note}" for note in data["notes"])
    yield from (
        f"# DEADLOCK in worker {each['worker']}: {deadlock(each)}" for each in data["deadlocks"]
    )
    for each in data["natives"]:
        name = visible(each["name"])
        yield f"# {each['count']} without Python: {name} cpu={each['cpu']:.3f}s"


def deadlock(found: dict[str, Any]) -> str:
    """Return who waits for whom.

    >>> deadlock({"threads": ["a", "b"]})
    'a waits for a lock that b has, b waits for a lock that a has'
    """
    names = [visible(name) for name in found["threads"]]
    pairs = zip(names, names[1:] + names[:1], strict=True)
    return ", ".join(f"{one} waits for a lock that {other} has" for one, other in pairs)


def _group(group: dict[str, Any]) -> list[str]:
    kind = "" if group["kind"] == "thread" else f" {group['kind']}s"
    lines = [f"{group['count']}{kind} @ {group['key']}"]
    members = group["members"]
    states = Counter(state(each) for each in members)
    lines += [f"# {count} {name}" for name, count in states.most_common() if name]
    if any(each["still"] is not None for each in members):
        lines.append(f"# {sum(map(bool, (each['still'] for each in members)))} did not move")
    lines += [f"# {_named(each)}" for each in members[:NAMED]]
    left = group["count"] - min(NAMED, len(members))
    lines += [f"# … {left} more"] if left else []
    return [*lines, *_aligned(group), ""]


def _aligned(group: dict[str, Any]) -> Iterator[str]:
    places = [(visible(function), f"{visible(file)}:{line}") for file, line, function in
              group["stack"]]  # fmt: skip
    width = min(max((len(function) for function, _ in places), default=0), 40)
    for function, place in places:
        yield f"#\t{function:<{width}}  {place}"
    if left := more(group):
        yield f"#\t{left}"


def more(group: dict[str, Any]) -> str:
    """Return how much of a stack is not told, if anything."""
    left = group["places"] - len(group["stack"])
    if not left:
        return ""
    return f"… {left} more" if group["whole"] else f"… {left} more and what called them"


def state(member: dict[str, Any]) -> str:
    """Return what a thread does, in words.

    >>> state({"state": "waiting", "on": "a lock"})
    'waiting for a lock'
    """
    return {"waiting": f"waiting for {member['on']}", "running": f"running {member['on']}"}.get(
        member["state"], ""
    ).strip()


def _named(member: dict[str, Any]) -> str:
    words = [f"{visible(member['name'])}", f"worker={member['worker']}"]
    words += [f"native={member['native']}"] if member["native"] is not None else []
    words += [f"cpu={member['cpu']:.3f}s"] if member["cpu"] is not None else []
    words += ["daemon"] if member["daemon"] else []
    words += ["(shows this page)"] if member["current"] else []
    words += [f"lock-held-by={visible(member['holder'])}"] if member["holder"] else []
    return " ".join([*words, *_request(member)])


def _request(member: dict[str, Any]) -> Iterator[str]:
    request = member["request"]
    if request is not None:
        yield f"request={request['family']!r} {request['seconds']:.3f}s"
        yield f"trace={quoted(request['id'])}"


def _each(group: dict[str, Any]) -> Iterator[str]:
    for member in group["members"]:
        words = [state(member) or "unknown", *(["did not move"] if member["still"] else [])]
        yield f"{group['kind']} {_named(member)} [{', '.join(words)}]:"
        for file, line, function in group["stack"]:
            yield f"{visible(function)}"
            yield f"\t{visible(file)}:{line}"
        if left := more(group):
            yield left
        yield ""
    left = group["count"] - len(group["members"])
    if left:
        yield f"… {left} more with the stack {group['key']}\n"
