"""A profile as a session of pyinstrument, and what pyinstrument makes of it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from functools import lru_cache
from html import escape
from importlib import resources

from pyinstrument.renderers import ConsoleRenderer, JSONRenderer, SpeedscopeRenderer
from pyinstrument.renderers.html import JSONForHTMLRenderer
from pyinstrument.session import Session

from ..stacks.profile import Frame, Merge
from .readable import comments, stack_of, thread_name

#: All of pyinstrument's renderers call themselves for each frame of a stack: at 1,500 they
#: give up.
DEEPEST = 600


def session(merge: Merge, title: str = "") -> Session:
    """Return all workers' samples as one session, each thread below a root of its own."""
    weights: dict[tuple[str, ...], float] = {}
    texts: dict[Frame, str] = {}
    for seen in merge:
        root = _root(seen.worker, thread_name(seen), len(merge.profiles) > 1)
        frames = [
            texts.get(frame) or texts.setdefault(frame, _frame(frame))
            for frame in reversed(stack_of(seen.sample)[:DEEPEST])
        ]
        key = (*root, *frames)
        weights[key] = weights.get(key, 0.0) + merge.weight(seen.sample) / 1e9
    interval = max((each.interval for each in merge.profiles), default=0.001)
    return Session(
        # Only neighbours are put together: unsorted, 24,000 records make 112 MB of HTML.
        frame_records=[(list(key), weights[key]) for key in sorted(weights) if weights[key] > 0],
        start_time=merge.started,
        duration=merge.seconds,
        min_interval=interval,
        max_interval=interval,
        sample_count=sum(seen.sample.count for seen in merge),
        start_call_stack=["[none]"],  # pyinstrument takes one off, so it must not be empty
        target_description=_clean(title or f"{merge.mode} time"),
        cpu_time=sum(max(each.process_cpu_ns, 0) for each in merge.profiles) / 1e9,
        sys_path=sys.path,
        sys_prefixes=Session.current_sys_prefixes(),
    )


def _root(worker: int, name: str, several: bool) -> tuple[str, ...]:
    thread = f"{_clean(name)}\x00thread\x000"
    return (f"worker {worker}\x00process\x000", thread) if several else (thread,)


def _frame(frame: Frame) -> str:
    """Return *frame* as pyinstrument has it: name NUL file NUL first line, then its marks."""
    head, _, name = frame.name.rpartition(".")
    # Of a qualified name pyinstrument wants the last part, and the class by itself.
    owner = head.rpartition(".")[2] if head and not head.endswith("<locals>") else ""
    mark = f"\x01c{_clean(owner)}" if owner else ""
    return (
        f"{_clean(name or frame.name)}\x00{_clean(frame.file)}\x00{max(frame.first, 0)}"
        f"{mark}\x01l{max(frame.line, 0)}"
    )


_ODD = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@lru_cache(maxsize=8192)
def _clean(name: str) -> str:
    """Return *name* without what pyinstrument reads as a mark, and without what is invisible."""
    return _ODD.sub(lambda found: f"\\u{ord(found[0]):04x}", name)


def session_text(merge: Merge) -> str:
    """Return pyinstrument's text, below what is to be known of the profile."""
    shown = ConsoleRenderer(unicode=True, color=False, show_all=False).render(session(merge))
    return "".join(f"{line}\n" for line in map(_clean, comments(merge))) + shown


def session_json(merge: Merge) -> str:
    """Return pyinstrument's JSON."""
    return str(JSONRenderer().render(session(merge)))


def session_file(merge: Merge) -> str:
    """Return what ``pyinstrument --load`` reads."""
    return json.dumps(session(merge).to_json())


def session_speedscope(merge: Merge) -> str:
    """Return pyinstrument's speedscope file: one profile for all threads."""
    return str(SpeedscopeRenderer().render(session(merge)))


@lru_cache(maxsize=1)
def _parts() -> tuple[str, str]:
    folder = resources.files("pyinstrument.renderers") / "html_resources"
    script = (folder / "app.js").read_text("utf-8")
    # It asks another host for a font: nothing of ours does, and the page is as good without.
    script = re.sub(
        r'(\w+)\.href="https://fonts\.[^"]*",document\.head\.appendChild\(\1\)', "void 0", script
    )
    return script, (folder / "app.css").read_text("utf-8")


def session_html(merge: Merge, nonce: str, title: str = "") -> Iterator[str]:
    """Yield pyinstrument's page, which needs nothing from elsewhere.

    Its script comes at once: a browser has it before the samples are put in order.

    :param nonce: what the policy of the answer lets run.
    """
    script, style = _parts()
    yield _BEFORE.format(
        title=escape(_clean(title or "Profile")),
        nonce=escape(nonce),
        script=script,
        style=style,
    )
    data = JSONForHTMLRenderer().render(session(merge, title))
    yield _AFTER.format(nonce=escape(nonce), data=_in_script(data))


def _in_script(data: str) -> str:
    """Return JSON as it may stand within a script: pyinstrument does not care."""
    # < and > stand nowhere in JSON but in its texts; these stay what they were.
    return data.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


_BEFORE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style nonce="{nonce}">{style}</style>
</head>
<body>
<div id="app"></div>
<script nonce="{nonce}">{script}</script>
"""
_AFTER = """<script nonce="{nonce}">
const sessionData = {data};
pyinstrumentHTMLRenderer.render(document.getElementById('app'), sessionData);
</script>
</body>
</html>
"""


def policy(nonce: str) -> str:
    """Return the Content-Security-Policy of pyinstrument's page: it needs no more than this."""
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}';"
        " img-src data:; sandbox allow-scripts; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    )
