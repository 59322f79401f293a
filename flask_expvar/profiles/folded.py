"""Collapsed stacks: a line for each, root first, as flamegraph.pl and many others read them."""

from __future__ import annotations

from collections import Counter

from ..stacks.profile import Frame, Merge
from .proto import dotted
from .readable import stack_of, thread_name


def folded(merge: Merge) -> str:
    """Return one line for each stack: ``thread;frame;frame microseconds``."""
    weights: Counter[str] = Counter()
    words: dict[Frame, str] = {}
    several = len(merge.profiles) > 1
    for seen in merge:
        names = [f"worker {seen.worker}"] if several else []
        names.append(_word(thread_name(seen)))
        for frame in reversed(stack_of(seen.sample)):
            word = words.get(frame)
            if word is None:
                word = words[frame] = _word(dotted(frame))
            names.append(word)
        weights[";".join(names)] += merge.weight(seen.sample)
    lines = [(line, round(ns / 1000)) for line, ns in sorted(weights.items())]
    return "".join(f"{line} {us}\n" for line, us in lines if us)


def _word(name: str) -> str:
    """Return *name* without what ends a frame or a line here, and without what is invisible."""
    shown = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in name)
    return shown.replace(";", ":")
