"""The published contract: generated, never stale, and true of real datasets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from amaxds.checks.contract import build_schema, contract_files, write_contract
from amaxds.checks.rules import RULES
from amaxds.dataset.build_reader import require_build_info
from amaxds.dataset.bundle import bundle
from amaxds.dataset.record import json_schema
from amaxds.image import pixels_sha256
from support.commands import ROOT, run_program


def test_published_contract_is_what_the_definitions_say() -> None:
    """Run `amaxds metadata` after changing a definition."""
    stored = {path.name: path.read_text() for path in (ROOT / "metadata").iterdir()}
    assert stored == contract_files()


def test_the_contract_is_written_file_by_file(tmp_path: Path) -> None:
    written = write_contract(tmp_path)
    assert {path.name: path.read_text() for path in written} == contract_files()
    assert sorted(written) == sorted(tmp_path.iterdir())


def test_schema_accepts_a_record_and_refuses_a_wrong_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    image = np.zeros((4, 4, 3), np.uint8)
    record = {
        "image": "aGVsbG8=",
        "network": "demo",
        "layer": "block1_conv1",
        "filter": 0,
        "recipe": "original",
        "seed": 0,
        "status": "alive",
        "activation_start": 0.0,
        "activation": 1.0,
        "activation_rank": 1,
        "uniformity_index": 1.0,
        "pixels_sha256": pixels_sha256(image),
    }
    jsonschema.validate(record, json_schema())
    for wrong in ({"status": "asleep"}, {"filter": -1}, {"layer": "../conv9"}, {"activation_rank": 0}, {"more": 1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(record | wrong, json_schema())


def test_schema_accepts_a_real_build_and_refuses_a_wrong_one(small: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(build_schema())
    stored = json.loads((small / "build.json").read_text())
    jsonschema.validate(stored, build_schema())
    for wrong in ({"images": -1}, {"seed": "0"}, {"software": 3}, {"note": "hello"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(stored | wrong, build_schema())


def test_every_rule_has_its_section() -> None:
    page = contract_files()["rules.md"]
    assert [line[3:] for line in page.splitlines() if line.startswith("## ")] == list(RULES)
    assert all(f"{rule.sentence}.\n\n{rule.meaning}\n" in page for rule in RULES.values())


def _shape(value: Any) -> Any:
    """A description without what depends on the data: numbers, texts and checksums of files."""
    if isinstance(value, dict):
        return {key: _shape(each) for key, each in value.items() if key not in ("sha256", "contentSize", "description")}
    return [_shape(each) for each in value] if isinstance(value, list) else value


def test_the_examples_are_laid_out_like_those_of_a_real_dataset(small: Path, tmp_path: Path) -> None:
    """Of the recipe that both have; the example is complete and has another one besides."""
    bundle(small, require_build_info(small), tmp_path / "bundle")
    for name, real in (("croissant", small), ("croissant.bundle", tmp_path / "bundle")):
        example = _shape(json.loads(contract_files()[f"{name}.example.json"]))
        found = _shape(json.loads((real / "croissant.json").read_text()))
        assert example.keys() == found.keys()
        text = json.dumps(example).replace("clear", "original") if name == "croissant.bundle" else json.dumps(example)
        parts = [json.dumps(part) for kind in ("distribution", "recordSet") for part in found[kind]]
        assert len(parts) >= 4
        assert all(part in text for part in parts)


def test_croissants_own_reader_finds_no_error_in_the_examples(tmp_path: Path) -> None:
    examples = sorted((ROOT / "metadata").glob("croissant*.json"))
    assert len(examples) == 2
    ended = run_program("croissant_errors.py", *examples, HOME=str(tmp_path))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "\n\n"
