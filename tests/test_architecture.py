"""The packages of `docs/architecture.md`: who may import whom."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

from support.commands import ROOT

PACKAGE = ROOT / "builder" / "amaxds"
FLOORS = (
    {"secrets", "data"},
    {"errors"},
    {"image"},
    {"spec", "storage"},
    {"compute", "dataset"},
    {"builds"},
    {"checks", "analysis"},
    {"hubs"},
    {"api", "objectives"},
    {"cli"},
    {"__init__", "__main__"},
)
"""From the bottom up. What stands on one floor does not import one another."""


MOST_LINES = 300


def _name(path: Path) -> str:
    """amaxds.spec.plan for builder/amaxds/spec/plan.py; amaxds.spec for its __init__.py."""
    parts = ("amaxds", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


MODULES = {_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports_of(path: Path) -> set[str]:
    """The modules of the package that a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are written in full"
            found |= {f"{node.module}.{each.name}" for each in node.names}
            found.add(str(node.module))
    return {name for name in found if name in MODULES}


def floor_of(module: str) -> int:
    part = module.split(".")[1]
    return next(floor for floor, parts in enumerate(FLOORS) if part in parts)


def test_imports_point_downwards() -> None:
    upwards = [
        f"{module} -> {imported}"
        for module, path in MODULES.items()
        for imported in sorted(imports_of(path))
        if floor_of(imported) >= floor_of(module) and imported.split(".")[1] != module.split(".")[1]
    ]
    assert upwards == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {module: imports_of(path) - {module} for module, path in MODULES.items()}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(MODULES)


def test_files_are_of_a_size_to_read() -> None:
    lengths = {module: len(path.read_text().splitlines()) for module, path in MODULES.items()}
    assert {module: lines for module, lines in lengths.items() if lines > MOST_LINES} == {}
