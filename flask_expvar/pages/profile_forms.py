"""The forms of a finished profile that programs read, by the name of the parameter ``format``."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ..profiles.folded import folded
from ..profiles.pprof import profile_proto
from ..profiles.sessions import (
    policy,
    session_file,
    session_html,
    session_json,
    session_speedscope,
    session_text,
)
from ..profiles.speedscope import speedscope
from ..stacks.profile import Merge, Profile
from .texts import clean, thread_name
from .vars import JSON

PLAIN = "text/plain; charset=utf-8"
#: Of a thread's name and a route, which a program may make of anything.
LONGEST_NAME = 200


@dataclass
class Form:
    """One form of a profile, as it is sent."""

    body: str | bytes | Iterator[str]
    media_type: str
    headers: dict[str, str] = field(default_factory=dict)


def form(merge: Merge, format: str, title: str, name: str = "profile") -> Form:
    """Return *merge* in the form that *format* names; as a file it is called *name*."""
    if format == "html":
        nonce = secrets.token_urlsafe(16)
        headers = {"Content-Security-Policy": policy(nonce)}
        return Form(session_html(merge, nonce, title), "text/html; charset=utf-8", headers)
    if format == "pprof":
        return proto(profile_proto(merge), name)
    if format == "json":
        return Form(session_json(merge) + "\n", JSON)
    if format == "speedscope":
        return _file(session_speedscope(merge), JSON, "speedscope.json")
    if format == "threads":
        return _file(speedscope(merge, title), JSON, "threads.speedscope.json")
    if format == "folded":
        return Form(folded(merge), PLAIN)
    if format == "session":
        return _file(session_file(merge), JSON, "pyisession")
    return Form(session_text(merge) + "\n", PLAIN)


def proto(content: bytes, name: str) -> Form:
    """Return what ``go tool pprof`` gets, with the headers that Go sends."""
    disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Form(content, "application/octet-stream", disposition)


def _file(content: str, media_type: str, ending: str) -> Form:
    disposition = {"Content-Disposition": f'attachment; filename="profile.{ending}"'}
    return Form(content, media_type, disposition)


def tidy(profile: Profile) -> Profile:
    """Return *profile* with no secrets in what the program has named."""
    threads = {
        ident: replace(info, name=thread_name(info.name, LONGEST_NAME))
        for ident, info in profile.threads.items()
    }
    samples = [
        replace(each, route=clean(each.route, LONGEST_NAME)) if each.route else each
        for each in profile.samples
    ]
    return replace(profile, threads=threads, samples=samples)
