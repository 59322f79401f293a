"""The command ``flask-expvar``: the pages on a terminal, of a URL or of a folder on this machine.

Exit codes: 0 all is well, 1 it is not there or the server failed, 2 wrong use, 3 nobody answers,
4 refused.
"""

from __future__ import annotations

import click

from .web.commands import login_url_of
from .web.terminal import COMMANDS


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="flask_expvar")
def main() -> None:
    """Look into the workers of a Flask application.

    URL is where the debug pages are, such as http://127.0.0.1:1099/debug/, or a server alone whose
    pages are at /debug/, such as 127.0.0.1:1099; a token is taken from FLASK_EXPVAR_TOKEN. Without
    a URL the gunicorn of this user on this machine is asked, or the one whose workers share --dir.
    """


for command in (*COMMANDS, login_url_of):
    main.add_command(command)


if __name__ == "__main__":
    main()
