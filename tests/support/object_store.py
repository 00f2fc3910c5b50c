"""A store of objects on this machine that can refuse what it is asked."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import s3fs
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from amaxds.storage.store import Remote
from support.folders import files_of

Environ = dict[str, Any]


class ObjectStore:
    """An S3 server that refuses the requests which `refused` gives a status and a code for."""

    def __init__(self) -> None:
        self._serve = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.url = f"http://127.0.0.1:{self._server.port}"
        self.refused: Callable[[Environ], tuple[str, str] | None] = lambda request: None
        self.bucket = f"bucket-{uuid.uuid4().hex[:12]}"

    def __enter__(self) -> ObjectStore:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, request: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        refusal = self.refused(request)
        if refusal is None:
            return self._serve(request, start)
        request["wsgi.input"].read(int(request.get("CONTENT_LENGTH") or 0))
        start(refusal[0], [("Content-Type", "application/xml")])
        return [f"<Error><Code>{refusal[1]}</Code><Message>No.</Message></Error>".encode()]

    def place(self, name: str) -> Remote:
        return Remote(f"s3://{self.bucket}/{name}")

    def fetched(self, place: Remote, folder: Path) -> dict[str, bytes]:
        """Every file of a dataset there but build.json, by the store's own library."""
        s3fs.S3FileSystem(skip_instance_cache=True).get(f"{place}/", str(folder), recursive=True)
        return files_of(folder)

    def names(self, place: Remote) -> list[str]:
        found = s3fs.S3FileSystem(skip_instance_cache=True).find(str(place))
        return [name.removeprefix(f"{str(place).removeprefix('s3://')}/") for name in found]
