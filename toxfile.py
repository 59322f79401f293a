"""What tox cannot be told in tox.ini: where pyenv keeps its Pythons, and how to end on TERM."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

from tox.plugin import impl
from tox.tox_env.register import ToxEnvRegister


@impl
def tox_register_tox_env(register: ToxEnvRegister) -> None:
    """Prepare the process before tox looks for interpreters and starts commands."""
    _show_all_of_pyenv()
    # Killed by TERM, tox would leave the gunicorn of "tox run -e run" behind.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def _show_all_of_pyenv() -> None:
    """Put pyenv's interpreters last on the path.

    pyenv answers ``python3.12: command not found`` for a version that is installed but not
    switched on, and its environment would be skipped.
    """
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders = sorted(root.glob("versions/3.*/bin"), reverse=True)
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), *map(str, folders)])
