"""Whether the tests notice when the code that decides what is true is changed: mutants of `spec`, `dataset` and `checks`.

    pip install cosmic-ray
    python benchmarks/mutants.py WORK --seed 1 --count 110

Cosmic Ray finds every place where one of its operators changes something; the seed draws some of the places, and one mutant of
each. A mutant is noticed where one of the default tests fails, or takes ten times its time and five minutes. Left out, because
they change nothing that runs: annotations that nobody evaluates (all but those of pydantic's fields), aliases of types, and
what is under `if TYPE_CHECKING`.

In WORK, a copy of the repository with a call in front of every statement first tells which tests reach what, and how long they
take. A mutant then meets only tests that reach its statement (its module or its package, where it acts on import), the nearest
and quickest first, as many as `--budget` seconds have room for: what other tests would notice counts as unnoticed.

Everything is kept in WORK as it comes. The same command goes on where it was stopped, tries tests that are new, and with a
larger budget more tests on what was unnoticed; after a change of `builder/` begin with an empty WORK.
An hour or two on one core.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import os
import random
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reached import (
    AMAXDS,
    PACKAGES,
    ROOT,
    Choice,
    append,
    copy_to,
    fork,
    known,
    lines_of,
    load_libraries,
    record_reach,
    run_tests,
    sources,
)


@dataclass(frozen=True)
class Mutant:
    """One change of one place. `occurrence` counts the places of the operator in the file, as Cosmic Ray does."""

    file: str
    line: int
    column: int
    operator: str
    occurrence: int

    @property
    def place(self) -> tuple[str, int, int]:
        return self.file, self.line, self.column


def without_effect(tree: ast.Module) -> Iterator[ast.AST]:
    """What is never evaluated, or only for people who read types."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
            yield from (each.annotation for each in every if each is not None and each.annotation is not None)
            yield from filter(None, [node.returns])
            yield from (each.annotation for each in ast.walk(node) if isinstance(each, ast.AnnAssign))
        elif isinstance(node, ast.Module) or (
            isinstance(node, ast.ClassDef) and "dataclass" in map(_called, node.decorator_list)
        ):
            yield from (each.annotation for each in node.body if isinstance(each, ast.AnnAssign))
        elif isinstance(node, ast.If) and _called(node.test) == "TYPE_CHECKING":
            yield node
    aliases = (each.value for each in tree.body if isinstance(each, ast.Assign))
    yield from (
        value for value in aliases if isinstance(value, ast.Subscript) and _called(value.value) in ("tuple", "dict", "Callable")
    )


def _called(node: ast.AST) -> str:
    return ast.unparse(node.func if isinstance(node, ast.Call) else node).rpartition(".")[2]


