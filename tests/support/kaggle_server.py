"""A loopback stand-in for Kaggle: enough of it for the real client to create, update, ask for and fetch datasets.

As the service does, it takes its time with a new version, which is not to be had before; where it can differ from what a
publisher would like, the test tells it to. docs/hubs.md says what of it is known and what is assumed.
"""

from __future__ import annotations

import base64
import io
import json
import re
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

import filelock

URL = "http://localhost:7777"
"""Where the client looks with KAGGLE_API_ENVIRONMENT=TEST."""
LOGIN = {
    "KAGGLE_API_ENVIRONMENT": "TEST",
    "KAGGLE_API_TOKEN": "",
    "KAGGLE_CONFIG_DIR": "",
    "KAGGLE_KEY": "secret-key",
    "KAGGLE_USERNAME": "owner",
    "NO_PROXY": "localhost",
}
"""Variables with which the real client finds the stand-in, and is taken for the owner of its one account."""
STATES = (
    *("NOT_YET_PERSISTED", "BLOBS_RECEIVED", "BLOBS_DECOMPRESSED", "BLOBS_COPIED_TO_SDS", "INDIVIDUAL_BLOBS_COMPRESSED"),
    "REPROCESSING",
)
"""Those of a version on its way to READY."""
TAGS = {"image", "computer vision", "neural networks", "deep learning"}


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
    columns: dict[str, dict[str, str]] = field(default_factory=dict)
    """File -> column -> its description, as it came with the file."""
    settings: dict[str, Any] = field(default_factory=dict)
    """As they were last sent."""
    cover: bytes = b""
    states: list[str] = field(default_factory=list)
    """What it answers next when it is asked how far the last version is, before READY."""
    end: str = "READY"
    withheld: int = 0
    """How often it does not hand out a version that it has."""

    @property
    def seen(self) -> list[Version]:
        """The versions that can be had."""
        return self.versions[:-1] if self.states or self.end != "READY" else self.versions


@dataclass
class Blob:
    """A file on its way: what of it has arrived."""

    name: str
    size: int
    data: bytes = b""


