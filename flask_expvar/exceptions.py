"""The errors of the package, in one tree.

::

    ExpvarError
    ├── SettingError     (ValueError)  a wrong ``EXPVAR_`` setting
    ├── BadNameError     (ValueError)  a name that no variable can have
    ├── NameTakenError   (ValueError)  a name that another variable has already
    ├── BadKindError     (TypeError)   a value or rule that a variable cannot take
    ├── ParameterError   (ValueError)  a wrong parameter of a page's URL (400)
    ├── UnknownError     (LookupError) something asked for that is not there (404)
    ├── BusyError        (RuntimeError) a profile is being taken already (409)
    ├── UnavailableError (RuntimeError) something that this process cannot do (501)
    └── StoreError       (OSError)     the shared folder or one of its files
"""

from __future__ import annotations


class ExpvarError(Exception):
    """Base of every error that this package raises on purpose."""


class SettingError(ExpvarError, ValueError):
    """Raised at set-up when an ``EXPVAR_`` setting is unknown or has a wrong value.

    The value itself is kept out of the message when it may be a secret.
    """

    def __init__(self, name: str, problem: str, allowed: str) -> None:
        super().__init__(f"{name} {problem}; allowed: {allowed}")
        self.name = name
        self.allowed = allowed


class BadNameError(ExpvarError, ValueError):
    """Raised when a variable, a queue or a page is declared under a name that it cannot have."""

    def __init__(
        self,
        name: object,
        problem: str,
        *,
        what: str = "a variable",
        instead: str = "printable ASCII that does not start with a digit,"
        " for example 'shop/orders'",
    ) -> None:
        super().__init__(f"{name!r} cannot name {what}: {problem}; use {instead}")
        self.name = name


class NameTakenError(ExpvarError, ValueError):
    """Raised when a name is declared again as something else."""

    def __init__(
        self,
        name: str,
        old: str,
        new: str,
        *,
        way_out: str = "take another name, or unpublish() the old one first",
    ) -> None:
        super().__init__(f"{name!r} is already published as {old}, not {new}; {way_out}")
        self.name = name
        self.old = old
        self.new = new


class BadKindError(ExpvarError, TypeError):
    """Raised at declaration when an argument is not of a kind that the variable takes."""

    def __init__(self, what: str, value: object, allowed: str) -> None:
        super().__init__(f"{what} is {value!r}; allowed: {allowed}")
        self.value = value
        self.allowed = allowed


class ParameterError(ExpvarError, ValueError):
    """Raised when a page is asked with a parameter that it does not allow: 400."""

    def __init__(self, name: str, value: str, allowed: str) -> None:
        super().__init__(f"bad parameter {name}={value[:80]!r}; allowed: {allowed}")
        self.name = name
        self.allowed = allowed


class UnknownError(ExpvarError, LookupError):
    """Raised when a page is asked for something that is not there: 404.

    :param link: where something like it may be found: an address, relative to the overview's,
        and its name.
    """

    def __init__(self, message: str, *, link: tuple[str, str] | None = None) -> None:
        super().__init__(message)
        self.link = link


class BusyError(ExpvarError, RuntimeError):
    """Raised when a profile is asked for while one is being taken in the same process: 409.

    :param started: when it began, since the epoch; *ends*: when it will be done.
    """

    def __init__(self, worker: int, started: float, ends: float, *, now: float) -> None:
        super().__init__(
            f"worker {worker} is being profiled already, since {max(now - started, 0):.0f} s;"
            f" it will be done in {max(ends - now, 0):.0f} s: wait for it, or stop it"
        )
        self.worker = worker
        self.started = started
        self.ends = ends


class UnavailableError(ExpvarError, RuntimeError):
    """Raised when a process cannot do what it is asked for: 501. It says why and what it can."""


class StoreError(ExpvarError, OSError):
    """Raised when the shared folder, or one of its files, cannot be used."""