def mutants() -> list[Mutant]:
    """All that Cosmic Ray can make and that may matter, in the order of file, operator, occurrence."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    found = []
    for file in sources():
        text = (ROOT / file).read_text()
        spans = [
            ((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)) for node in without_effect(ast.parse(text))
        ]
        nodes = list(ast_nodes(get_ast(text)))
        for name in operator_names():
            if get_operator(name).arguments():
                continue
            positions = (each for node in nodes for each in get_operator(name)().mutation_positions(node))
            for occurrence, (start, _) in enumerate(positions):
                if not any(first <= start < last for first, last in spans):
                    found.append(Mutant(file, *start, name.removeprefix("core/"), occurrence))
    return found


def draw(seed: int, count: int) -> list[Mutant]:
    """A random sample of places, and of each the first mutant in a random order that is Python at all."""
    rng = random.Random(seed)
    places = defaultdict(list)
    for mutant in mutants():
        places[mutant.place].append(mutant)
    drawn: list[Mutant] = []
    for place in rng.sample(sorted(places), len(places)):
        shuffled = rng.sample(places[place], len(places[place]))
        drawn += itertools.islice(filter(_compiles, shuffled), 1 if len(drawn) < count else 0)
    return drawn


def _compiles(mutant: Mutant) -> bool:
    try:
        compile(mutated(mutant), mutant.file, "exec")
    except SyntaxError:
        return False
    return True


def mutated(mutant: Mutant) -> str:
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    return str(mutate_code((ROOT / mutant.file).read_text(), get_operator(f"core/{mutant.operator}")(), mutant.occurrence))


def meet(mutant: Mutant, tests: dict[str, float], tree: Path, log: Path) -> str:
    """What noticed the mutant: a test, perhaps by its time, or the import of it; empty where nothing did."""
    last, file = log.with_suffix(".last"), tree / mutant.file
    last.write_text("")
    file.write_text(mutated(mutant))
    try:
        files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
        ended = fork(lambda: run_tests(tree, ["-x", *files], Choice(tests, last)), log) if tests else 0
    finally:
        file.write_text((ROOT / mutant.file).read_text())
    if ended in (5, 70):
        raise RuntimeError(f"{mutant} met no test: see {log}")
    if ended == 0:
        return ""
    return (last.read_text() or "import") + " (time-out)" * (ended == -signal.SIGALRM)


def run(work: Path, sample: list[Mutant], budget: float) -> dict[Mutant, dict[str, Any]]:
    """What became of every mutant of the sample, from WORK/outcomes or from running its tests."""
    tree, outcomes, tests = work / "mutated", work / "outcomes", known(work)
    copy_to(tree)
    os.environ["PYTHONPATH"] = str(tree / "builder")
    found: dict[Mutant, dict[str, Any]] = {}
    for entry in lines_of(outcomes):
        mutant = Mutant(**entry["mutant"])
        if not (mutant in found and found[mutant]["by"]):
            found[mutant] = entry
    for number, mutant in enumerate(sample, 1):
        before = found.get(mutant)
        chosen = tests.choose(mutant.file, mutant.line, budget)
        if before is None or not (before["by"] or set(chosen) <= set(before["tests"])):
            tried = set(before["tests"]) if before else set()
            begun = time.monotonic()
            by = meet(
                mutant, {test: seconds for test, seconds in chosen.items() if test not in tried}, tree, work / "mutants.log"
            )
            entry = {
                "mutant": vars(mutant),
                "by": by,
                "tests": sorted({*chosen, *tried}),
                "seconds": round(time.monotonic() - begun),
            }
            append(outcomes, entry)
            found[mutant] = entry
            print(f"{number} {mutant.file}:{mutant.line} {mutant.operator}: {by or 'unnoticed'}", file=sys.stderr, flush=True)
    return {mutant: found[mutant] for mutant in sample}


def change(mutant: Mutant) -> tuple[str, str]:
    """The lines that the mutant changes, before and after."""
    pairs = zip((ROOT / mutant.file).read_text().splitlines(), mutated(mutant).splitlines(), strict=False)
    return next((before.strip(), after.strip()) for before, after in pairs if before != after)


def table(found: dict[Mutant, dict[str, Any]]) -> str:
    lines = ["| package | mutants | noticed |", "|---|---|---|"]
    for name in (*PACKAGES, ""):
        group = [each for mutant, each in found.items() if mutant.file.startswith(f"{AMAXDS}/{name}")]
        noticed = sum(bool(each["by"]) for each in group)
        lines.append(f"| {f'`{name}`' if name else 'all'} | {len(group)} | {noticed} ({noticed / max(len(group), 1):.1%}) |")
    lines += ["", "| unnoticed | was | became | tests that reach it |", "|---|---|---|---|"]
    for mutant, each in found.items():
        if not each["by"]:
            was, became = (f"`{line}`".replace("|", "\\|") for line in change(mutant))
            lines.append(
                f"| {mutant.file.removeprefix(f'{AMAXDS}/')}:{mutant.line} | {was} | {became} | {len(each['tests'])} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=110)
    parser.add_argument("--budget", type=float, default=60, help="seconds of tests for each mutant")
    asked = parser.parse_args()
    work = asked.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    sample = draw(asked.seed, asked.count)
    load_libraries()
    record_reach(work)
    print(table(run(work, sample, asked.budget)))


if __name__ == "__main__":
    main()