@dataclass
class Failure:
    """What befalls the next `times` requests whose path matches; of an upload or download, `keep` bytes arrive all the same."""

    path: str
    status: int
    times: int
    keep: int
    headers: dict[str, str]
    after: bool
    """Whether what was asked for is done all the same, and only the answer gets lost."""


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
        size = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(size)
        if len(body) < size and self.command != "PUT":  # Whoever asked is gone.
            self.close_connection = True
            return
        failure = self.kaggle.note(self.command, path)
        status, extra = 200, {"Content-Type": "application/json"}
        with self.kaggle.lock:
            try:
                if self.command == "PUT":
                    status, content = self.upload(path, body, failure), b""
                elif failure and not failure.after and self.command != "GET":
                    extra |= failure.headers
                    raise Refusal(failure.status, f"told to fail {failure.headers.get('Message', '')}")
                elif self.command == "GET":
                    extra = {"Content-Type": "application/zip", "Accept-Ranges": "bytes"}
                    content = self.kaggle.stored[path]
                else:
                    content = self.answer(path.rsplit("/", 1)[-1], json.loads(body or b"{}"))
                    if isinstance(content, bytes):
                        place = f"/storage/{len(self.kaggle.stored)}"
                        self.kaggle.stored[place] = content
                        status, content = 302, {}
                        extra["Location"] = f"{URL}{place}?X-Goog-Signature=0123456789abcdef"
            except Refusal as refusal:
                status, content = refusal.status, {"code": refusal.status, "message": str(refusal)}
            if status == 308 and self.kaggle.blobs[path].data:
                extra["Range"] = f"bytes=0-{len(self.kaggle.blobs[path].data) - 1}"
        if failure and failure.after:
            self.close_connection = True
            return
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for header in {**extra, "Content-Length": str(len(data))}.items():
            self.send_header(*header)
        self.end_headers()
        if failure and self.command == "GET":
            data, self.close_connection = data[: failure.keep], True
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
        if call == "GenerateAccessToken":
            if asked.get("refreshToken") != self.kaggle.refresh_token:
                raise Refusal(401, "Unauthorized")
            return {"token": self.kaggle.token, "expiresIn": 43200}
        login = base64.b64encode(f"{self.kaggle.username}:{self.kaggle.key}".encode()).decode()
        if self.headers.get("Authorization") not in (f"Basic {login}", f"Bearer {self.kaggle.token}"):
            raise Refusal(401, "Unauthorized")
        if call == "IntrospectToken":
            return {"active": asked["token"] == self.kaggle.token, "username": self.kaggle.username}
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
                return {"status": dataset.states.pop(0) if dataset.states else dataset.end}
            case "GetDataset":
                found = {"ref": name, "currentVersionNumber": len(dataset.seen) or None, "isPrivate": dataset.private}
                return {key: value for key, value in found.items() if key not in self.kaggle.unsaid}
            case "GetDatasetMetadata":
                kept = {"collaborators", "userSpecifiedSources", "expectedUpdateFrequency"} & dataset.settings.keys()
                return {"info": {"isPrivate": dataset.private} | {name: dataset.settings[name] for name in kept}}
            case "CreateDatasetVersion":
                if dataset.states and len(dataset.versions) == 1:
                    raise Refusal(403, "Permission 'datasets.update' was denied")  # While its first version is unpacked.
                self.add(dataset, asked["body"])
                return {"ref": name, "url": URL, "status": "ok", "invalidTags": self.unknown(asked["body"])}
            case "UpdateDatasetMetadata":
                dataset.settings = asked["settings"]
                if not self.kaggle.stubborn:
                    dataset.private = bool(dataset.settings.get("isPrivate"))
                dataset.licence = dataset.settings["licenses"][0]["name"]
                if image := dataset.settings.get("image"):
                    dataset.cover = self.kaggle.blobs[image["token"]].data
                return {"errors": self.kaggle.complaints}
            case "DownloadDataset":
                number = int(asked.get("datasetVersionNumber") or len(dataset.seen))
                if not 1 <= number <= len(dataset.seen) or dataset.withheld > 0:
                    dataset.withheld -= 1
                    raise Refusal(404, "Not found")
                return self.zipped(dataset.versions[number - 1])
        raise Refusal(404, f"no such call: {call}")

    def create(self, name: str, asked: dict[str, Any]) -> dict[str, Any]:
        title, slug, subtitle = asked["title"], asked["slug"], asked.get("subtitle", "")
        if asked["ownerSlug"] not in (self.kaggle.username, "organisation"):
            raise Refusal(403, "Permission 'datasets.create' was denied")
        if any(name == each or dataset.title == title for each, dataset in self.kaggle.datasets.items()):
            return {"status": "error", "error": f'The requested title "{title}" is already in use by a dataset.'}
        if not (6 <= len(title) <= 50 and 20 <= len(subtitle) <= 80 and re.fullmatch("[a-z0-9-]{6,50}", slug)):
            return {"status": "error", "error": "Title, subtitle or slug are not allowed."}
        dataset = Dataset(title, asked["licenseName"], bool(asked.get("isPrivate")) and not self.kaggle.stubborn)
        self.add(dataset, asked)
        self.kaggle.datasets[name] = dataset
        return {"ref": name, "url": URL, "status": "ok", "invalidTags": self.unknown(asked)}

    def add(self, dataset: Dataset, asked: dict[str, Any]) -> None:
        """Add a version, which is not there at once."""
        dataset.versions.append(Version(asked.get("versionNotes", ""), self.received(asked)))
        dataset.states, dataset.withheld = list(self.kaggle.states), self.kaggle.withheld
        for each in asked["files"]:
            found = {column["name"]: column["description"] for column in each.get("columns", [])}
            dataset.columns[self.kaggle.blobs[each["token"]].name] = found

    def unknown(self, asked: dict[str, Any]) -> list[str]:
        return sorted(set(asked.get("categoryIds", [])) - self.kaggle.tags)

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
    username, key = LOGIN["KAGGLE_USERNAME"], LOGIN["KAGGLE_KEY"]
    token, refresh_token = "KGAT_0123456789abcdef", "refresh-0123456789abcdef"

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
        self.on_request: Callable[[int], object] = lambda arrived: None
        """Is called with the number of requests so far, before one is answered."""
        self.stored: dict[str, bytes] = {}
        self.states: list[str] = ["BLOBS_RECEIVED"]
        """Those that every new version goes through."""
        self.withheld = 0
        self.stubborn = False
        """Whether it does not heed isPrivate."""
        self.unsaid: set[str] = set()
        """What it does not say of a dataset."""
        self.tags = TAGS
        self.complaints: list[str] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self.turn.release()

    def handle_error(self, *args: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # A client that goes away is no error.
            super().handle_error(*args)

    def fail(
        self,
        path: str,
        status: int = 503,
        times: int = 1,
        keep: int = 0,
        headers: dict[str, str] | None = None,
        after: bool = False,
    ) -> None:
        """Let the next requests whose path matches fail, or (after) do what they ask for and lose the answer."""
        self.failures.append(Failure(path, status, times, keep, headers or {}, after))

    def calls(self, name: str) -> int:
        """How often it was asked for that."""
        return sum(path.endswith(f"/{name}") for _, path in self.requests)

    def damage(self, pattern: str) -> None:
        """From now on, files whose name matches are served with one bit flipped."""
        self.damaged.append(pattern)

    def note(self, method: str, path: str) -> Failure | None:
        with self.lock:
            self.requests.append((method, path))
            self.on_request(len(self.requests))
            for failure in self.failures:
                if failure.times > 0 and re.search(failure.path, path):
                    failure.times -= 1
                    return failure
        return None
