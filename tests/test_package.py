"""What is installed: every file of the package, and a face that shows what it promises."""

from __future__ import annotations

import configparser
import re
from collections.abc import Callable
from importlib import metadata, resources
from pathlib import Path
from types import ModuleType

import pytest

import flask_expvar

ROOT = Path(__file__).parent.parent
NOT_SHIPPED = {"__pycache__", ".DS_Store"}
# Names that Python or its type checkers ask for, not the face's own.
MACHINERY = {"annotations", "TYPE_CHECKING"}


def checkout_files() -> dict[str, Path]:
    """Return the package's files by their path in the wheel."""
    files = (path for path in (ROOT / "flask_expvar").rglob("*") if path.is_file())
    return {
        path.relative_to(ROOT).as_posix(): path
        for path in files
        if not NOT_SHIPPED & set(path.parts)
    }


def setup_cfg() -> configparser.ConfigParser:
    return read_ini(ROOT / "setup.cfg")


def read_ini(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(path.read_text())
    return parser


@pytest.fixture
def wheel(need: Callable[[object, str], None]) -> metadata.Distribution:
    """Return the distribution installed from a wheel."""
    found = metadata.distributions(name="flask_expvar")
    # An editable installation ships no file of its own.
    wheels = [d for d in found if d.read_text("WHEEL") and "py.typed" in {f.name for f in d.files}]
    need(wheels, "flask_expvar installed from a wheel, as tox does")
    return wheels[0]


def test_wheel_has_every_file_of_the_checkout(wheel: metadata.Distribution) -> None:
    installed = {
        file.as_posix(): Path(wheel.locate_file(file))
        for file in wheel.files or ()
        # Not the command either, which pip makes and puts elsewhere.
        if not NOT_SHIPPED & set(file.parts) and file.parts[0] == "flask_expvar"
    }

    assert sorted(installed) == sorted(checkout_files())
    for name, path in checkout_files().items():
        assert installed[name].read_bytes() == path.read_bytes(), name


@pytest.mark.parametrize("folder", ["web/templates/expvar", "web/static", "."])
def test_installed_package_reads_its_data(wheel: metadata.Distribution, folder: str) -> None:
    place = resources.files("flask_expvar").joinpath(folder)
    data = [entry for entry in place.iterdir() if entry.is_file() and entry.name[-3:] != ".py"]

    assert data
    assert all(isinstance(entry.read_bytes(), bytes) for entry in data)
    assert Path(str(place)).is_relative_to(Path(str(wheel.locate_file(""))))


def test_installed_version_is_the_one_in_setup_cfg(wheel: metadata.Distribution) -> None:
    assert wheel.version == setup_cfg()["metadata"]["version"]


def test_pytest_finds_the_plugin(wheel: metadata.Distribution) -> None:
    plugins = [point for point in wheel.entry_points if point.group == "pytest11"]

    assert [(point.name, point.value) for point in plugins] == [
        ("flask_expvar", "flask_expvar.pytest_plugin")
    ]


def test_face_shows_exactly_what_it_promises() -> None:
    promised = list(flask_expvar.__all__)
    values = {name: getattr(flask_expvar, name) for name in promised}
    visible = {
        name
        for name in {*vars(flask_expvar), *dir(flask_expvar)} - MACHINERY
        if not name.startswith("_") and not isinstance(getattr(flask_expvar, name), ModuleType)
    }

    assert promised == sorted(visible)
    assert [name for name, value in values.items() if isinstance(value, ModuleType)] == []


def test_lowest_versions_allowed_are_the_ones_tested() -> None:
    config = setup_cfg()
    required = config["options"]["install_requires"]
    required += config["options.extras_require"]["gunicorn"]
    lowest = re.findall(r"^\s*([\w-]+)>=([\d.]+)(?:,<[\d.]+)?(?:;.*)?$", required, re.MULTILINE)
    tested = re.findall(
        r"^([\w-]+)==([\d.]+)$", read_ini(ROOT / "tox.ini")["testenv:min"]["deps"], re.MULTILINE
    )

    assert len(lowest) == len(required.strip().splitlines())
    tested = [(name, _plain(version)) for name, version in tested]
    assert {(name, _plain(version)) for name, version in lowest} <= set(tested)


def _plain(version: str) -> str:
    """Return *version* without zeros at its end: 5 is 5.0.0."""
    return re.sub(r"(?:\.0)+$", "", version)
