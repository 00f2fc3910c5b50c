"""VGG16's pretrained weights: cached, fetched whole or not at all, and named where they are missing."""

from __future__ import annotations

import hashlib
import http.server
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from amaxds.compute import pretrained
from amaxds.compute.networks import load_weights
from amaxds.compute.weights import random_tensors
from amaxds.errors import NotFoundOnline, WeightsError
from amaxds.spec.network import VGG16
from support.commands import PROGRAMS
from support.weights_files import save_weights

pytestmark = pytest.mark.usefixtures("_backend")


def test_the_imagenet_file_is_found_in_kerass_cache_and_its_hash_checked(monkeypatch, tmp_path: Path) -> None:
    cached = tmp_path / "models" / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    cached.parent.mkdir()
    save_weights(random_tensors(VGG16, 0), cached)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match="its MD5 is") as caught:
        load_weights(VGG16, "pretrained", 0)
    assert str(cached) in str(caught.value)
    monkeypatch.setattr(pretrained, "VGG16_MD5", hashlib.md5(cached.read_bytes()).hexdigest())
    assert load_weights(VGG16, "pretrained", 0).digest == load_weights(VGG16, "random", 0).digest


def test_without_network_the_missing_file_is_named_quickly(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # Nothing listens there, whatever network the machine has.
    began = time.monotonic()
    with pytest.raises(NotFoundOnline) as caught:
        load_weights(VGG16, "pretrained", 0)
    assert time.monotonic() - began < 15
    for word in ("notop.h5", str(tmp_path / "models"), "--weights FILE", "--weights random", "--network demo"):
        assert word in str(caught.value)


@pytest.mark.system
def test_a_download_that_is_killed_leaves_nothing_that_passes_for_the_file(tmp_path: Path) -> None:
    """The real download by Keras, from a server on this machine that first stops half way."""
    data = save_weights(random_tensors(VGG16, 0), tmp_path / "w_notop.h5").read_bytes()
    halves = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def _head(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()

        do_HEAD = _head  # noqa: N815

        def do_GET(self) -> None:
            self._head()
            if halves.is_set():
                self.wfile.write(data)
            else:
                self.wfile.write(data[: len(data) // 2])
                self.wfile.flush()
                halves.set()
                time.sleep(60)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home = tmp_path / "keras"
    home.mkdir()
    address, digest = f"http://127.0.0.1:{server.server_port}/w.h5", hashlib.md5(data).hexdigest()
    command = [sys.executable, str(PROGRAMS / "fetch_vgg16.py"), address, digest]
    environment = os.environ | {"KERAS_HOME": str(home)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert halves.wait(60)
    while not any(path.stat().st_size > len(data) // 4 for path in (home / "models").iterdir()):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not list((home / "models").glob("*notop.h5"))
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    server.shutdown()
    server.server_close()
    assert again.stdout.split()[-1] == load_weights(VGG16, "random", 0).digest, again.stderr
    assert [path.name for path in (home / "models").iterdir()] == ["vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"]
