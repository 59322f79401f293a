"""The real ``go tool pprof``."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def pprof(folder: Path, *arguments: str) -> str:
    """Return what ``go tool pprof`` prints; it writes nowhere but into *folder*.

    Without Go the test is skipped, but fails in CI.
    """
    go = shutil.which("go")
    if go is None or ("-svg" in arguments and shutil.which("dot") is None):
        if os.environ.get("CI"):
            pytest.fail("go and graphviz are not installed")
        pytest.skip("go and graphviz are not installed")
    done = subprocess.run(
        [go, "tool", "pprof", *arguments],
        cwd=folder,
        env={**os.environ, "PPROF_TMPDIR": str(folder), "HOME": str(folder)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    return (done.stdout + done.stderr).decode()
