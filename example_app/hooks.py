"""Hooks: executables that are asked about mail."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import flask_expvar as expvar

#: A hook that takes longer has failed.
TIMEOUT = 10.0
#: What a command answers that should be run again later, as sendmail's sysexits.h has it.
TRY_AGAIN = 75


@dataclass(frozen=True)
class Answer:
    """How an executable ended; one that could not be run, or ran too long, says to try again."""

    status: int
    output: bytes

    @property
    def ok(self) -> bool:
        """Whether it agreed."""
        return self.status == 0


def run_hook(
    family: str,
    command: Sequence[str | Path],
    data: bytes = b"",
    env: Mapping[str, str] | None = None,
) -> Answer:
    """Run an executable with *data* as its input."""
    name = " ".join([Path(command[0]).name, *map(str, command[1:])])
    with expvar.trace(family, name) as trace:
        try:
            done = subprocess.run(
                list(map(str, command)), input=data, env=env, capture_output=True, timeout=TIMEOUT
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            trace.error(error)
            return Answer(TRY_AGAIN, type(error).__name__.encode())
        trace.log("ended with %d: %r", done.returncode, done.stdout[:200])
        if done.returncode != 0:
            trace.error("stderr: %r", done.stderr[:200])
        return Answer(done.returncode, done.stdout or done.stderr)
