"""What users have set for the libraries changes no image: it is set again, or refused in words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from amaxds.compute import machine
from support.commands import amaxds, run_program

OURS = "float32 channels_last 1e-07 None float32 float32 1 3 3 2"
ONE = ("--network", "demo", "--layers", "block1_conv1", "--filters", "0", "--steps", "1")
SETTINGS = {
    "half precision, channels first, an epsilon, Flax and a limit of epochs": (
        {"floatx": "float16", "image_data_format": "channels_first", "epsilon": 0.5, "nnx_enabled": True},
        {"KERAS_MAX_EPOCHS": "1", "KERAS_MAX_STEPS_PER_EPOCH": "one"},
    ),
    "double precision and an empty backend": ({"floatx": "float64"}, {"KERAS_BACKEND": ""}),
}


def _home(folder: Path, text: str) -> str:
    (folder / "keras.json").write_text(text)
    return str(folder)


@pytest.mark.parametrize("case", [pytest.param(each, marks=[pytest.mark.system] * ("double" in each)) for each in SETTINGS])
def test_keras_computes_with_our_settings_whatever_the_user_has_set(case: str, tmp_path: Path) -> None:
    said, variables = SETTINGS[case]
    ended = run_program("keras_settings.py", KERAS_HOME=_home(tmp_path, json.dumps(said)), **variables)
    assert ended.stdout == f"tensorflow {OURS}\nTensorFlow is loaded: True\n", ended.stderr


def test_the_backend_of_kerass_settings_file_is_used_and_nothing_imports_the_other(tmp_path: Path) -> None:
    """With our settings, whatever the user has set of JAX."""
    home = _home(tmp_path, json.dumps({"floatx": "float16", "backend": "jax"}))
    settings = {"JAX_DISABLE_JIT": "1", "JAX_NUMPY_DTYPE_PROMOTION": "strict", "JAX_DEFAULT_MATMUL_PRECISION": "bfloat16"}
    ended = run_program("keras_settings.py", KERAS_HOME=home, KERAS_BACKEND="", **settings)
    assert ended.stdout == f"jax {OURS}\nTensorFlow is loaded: False\n", ended.stderr


@pytest.mark.system
def test_flags_of_xla_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "flags").write_text("--xla_cpu_enable_fast_math=true\n")
    ended = amaxds("build", tmp_path / "out", *ONE, XLA_FLAGS=str(tmp_path / "flags"))
    assert ended.returncode == 0, ended.stderr
    settings = json.loads((tmp_path / "out" / "build.json").read_text())["software"]["settings"]
    assert settings["XLA_FLAGS"].startswith("--xla_cpu_enable_fast_math=true ")


def test_a_backend_is_set_up_once() -> None:
    """Whatever is asked for later, as for a download of weights, the pool has the threads that programs with loops need, and
    what was made meanwhile is left to the garbage collector."""
    ended = run_program("started_again.py")
    assert ended.stdout == "tensorflow, [3, 3, 3, 3, 4] threads, as many objects frozen\n", ended.stderr


REFUSED = {
    "bfloat16": ('{"floatx": "bfloat16"}', {}, ("bfloat16", "keras.json")),
    "a list": ("[1]", {}, ("keras.json",)),
    "a platform that JAX does not know": ("{}", {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "abacus"}, ("'abacus'",)),
    "a flag that XLA does not know": ("{}", {"XLA_FLAGS": "--xla_abacus"}, ("--xla_abacus", "XLA_FLAGS")),
    "another backend": ("{}", {"KERAS_BACKEND": "abacus"}, ("'abacus'", "KERAS_BACKEND=tensorflow")),
    "another backend in the file": ('{"backend": "torch"}', {"KERAS_BACKEND": ""}, ("Keras is set to run on 'torch'",)),
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(each, marks=[pytest.mark.system] * (each in ("a list", "a flag that XLA does not know")))
        for each in REFUSED
    ],
)
def test_settings_with_which_nothing_runs_are_refused_in_words(
    case: str, tmp_path: Path, assert_error: Callable[..., None]
) -> None:
    text, variables, words = REFUSED[case]
    ended = amaxds("build", tmp_path / "out", *ONE, KERAS_HOME=_home(tmp_path, text), **variables)
    assert_error(ended, 2, *words)
    assert not (tmp_path / "out").exists()


def test_a_backend_that_is_not_installed_is_refused_in_words(tmp_path: Path, assert_error: Callable[..., None]) -> None:
    (tmp_path / "jax").mkdir()
    (tmp_path / "jax" / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'jax'\")")
    search = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    ended = amaxds("build", tmp_path / "out", *ONE, KERAS_BACKEND="jax", PYTHONPATH=search)
    assert_error(ended, 2, "No module named 'jax'", "pip install 'amaxds[jax]'")


@pytest.mark.parametrize(
    ("missing", "variables", "chosen"),
    [
        (["tensorflow"], {}, "jax"),
        (["tensorflow", "jax"], {}, "Keras cannot run on 'tensorflow'"),
        (["tensorflow"], {"KERAS_BACKEND": "tensorflow"}, "Keras cannot run on 'tensorflow'"),
    ],
)
def test_without_tensorflow_keras_runs_on_jax(missing: list[str], variables: dict[str, str], chosen: str) -> None:
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({missing})); from amaxds.compute import backend; print(backend.start(1))"
    )
    variables = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"} | variables
    ended = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False)
    assert chosen in (ended.stdout if ended.returncode == 0 else ended.stderr)


def test_a_gpu_is_seen_whatever_its_number_unless_it_is_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "DEVICES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "nvidiactl").touch()
    assert not machine.has_nvidia_gpu()
    (tmp_path / "nvidia3").touch()
    assert machine.has_nvidia_gpu()
    for hidden in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert not machine.has_nvidia_gpu()
