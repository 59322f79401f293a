"""Limits: a profile is cut to so many bytes, the lightest samples first."""

from __future__ import annotations

from dataclasses import replace

from .profile import Frame, Profile, Sample

#: A stack is kept to so many places, the innermost ones, and so many stacks are kept.
DEEPEST, MOST_STACKS = 256, 50_000


def bounded(profile: Profile, most: int) -> Profile:
    """Return *profile* with so many samples that it takes about *most* bytes as text.

    What is left out is counted in ``lost``.
    """
    seen: set[Frame] = set()
    kept: list[Sample] = []
    room = most - sum(100 + len(info.name) for info in profile.threads.values())
    for each in sorted(profile.samples, key=lambda one: -max(one.wall_ns, one.cpu_ns)):
        new = set(each.stack) - seen
        size = sum(len(frame.name) + len(frame.file) + 30 for frame in new)
        size += 50 + 7 * len(each.stack) + len(each.route)
        if size > room:
            continue
        room -= size
        seen |= new
        kept.append(each)
    lost = sum(each.count for each in profile.samples) - sum(each.count for each in kept)
    return replace(profile, samples=kept, lost=profile.lost + lost) if lost else profile
