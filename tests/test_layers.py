"""Imports only go down the floors of the house; lazy and typing-only imports count."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

FACE = "flask_expvar"
SOURCE = Path(__file__).parent.parent / FACE

# From the ground up. Rooms of one floor do not know each other, but for those of the ground,
# and a room may import itself.
FLOORS = [
    {"settings", "redaction", "redaction_argv", "exceptions", "_json", "_native"},
    {"stacks"},
    {"variables", "profiles"},
    {"traces", "workers"},
    {"sources"},  # above workers, which find the server whose settings it reads
    {"pages"},
    {"web"},
    {"testing", "gunicorn", "cli", "otel"},
    {"pytest_plugin"},
]
GROUND, EDGES = FLOORS[0], FLOORS[-2] | FLOORS[-1]
# What is imported from elsewhere, and the only rooms that may.
HOSTS = {
    **{name: {"web"} for name in ("flask", "werkzeug", "jinja2", "markupsafe")},
    "click": {"web", "cli"},
    "gunicorn": {"gunicorn"},
    "opentelemetry": {"otel"},
    "pyinstrument": {"stacks", "profiles"},
    "pytest": {"pytest_plugin"},
}


@dataclass(frozen=True)
class Import:
    """One module that another one names in an import statement."""

    target: str
    line: int
    late: bool  # inside a function

    def __str__(self) -> str:
        return f"line {self.line}: {self.target}"


def module_name(path: Path, source: Path) -> str:
    parts = (source.name, *path.relative_to(source).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


def room_of(module: str) -> str:
    """Return the folder or module right under the face, and the face for itself."""
    return module.split(".")[1] if "." in module else FACE


def imports_of(path: Path, source: Path) -> list[Import]:
    """Return what the module at *path* imports, relative names resolved."""
    package = module_name(path, source).split(".")
    if path.name != "__init__.py":
        package.pop()
    return [
        Import(target, node.lineno, late)
        for node, late in _statements(ast.parse(path.read_text()))
        for target in _targets(node, package, source)
    ]


def _statements(
    tree: ast.AST, late: bool = False
) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node, late
        function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        yield from _statements(node, late or function)


def _targets(node: ast.Import | ast.ImportFrom, package: list[str], source: Path) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = package[: len(package) - node.level + 1] if node.level else []
    origin = ".".join([*base, *filter(None, [node.module])])
    for alias in node.names:
        # "from .variables import registry" names the module, not its package.
        name = f"{origin}.{alias.name}"
        file = source.parent.joinpath(*name.split("."))
        is_module = file.with_suffix(".py").exists() or (file / "__init__.py").exists()
        yield name if is_module else origin


def refusals(module: str, imports: list[Import]) -> list[str]:
    """Return a sentence for each import that the house does not allow."""
    return [f"{found} {why}" for found in imports if (why := _refusal(module, found))]


def _refusal(module: str, found: Import) -> str:
    room = room_of(module)
    top = found.target.split(".")[0]
    if top != FACE:
        rooms = HOSTS.get(top)
        return f"is only for {sorted(rooms)}" if rooms and room not in rooms else ""
    target = room_of(found.target)
    if target in EDGES and (room, target) != ("pytest_plugin", "testing"):
        return "is an edge, which nobody imports"
    if room == FACE:
        return ""
    if target == FACE and room not in EDGES:
        return "is the face, which stands above"
    if found.late:
        return "is late, as only the face may be"
    same = room == target or (room in GROUND and target in GROUND)
    return "" if same or target == FACE or floor(target) < floor(room) else "is no floor below"


def floor(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return a way around for each module that leads back to itself."""
    found = []
    for start in sorted(graph):
        ways = [[start]]
        seen: set[str] = set()
        while ways:
            way = ways.pop()
            for target in graph.get(way[-1], set()) - seen:
                if target == start:
                    found.append([*way, start])
                    ways = []
                    break
                seen.add(target)
                ways.append([*way, target])
    return found


