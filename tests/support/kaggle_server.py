"""A loopback stand-in for Kaggle: enough of it for the real client to create, update, ask for and fetch datasets."""

from __future__ import annotations

import base64
import io
import json
import re
import tempfile
import threading
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

import filelock

URL = "http://localhost:7777"
"""Where the client looks with KAGGLE_API_ENVIRONMENT=TEST."""


@dataclass
class Version:
    """One version of a dataset, whole."""

    notes: str
    files: dict[str, bytes]


@dataclass
class Dataset:
    """A dataset with its versions, oldest first."""

    title: str
    licence: str
    private: bool
    versions: list[Version] = field(default_factory=list)


@dataclass
class Blob:
    """A file on its way: what of it has arrived."""

    name: str
    size: int
    data: bytes = b""


@dataclass
class Failure:
    """What befalls the next `times` requests whose path matches; of an upload, `keep` bytes arrive all the same."""

    path: str
    status: int
    times: int
    keep: int


class Refusal(Exception):
    """An answer other than success."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    """Reads a request, and answers it or fails as told."""

    kaggle: ClassVar[KaggleServer]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def serve(self) -> None:
        path = urlsplit(self.path).path
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        failure = self.kaggle.note(self.command, path)
        status, extra = 200, {"Content-Type": "application/json"}
        with self.kaggle.lock:
            try:
                if self.command == "PUT":
                    status, content = self.upload(path, body, failure), b""
                elif failure:
                    raise Refusal(failure.status, "told to fail")
                else:
                    content = self.answer(path.rsplit("/", 1)[-1], json.loads(body or b"{}"))
                    if isinstance(content, bytes):
                        extra = {"Content-Type": "application/zip"}
            except Refusal as refusal:
                status, content = refusal.status, {"code": refusal.status, "message": str(refusal)}
            if status == 308 and self.kaggle.blobs[path].data:
                extra["Range"] = f"bytes=0-{len(self.kaggle.blobs[path].data) - 1}"
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for header in {**extra, "Content-Length": str(len(data))}.items():
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = serve  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def upload(self, path: str, body: bytes, failure: Failure | None) -> int:
        """Take bytes of a file; the status of the answer."""
        blob = self.kaggle.blobs[path]
        if failure:
            blob.data += body[: failure.keep]
            return failure.status
        place = re.fullmatch(r"bytes (?:\*|(\d+)-\d+)/\d+", self.headers.get("Content-Range", ""))
        if place is None:
            blob.data = body
        elif place[1] is not None:
            blob.data = blob.data[: int(place[1])] + body
        return 200 if len(blob.data) == blob.size else 308

    def answer(self, call: str, asked: dict[str, Any]) -> Any:
        login = base64.b64encode(f"{self.kaggle.username}:{self.kaggle.key}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {login}":
            raise Refusal(401, "Unauthorized")
        slug = asked.get("datasetSlug") or asked.get("slug")
        name = f"{asked.get('ownerSlug')}/{slug}"
        if call == "StartBlobUpload":
            path = f"/upload/{len(self.kaggle.blobs)}"
            self.kaggle.blobs[path] = Blob(asked["name"], int(asked["contentLength"]))
            return {"token": path, "createUrl": URL + path}
        if call == "CreateDataset":
            return self.create(name, asked)
        if name not in self.kaggle.datasets:
            raise Refusal(403, "Permission 'datasets.get' was denied")
        dataset = self.kaggle.datasets[name]
        match call:
            case "GetDatasetStatus":
                return {"status": "READY"}
            case "GetDataset":
                return {"ref": name, "currentVersionNumber": len(dataset.versions), "isPrivate": dataset.private}
            case "CreateDatasetVersion":
                files = self.received(asked["body"])
                dataset.versions.append(Version(asked["body"].get("versionNotes", ""), files))
                return {"ref": name, "url": URL, "status": "ok"}
            case "UpdateDatasetMetadata":
                dataset.private = bool(asked["settings"].get("isPrivate"))
                return {"errors": []}
            case "DownloadDataset":
                return self.zipped(dataset.versions[int(asked.get("datasetVersionNumber") or len(dataset.versions)) - 1])
        raise Refusal(404, f"no such call: {call}")

    def create(self, name: str, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["ownerSlug"] != self.kaggle.username:
            raise Refusal(403, "Permission 'datasets.create' was denied")
        if any(name == each or dataset.title == asked["title"] for each, dataset in self.kaggle.datasets.items()):
            return {"status": "error", "error": f'The requested title "{asked["title"]}" is already in use by a dataset.'}
        dataset = Dataset(asked["title"], asked["licenseName"], bool(asked.get("isPrivate")))
        dataset.versions.append(Version("", self.received(asked)))
        self.kaggle.datasets[name] = dataset
        return {"ref": name, "url": URL, "status": "ok"}

    def received(self, asked: dict[str, Any]) -> dict[str, bytes]:
        """The files of a version: those uploaded, archives unpacked as Kaggle does."""
        files: dict[str, bytes] = {}
        for each in asked["files"]:
            blob = self.kaggle.blobs[each["token"]]
            if len(blob.data) != blob.size:
                raise Refusal(400, f"{blob.name} did not arrive")
            if blob.name.endswith(".zip"):
                with zipfile.ZipFile(io.BytesIO(blob.data)) as archive:
                    folder = blob.name.removesuffix(".zip")
                    files |= {f"{folder}/{name}": archive.read(name) for name in archive.namelist() if not name.endswith("/")}
            else:
                files[blob.name] = blob.data
        return files

    def zipped(self, version: Version) -> bytes:
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w") as archive:
            for name, data in version.files.items():
                damaged = any(re.search(pattern, name) for pattern in self.kaggle.damaged)
                archive.writestr(name, data[:-1] + bytes([data[-1] ^ 1]) if damaged else data)
        return sink.getvalue()


def turn() -> filelock.BaseFileLock:
    """Held by whoever has the server's port, or needs it to be free."""
    return filelock.FileLock(Path(tempfile.gettempdir()) / "amaxds-kaggle-server.lock", timeout=300)


class KaggleServer(ThreadingHTTPServer):
    """Use as a context manager; it listens on port 7777, one at a time on a machine, and takes one name and key."""

    allow_reuse_address = True
    daemon_threads = True
    username, key = "owner", "secret-key"

    def __init__(self) -> None:
        self.turn = turn()
        self.turn.acquire()
        super().__init__(("127.0.0.1", 7777), type("Bound", (Handler,), {"kaggle": self}))
        self.lock = threading.RLock()
        self.datasets: dict[str, Dataset] = {}
        self.blobs: dict[str, Blob] = {}
        self.failures: list[Failure] = []
        self.damaged: list[str] = []
        self.requests: list[tuple[str, str]] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self.turn.release()

    def fail(self, path: str, status: int = 503, times: int = 1, keep: int = 0) -> None:
        """Let the next requests whose path matches fail."""
        self.failures.append(Failure(path, status, times, keep))

    def damage(self, pattern: str) -> None:
        """From now on, files whose name matches are served with one bit flipped."""
        self.damaged.append(pattern)

    def note(self, method: str, path: str) -> Failure | None:
        with self.lock:
            self.requests.append((method, path))
            for failure in self.failures:
                if failure.times > 0 and re.search(failure.path, path):
                    failure.times -= 1
                    return failure
        return None
