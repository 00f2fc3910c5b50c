"""Pretrained weights: inside the package, in Keras's cache, or downloaded."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import socket
import sys
import threading
import urllib.request
from importlib import resources
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from amaxds.compute import backend
from amaxds.compute.weights import read_tensors
from amaxds.errors import NotFoundOnline, WeightsError
from amaxds.spec.network import Network
from amaxds.storage.files import move_whole

_VGG16_FILE = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
VGG16_MD5 = "6d6bbae143d832006294945121d1f1fc"
_PROBE_SECONDS, _STALL_SECONDS = 6.0, 8.0


def has_local_weights(network: Network, choice: str) -> bool:
    """Whether `load_weights` has no need to download anything."""
    return choice != "pretrained" or network.name == "demo" or (network.model is None and os.path.isfile(_imagenet_path()))


def _pretrained(network: Network) -> dict[str, NDArray[Any]]:
    if network.name == "demo":
        with resources.as_file(resources.files("amaxds") / "data" / "demo.safetensors") as path:
            return read_tensors(path)
    return read_tensors(_imagenet_file())


def _imagenet_path() -> Path:
    return backend.keras_home() / "models" / _VGG16_FILE


def _imagenet_file() -> Path:
    """Keras's VGG16 file without the top, from its cache or downloaded into it by Keras; its hash is checked."""
    path = _imagenet_path()
    if not os.path.isfile(path):
        _download(path)
    found = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    if found != VGG16_MD5:
        raise WeightsError(f"{path} is damaged: its MD5 is {found}, expected {VGG16_MD5}.", "Delete it, or replace it.")
    return path


def _download(path: Path) -> None:
    """Fetch the file under another name, and rename it once its hash is right: a stopped download leaves nothing behind that
    passes for the file."""
    backend.start(1)
    import keras
    from keras.src.applications.vgg16 import WEIGHTS_PATH_NO_TOP as URL

    if not reachable(URL):
        raise _not_found(path)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_STALL_SECONDS)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            part = keras.utils.get_file(f"{path.name}.part", URL, cache_subdir="models", file_hash=VGG16_MD5)
    except Exception as error:  # Keras raises bare Exception for any download that fails.
        raise _not_found(path) from error
    finally:
        socket.setdefaulttimeout(before)
    move_whole(Path(part), path)


def _not_found(path: Path) -> NotFoundOnline:
    return NotFoundOnline(
        f"VGG16's ImageNet weights {_VGG16_FILE} could not be downloaded.",
        f"Put the file at {path}, or choose --weights FILE, --weights random, or --network demo.",
    )


def reachable(url: str) -> bool:
    """Whether the address answers within a few seconds; a resolver may hang for longer than any socket time-out."""
    answered = threading.Event()

    def probe() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_PROBE_SECONDS):
                answered.set()
        except (OSError, ValueError, http.client.HTTPException):  # A malformed proxy or answer means the same.
            pass

    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    thread.join(_PROBE_SECONDS)
    return answered.is_set()
