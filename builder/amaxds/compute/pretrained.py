"""Pretrained weights of the networks without a Keras model: inside the package, in Keras's cache, or downloaded."""

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
from amaxds.spec.network import DEMO, VGG16, Network
from amaxds.storage.files import move_whole

_VGG16_FILE = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
VGG16_URL = f"https://storage.googleapis.com/tensorflow/keras-applications/vgg16/{_VGG16_FILE}"
VGG16_MD5 = "6d6bbae143d832006294945121d1f1fc"
_PROBE_SECONDS, _STALL_SECONDS = 6.0, 8.0


def has_local_weights(network: Network, choice: str) -> bool:
    """Whether `load_weights` surely finds these weights without a download."""
    return choice != "pretrained" or network == DEMO or (network == VGG16 and os.path.isfile(_imagenet_path()))


def read_pretrained(network: Network) -> dict[str, NDArray[Any]]:
    """The tensors of the demo network's or VGG16's pretrained weights, as their file has them. NotFoundOnline where they cannot
    be downloaded, WeightsError where the file is damaged."""
    if network == DEMO:
        with resources.as_file(resources.files("amaxds") / "data" / "demo.safetensors") as path:
            return read_tensors(path)
    return read_tensors(_imagenet_file())


def _imagenet_path() -> Path:
    return backend.keras_home() / "models" / _VGG16_FILE


def _imagenet_file() -> Path:
    """Keras's file of VGG16 without its dense layers, in Keras's cache, downloaded if it is not there; its hash is checked."""
    path = _imagenet_path()
    if not os.path.isfile(path):
        _download(path)
    found = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    if found != VGG16_MD5:
        raise WeightsError(f"{path} is damaged: its MD5 is {found}, expected {VGG16_MD5}.", "Delete it, or replace it.")
    return path


def _download(path: Path) -> None:
    """Download the file under another name, and rename it once its hash is right, so that an interrupted download is never
    taken for the file."""
    backend.start(1)
    import keras

    if not reachable(VGG16_URL):
        raise _not_found(path)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_STALL_SECONDS)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            part = keras.utils.get_file(f"{path.name}.part", VGG16_URL, cache_subdir="models", file_hash=VGG16_MD5)
    except Exception as error:  # Keras raises bare Exception for any download that fails.
        raise _not_found(path) from error
    finally:
        socket.setdefaulttimeout(before)
    move_whole(Path(part), path)


def _not_found(path: Path) -> NotFoundOnline:
    return NotFoundOnline(
        f"VGG16's ImageNet weights {_VGG16_FILE} could not be downloaded.",
        f"Put the file at {path}, or choose others (--weights FILE or --weights random) or demo (--network demo).",
    )


def reachable(url: str) -> bool:
    """Whether the address answers within a few seconds. It is asked from a thread, because looking up a name may take longer
    than any time-out of a socket."""
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
