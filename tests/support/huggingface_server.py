"""A loopback stand-in for the Hugging Face Hub: enough of it for the real client to publish, check and load datasets."""

from __future__ import annotations

import atexit
import base64
import hashlib
import json
import re
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs, unquote, urlsplit

from support.huggingface_repo import Commit, Repo, describe


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


PORT = _free_port()
"""Where this process's stand-in listens, each time one is started."""
HOME = Path(tempfile.mkdtemp(prefix="huggingface-"))
"""The client's own folder, empty when a stand-in is started."""
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
CLIENT = {"HF_ENDPOINT": f"http://127.0.0.1:{PORT}", "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(HOME)}
"""Variables with which the real client, which reads them when it is imported, finds the stand-in."""

Headers = Mapping[str, str]
NONE: Headers = {}
OWN = ("owner", "organisation")
"""The account, and an organisation that it belongs to."""
DATE = "2026-01-01T00:00:00.000Z"
NAME = r"(?P<kind>datasets|spaces)/(?P<name>[^/]+/[^/]+)"
REPO = rf"/api/{NAME}"
REVISION = r"(?P<revision>[^/]+)"
CALLS = {
    "whoami": r"GET /api/whoami-v2",
    "validate_yaml": r"POST /api/validate-yaml",
    "create": r"POST /api/repos/create",
    "settings": rf"PUT {REPO}/settings",
    "preupload": rf"POST {REPO}/preupload/{REVISION}",
    "batch": rf"POST /{NAME}\.git/info/lfs/objects/batch",
    "put": rf"PUT /lfs/{NAME}/(?P<path>\w{{64}})",
    "verify": rf"POST /lfs/{NAME}/verify",
    "commit": rf"POST {REPO}/commit/{REVISION}",
    "info": rf"GET {REPO}(/revision/{REVISION})?",
    "tree": rf"GET {REPO}/tree/{REVISION}(/(?P<path>.*))?",
    "paths_info": rf"POST {REPO}/paths-info/{REVISION}",
    "resolve": rf"(GET|HEAD) /{NAME}/resolve/{REVISION}/(?P<path>.+)",
}


@dataclass
class Failure:
    """What befalls the next `times` requests that match."""

    method: str
    path: str
    status: int
    times: int
    headers: Headers
    after_bytes: int | None


class Refusal(Exception):
    """An answer other than success."""

    def __init__(self, status: int, error: str, code: str = "", **more: Any) -> None:
        super().__init__(error)
        self.status, self.body = status, {"error": error, **more}
        self.headers = {"X-Error-Message": error, **({"X-Error-Code": code} if code else {})}


class Handler(BaseHTTPRequestHandler):
    """Reads a request, and answers it or fails as told."""

    hub: ClassVar[HuggingFaceServer]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def serve(self) -> None:
        url, size = urlsplit(self.path), int(self.headers.get("Content-Length", 0))
        failure = self.hub.note(self.command, url.path)
        if failure and failure.after_bytes is not None:
            self.rfile.read(min(size, failure.after_bytes))
            self.close_connection = True
            return
        self.body, self.query = self.rfile.read(size), parse_qs(url.query)
        if len(self.body) < size:  # Whoever asked is gone.
            self.close_connection = True
            return
        self.status, self.extra = 200, dict[str, str]()
        try:
            if failure:
                raise Refusal(failure.status, "told to fail")
            with self.hub.lock:
                content = self.answer(url.path)
        except Refusal as refusal:
            self.status, content = refusal.status, refusal.body
            self.extra |= {**refusal.headers, **(failure.headers if failure else NONE)}
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(self.status)
        for header in {**self.extra, "Content-Length": str(len(data))}.items():
            self.send_header(*header)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_HEAD = do_POST = do_PUT = serve  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def answer(self, path: str) -> Any:
        for call, pattern in CALLS.items():
            if match := re.fullmatch(pattern, f"{self.command} {path}"):
                found = {key: unquote(value) for key, value in match.groupdict().items() if value}
                self.file, self.kind, self.name = found.get("path", ""), found.get("kind", "datasets"), found.get("name", "")
                writes = self.command in ("POST", "PUT") and call not in ("put", "paths_info")
                repo, foreign = self.hub.of(self.kind).get(self.name), self.name.split("/")[0] not in OWN
                if (writes and call != "validate_yaml") or call == "whoami" or (repo and repo.private and call != "put"):
                    self.authorize()
                if self.name and (repo is None or (repo.private and foreign)):
                    raise Refusal(404, "Repository not found", "RepoNotFound")
                if repo and foreign and writes:
                    raise Refusal(403, f"You don't have the rights to write to {self.name}")
                if repo:
                    self.repo, self.version = repo, self.find(repo, found.get("revision", "main"))
                return getattr(self, call)()
        raise Refusal(404, f"No such call: {self.command} {path}")

    def authorize(self) -> None:
        given = self.headers.get("Authorization")
        if given is None:
            raise Refusal(401, "Invalid username or password.", "RepoNotFound")
        if given != f"Bearer {self.hub.token}":
            raise Refusal(401, "Invalid credentials in Authorization header")

    def find(self, repo: Repo, revision: str) -> Commit:
        for version in reversed(repo.commits):
            if revision in ("main", "HEAD", version.id):
                return version
        raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def whoami(self) -> Any:
        token = {"displayName": "test", "role": "write"}
        return {
            "type": "user",
            "name": "owner",
            "orgs": [{"name": "organisation"}],
            "auth": {"type": "access_token", "accessToken": token},
        }

    def validate_yaml(self) -> Any:
        said = {"errors": self.hub.card_errors, "warnings": self.hub.card_warnings}
        said = {kind: [{"message": message} for message in messages] for kind, messages in said.items()}
        if said["errors"]:
            raise Refusal(400, "Invalid metadata", **said)
        return said

    def create(self) -> Any:
        wanted = json.loads(self.body)
        name = f"{wanted.get('organization') or 'owner'}/{wanted['name']}"
        kind = f"{wanted['type']}s"
        url, repos = f"{self.hub.url}/{kind}/{name}", self.hub.of(kind)
        if wanted.get("sdk") != ("static" if kind == "spaces" else None):
            raise Refusal(400, f"The sdk {wanted.get('sdk')!r} does not go with {kind}")
        if name.split("/")[0] not in OWN:
            raise Refusal(403, f"You don't have the rights to create a dataset under the namespace of {name}")
        if name in repos:
            raise Refusal(409, f"You already created this {wanted['type']} repo", url=url)
        repos[name] = Repo(wanted.get("visibility") == "private" and not self.hub.stubborn, [])
        attributes = b"*.parquet filter=lfs diff=lfs merge=lfs -text\n*.png filter=lfs diff=lfs merge=lfs -text\n"
        repos[name].add("initial commit", {".gitattributes": attributes})
        return {"url": url, "name": name}

    def settings(self) -> Any:
        if not self.hub.stubborn:
            self.repo.private = json.loads(self.body).get("visibility", "private") == "private"
        return {"private": self.repo.private}

    def preupload(self) -> Any:
        answers = []
        for path in (item["path"] for item in json.loads(self.body)["files"]):
            known = describe(path, self.version.files[path]) if path in self.version.files else {}
            mode = "lfs" if "lfs" in describe(path, b"any") else "regular"
            oid = known.get("lfs", known).get("oid")
            answers.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return {"files": answers}

    def batch(self) -> Any:
        url, objects = f"{self.hub.url}/lfs/{self.kind}/{self.name}", json.loads(self.body)["objects"]
        for item in objects:
            if item["oid"] not in self.repo.objects:
                item["actions"] = {"upload": {"href": f"{url}/{item['oid']}"}, "verify": {"href": f"{url}/verify"}}
        return {"transfer": "basic", "objects": objects}

    def put(self) -> Any:
        if hashlib.sha256(self.body).hexdigest() != self.file:
            raise Refusal(400, "The content does not have this SHA-256")
        self.repo.objects[self.file] = self.body
        return b""

    def verify(self) -> Any:
        wanted = json.loads(self.body)
        if len(self.repo.objects.get(wanted["oid"], b"")) != wanted["size"]:
            raise Refusal(404, "No such object")
        return {}

    def commit(self) -> Any:
        header, *operations = [json.loads(line) for line in self.body.splitlines()]
        head = self.repo.commits[-1]
        if self.version is not head or header["value"].get("parentCommit", head.id) != head.id:
            raise Refusal(412, "A commit has happened since. Please refresh and try again.")
        files = dict(head.files)
        for kind, value in ((operation["key"], operation["value"]) for operation in operations):
            path = value["path"]
            if kind == "file":
                files[path] = base64.b64decode(value["content"])
            elif kind == "lfsFile":
                if value["oid"] not in self.repo.objects:
                    raise Refusal(400, f"{path} points to a large object that is not here")
                files[path] = self.repo.objects[value["oid"]]
            else:
                folder = f"{path.rstrip('/')}/" if kind == "deletedFolder" else "\0"
                gone = [file for file in files if file == path or file.startswith(folder)]
                if not gone:
                    raise Refusal(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
                files = {file: data for file, data in files.items() if file not in gone}
        added = self.repo.add(header["value"]["summary"], files)
        return {"commitOid": added.id, "commitUrl": f"{self.hub.url}/{self.kind}/{self.name}/commit/{added.id}"}

    def info(self) -> Any:
        siblings = self.version.siblings("blobs" in self.query)
        known = {"id": self.name, "author": self.name.split("/")[0], "sha": self.version.id, "lastModified": DATE}
        return {
            **known,
            "private": self.repo.private,
            "gated": self.repo.gated and "manual",
            "disabled": False,
            "siblings": siblings,
        }

    def tree(self) -> Any:
        prefix, recursive = f"{self.file}/" if self.file else "", self.query.get("recursive") == ["true"]
        inside = [entry for entry in self.version.entries() if entry["path"].startswith(prefix)]
        if prefix and not inside:
            raise Refusal(404, f"{self.file} does not exist", "EntryNotFound")
        return [entry for entry in inside if recursive or "/" not in entry["path"][len(prefix) :]]

    def paths_info(self) -> Any:
        wanted = parse_qs(self.body.decode())["paths"]
        return [entry for entry in self.version.entries() if entry["path"] in wanted]

    def resolve(self) -> Any:
        if self.repo.gated and self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            raise Refusal(403, f"Access to dataset {self.name} is restricted", "GatedRepo")
        self.extra = {"X-Repo-Commit": self.version.id, "Accept-Ranges": "bytes"}
        if self.file not in self.version.files:
            raise Refusal(404, "Entry not found", "EntryNotFound")
        data = self.version.files[self.file]
        entry, size = describe(self.file, data), len(data)
        self.extra["ETag"] = f'"{entry.get("lfs", entry)["oid"]}"'
        if "lfs" in entry:
            self.extra |= {"X-Linked-Etag": self.extra["ETag"], "X-Linked-Size": str(size)}
        if data and any(re.search(pattern, self.file) for pattern in self.hub.damaged):
            data = data[: size // 2] + bytes([data[size // 2] ^ 1]) + data[size // 2 + 1 :]
        if span := re.fullmatch(r"bytes=(\d+)-(\d*)|bytes=-(\d+)", self.headers.get("Range", "")):
            first, last, tail = span.groups()
            start, stop = (max(size - int(tail), 0), size) if tail else (int(first), min(int(last or size) + 1, size))
            self.status = 206 if start < stop else 416
            self.extra["Content-Range"] = f"bytes {start}-{stop - 1}/{size}" if start < stop else f"bytes */{size}"
            return data[start:stop]
        return data


class Server(ThreadingHTTPServer):
    """One thread a connection; a client that goes away is no error."""

    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *args: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(*args)


class HuggingFaceServer:
    """The stand-in, served from `url` inside a `with` block. Its one account is `owner`, with the token `token`."""

    def __init__(self) -> None:
        self.token = "hf_test"
        self.repos: dict[str, Repo] = {}
        self.spaces: dict[str, Repo] = {}
        self.requests: list[tuple[str, str]] = []
        self.failures: list[Failure] = []
        self.damaged: list[str] = []
        self.card_errors: list[str] = []
        self.card_warnings: list[str] = []
        self.on_request: Callable[[int], object] = lambda arrived: None
        """Is called with the number of requests so far, before one is answered."""
        self.stubborn = False
        """Whether it does not heed that a repository is to be private."""
        self.lock = threading.Lock()

    def __enter__(self) -> Self:
        shutil.rmtree(HOME, ignore_errors=True)
        self.server = Server(("127.0.0.1", PORT), type("BoundHandler", (Handler,), {"hub": self}))
        self.url = CLIENT["HF_ENDPOINT"]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def fail(
        self, method: str, path: str, status: int = 503, times: int = 1, headers: Headers = NONE, after_bytes: int | None = None
    ) -> None:
        """Answer the next matching requests with `status`, or cut them once `after_bytes` of their body were read."""
        self.failures.append(Failure(method, path, status, times, headers, after_bytes))

    def of(self, kind: str) -> dict[str, Repo]:
        """The repositories that are `datasets` or `spaces`."""
        return self.spaces if kind == "spaces" else self.repos

    def damage(self, path: str) -> None:
        """From now on, serve the files whose path matches with one bit changed."""
        self.damaged.append(path)

    def note(self, method: str, path: str) -> Failure | None:
        """Record a request, and say how it is to fail, if it is."""
        with self.lock:
            self.requests.append((method, path))
            self.on_request(len(self.requests))
            for failure in self.failures:
                if failure.times > 0 and failure.method == method and re.search(failure.path, path):
                    failure.times -= 1
                    return failure
            return None
