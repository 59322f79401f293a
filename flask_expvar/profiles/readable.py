"""What all formats say of a profile in words, and what stands where there is no stack."""

from __future__ import annotations

import platform

from ..stacks.profile import Frame, Merge, Profile, Sample, Seen, Stack

#: The whole of a thread's CPU time may be known, and not what it was spent on.
NO_STACK = Frame("(not attributed)", "", 0, 0)


def stack_of(sample: Sample) -> Stack:
    """Return the stack of *sample*, leaf first, never empty."""
    return sample.stack or (NO_STACK,)


def thread_name(seen: Seen) -> str:
    """Return what the thread of a sample is called."""
    return seen.info.name or f"thread {seen.sample.thread}"


def said(profile: Profile) -> str:
    """Return which engine took *profile*, at what rate, at what cost, and how exact it is."""
    cost = profile.own_cpu_ns / 1e9
    share = 100 * cost / profile.seconds if profile.seconds > 0 else 0.0
    parts = [
        f"worker {profile.worker}: engine {profile.engine}, {profile.mode} time,"
        f" {profile.seconds:.2f} s, {sum(each.count for each in profile.samples):,} samples in"
        f" {profile.ticks:,} looks, {profile.rate:.0f} a second"
        f" ({1 / profile.interval:.0f} asked)"
        if profile.interval > 0
        else f"worker {profile.worker}: engine {profile.engine}, {profile.mode} time",
        f"its own cost {cost:.3f} s of CPU ({share:.1f}% of one core)",
        "CPU exact" if profile.cpu_exact else "CPU approximate",
    ]
    if profile.truncated:
        parts.append(f"{profile.truncated:,} stacks cut")
    if profile.lost:
        parts.append(f"{profile.lost:,} samples of further stacks left out")
    return "; ".join(parts)


def comments(merge: Merge) -> list[str]:
    """Return the lines that stand above a profile."""
    lines = [f"{platform.python_implementation()} {platform.python_version()}"]
    for profile in merge.profiles:
        lines.append(said(profile))
        if profile.note and profile.note not in lines:
            lines.append(profile.note)
    return lines
