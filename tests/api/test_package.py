"""The package as a program imports it."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import amaxds

HEAVY = {"numpy", "PIL", "pandas", "pyarrow", "pydantic", "tensorflow", "keras", "datasets", "tqdm", "rich", "typer"}


def test_importing_it_loads_nothing_heavy() -> None:
    code = "import sys, amaxds; dir(amaxds); amaxds.errors; amaxds.build; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert HEAVY & set(loaded) == set()


def test_every_public_name_is_there_listed_and_documented() -> None:
    assert set(amaxds.__all__) <= set(dir(amaxds))
    for name in amaxds.__all__:
        public = getattr(amaxds, name)
        assert name == "__version__" or public.__doc__, name
    assert amaxds.__version__ == importlib.metadata.version("amaxds")
    with pytest.raises(AttributeError, match="no attribute 'blid'"):
        amaxds.blid  # noqa: B018


def test_types_are_known_to_who_checks_them(tmp_path: Path) -> None:
    assert (Path(amaxds.__file__).parent / "py.typed").is_file()


def test_index_takes_what_datasets_give(small: Path) -> None:
    dataset = amaxds.open_dataset(small)
    image = dataset["block1_conv2", 5]
    assert amaxds.uniformity_index(image.image) == amaxds.uniformity_index(image.pixels) == image.uniformity_index
    of_layer = dataset.layer("block1_conv2")
    assert amaxds.uniformity_index([each.image for each in of_layer]).tolist() == [each.uniformity_index for each in of_layer]
    with pytest.raises(amaxds.errors.UsageError, match=r"mode L is not RGB\.\nConvert it with image.convert\('RGB'\)"):
        amaxds.uniformity_index(Image.new("L", (4, 4)))


def test_checks_take_paths_names_and_opened_datasets(small: Path) -> None:
    dataset = amaxds.open_dataset(small)
    for name in (str(small), small, dataset):
        assert amaxds.validate(name).valid
    assert amaxds.diff(dataset, small).nothing
    with pytest.raises(amaxds.errors.UsageError, match="nowhere is no folder and no file"):
        amaxds.validate("nowhere")


def test_a_bundle_is_opened_as_its_dataset(small: Path, tmp_path: Path) -> None:
    assert amaxds.bundle(small, tmp_path / "bundle") == "original"
    with amaxds.open_dataset(tmp_path / "bundle") as bundle, amaxds.open_dataset(small) as dataset:
        assert list(bundle) == list(dataset)
        assert bundle.to_pandas().equals(dataset.to_pandas())


def test_a_dry_run_of_publishing_says_what_it_would_do(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "none")
    said: list[str] = []
    options = {"allow_partial": True, "dry_run": True, "show": said.append}
    amaxds.publish(small, "huggingface", "owner/demo-filter-activations", **options)
    assert any("owner/demo-filter-activations" in line for line in said)
    with pytest.raises(amaxds.errors.UsageError, match=r"unknown hub 'hugingface'.\nDid you mean 'huggingface'\?"):
        amaxds.publish(small, "hugingface", "owner/demo-filter-activations", **options)
