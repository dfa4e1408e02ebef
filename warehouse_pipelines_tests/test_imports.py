"""Imports point one way: a room imports rooms below it, and no modules import each other in a circle.

Imports inside of functions and below ``TYPE_CHECKING`` count as well: they are knowledge of the other module too.
"""

import ast
import functools
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = "warehouse_pipelines"
ROOT = Path(__file__).parents[1]

LAYERS: list[tuple[str, ...]] = [
    ("errors", "running"),
    ("settings",),
    ("queries", "warehouse"),
    ("model",),
    ("observability",),
    ("sources", "loading"),
    ("local", "dlt_sources"),
    ("simulators", "schema"),
    ("unified",),
    ("outbound", "sequences"),
    ("serving",),
    ("orchestration",),
    ("definitions",),
    ("commands",),
]
"""The rooms from the bottom up. A room imports those of the layers below its own, and none beside it."""

NEVER = {("simulators", "sources"): "what is derived from the same file agrees even when it is wrong"}
"""What the layers would allow and must not be, with the reason."""


class Import(NamedTuple):
    """One import of a module of the package by another, and where it stands."""

    importer: str
    imported: str
    place: str


@functools.cache
def modules() -> dict[str, Path]:
    found = {}
    for file in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imported_by(node: ast.AST, known: dict[str, Path]) -> Iterator[str]:
    """Yield the modules of the package that a statement imports."""
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        assert not node.level, "imports are written in full"
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
        names = [str(one.value) for one in node.args if isinstance(one, ast.Constant)]
    for name in names:
        module = name if name in known else name.rpartition(".")[0]
        if module in known and module != PACKAGE:
            yield module


@functools.cache
def imports() -> list[Import]:
    known = modules()
    found = []
    for name, file in known.items():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            for imported in imported_by(node, known):
                place = f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
                found.append(Import(name, imported, place))
    return found


def room(module: str) -> str:
    """Return the part of the name below the package: that of a folder, or of a module that stands alone."""
    return module.removeprefix(f"{PACKAGE}.").partition(".")[0]


def layer(name: str) -> int:
    return next(number for number, rooms in enumerate(LAYERS) if name in rooms)


def test_every_room_has_a_layer() -> None:
    rooms = {room(name) for name in modules() if name != PACKAGE}
    assert rooms == {name for rooms in LAYERS for name in rooms}


def test_the_page_for_contributors_has_the_rooms_in_this_order() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `(\w+)/` \|", page, re.MULTILINE)
    folders = {room(name) for name, file in modules().items() if file.parent.parent == ROOT / PACKAGE}
    assert set(told) == folders
    assert [layer(name) for name in told] == sorted(layer(name) for name in told)


def test_imports_point_down() -> None:
    wrong = []
    for one in imports():
        above, below = room(one.importer), room(one.imported)
        if above in (below, PACKAGE):
            continue
        if layer(below) >= layer(above):
            wrong.append(f"{one.place}: {one.importer} imports {one.imported}, and {below} is not below {above}")
        if reason := NEVER.get((above, below)):
            wrong.append(f"{one.place}: {one.importer} imports {one.imported}, which {above} never may: {reason}")
    assert not wrong, "\n".join(wrong)


def circles(graph: dict[str, set[str]]) -> Iterator[list[str]]:
    """Yield a circle from each place where a walk along the imports comes back to a module that it is in."""
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> Iterator[list[str]]:
        if name in path:
            yield [*path[path.index(name) :], name]
        elif name not in done:
            for other in sorted(graph.get(name, ())):
                yield from walk(other, [*path, name])
            done.add(name)

    for name in sorted(graph):
        yield from walk(name, [])


def test_modules_form_no_circle() -> None:
    graph: dict[str, set[str]] = {}
    places: dict[tuple[str, str], str] = {}
    for one in imports():
        if one.importer != one.imported:
            graph.setdefault(one.importer, set()).add(one.imported)
            places[one.importer, one.imported] = one.place
    found = [
        " -> ".join(circle) + f" ({', '.join(places[pair] for pair in itertools.pairwise(circle))})"
        for circle in circles(graph)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({"a": {"b"}, "b": {"c"}}, []),
        ({"a": {"b"}, "b": {"a"}}, [["a", "b", "a"]]),
        ({"a": {"b"}, "b": {"c", "d"}, "d": {"b"}}, [["b", "d", "b"]]),
    ],
)
def test_a_circle_is_found(graph: dict[str, set[str]], expected: list[list[str]]) -> None:
    assert list(circles(graph)) == expected