MODULES = {module_name(path, SOURCE): path for path in sorted(SOURCE.rglob("*.py"))}


def test_every_module_has_a_floor() -> None:
    rooms = {room_of(module) for module in MODULES}

    assert rooms - set().union(*FLOORS) - {FACE} == set()


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module: str) -> None:
    assert refusals(module, imports_of(MODULES[module], SOURCE)) == []


def test_no_module_leads_back_to_itself() -> None:
    graph = {
        module: {found.target for found in imports_of(path, SOURCE)} & MODULES.keys()
        for module, path in MODULES.items()
    }

    assert circles(graph) == []


# -- the reader itself -------------------------------------------------------------------------


def house(tmp_path: Path, **modules: str) -> Path:
    source = tmp_path / FACE
    for name, text in {"variables__init__": "", "variables__cells": "", **modules}.items():
        path = source / (name.replace("__", "/", 1).replace("/init__", "/__init__") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return source


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("import flask.views", "flask.views"),
        ("from ..web import access", "flask_expvar.web"),
        ("from .. import settings", "flask_expvar"),
        ("from . import cells", "flask_expvar.variables.cells"),
        ("from .cells import Cell", "flask_expvar.variables.cells"),
        ("from flask_expvar.variables import cells", "flask_expvar.variables.cells"),
        ("if TYPE_CHECKING:\n    from ..web import x", "flask_expvar.web"),
        ("class A:\n    def f(self):\n        import flask", "flask"),
    ],
)
def test_reader_finds_imports_of_every_form(tmp_path: Path, text: str, target: str) -> None:
    source = house(tmp_path, variables__kinds=text)

    found = imports_of(source / "variables" / "kinds.py", source)

    assert [each.target for each in found] == [target]
    assert found[0].late == ("def" in text)


def test_relative_imports_of_a_package_start_in_itself(tmp_path: Path) -> None:
    source = house(tmp_path, variables__init__="from .cells import Cell")

    found = imports_of(source / "variables" / "__init__.py", source)

    assert [each.target for each in found] == ["flask_expvar.variables.cells"]


@pytest.mark.parametrize(
    ("module", "target", "late", "why"),
    [
        ("variables.kinds", "flask_expvar.pages.vars", False, "no floor below"),
        ("traces.trace", "flask_expvar.workers.slots", False, "no floor below"),
        ("pages.vars", "werkzeug.datastructures", False, "is only for ['web']"),
        ("pages.vars", "flask_expvar", False, "is the face"),
        ("pages.vars", "flask_expvar.variables", True, "is late"),
        ("web.views", "flask_expvar.cli", False, "is an edge"),
        ("cli", "flask_expvar.testing", False, "is an edge"),
        ("settings", "flask_expvar.stacks", False, "no floor below"),
    ],
)
def test_import_upwards_is_refused(module: str, target: str, late: bool, why: str) -> None:
    refused = refusals(f"{FACE}.{module}", [Import(target, 7, late)])

    assert len(refused) == 1
    assert refused[0].startswith(f"line 7: {target} ")
    assert why in refused[0]


def test_imports_downwards_and_within_a_room_are_allowed() -> None:
    allowed = [
        ("web.views", "flask"),
        ("web.views", "flask_expvar.pages"),
        ("pages.vars", "flask_expvar.exceptions"),
        ("variables.kinds", "flask_expvar.variables.cells"),
        ("settings", "flask_expvar.exceptions"),
        ("pytest_plugin", "flask_expvar.testing"),
    ]
    for module, target in allowed:
        assert refusals(f"{FACE}.{module}", [Import(target, 1, False)]) == []
    assert refusals(FACE, [Import("flask_expvar.web.views", 1, True)]) == []


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c", "d"}, "c": set(), "d": {"b"}}) == [
        ["b", "d", "b"],
        ["d", "b", "d"],
    ]
