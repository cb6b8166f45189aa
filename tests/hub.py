"""A hub on this machine, as much of one as its libraries ask for to download models and data sets.

Its files lie in FOLDER/models/OWNER/NAME/REVISION and FOLDER/datasets/OWNER/NAME/REVISION, with a
REVISION's slashes as `%2F`.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, quote, unquote, urlsplit


def digest(text: object) -> str:
    return sha1(str(text).encode()).hexdigest()


class Hub(BaseHTTPRequestHandler):
    """Answers about `folder`, which a subclass has."""

    folder: Path
    card: Mapping[str, str] = {}  # metadata of the cards

    def do_GET(self) -> None:
        path = urlsplit(self.path).path.strip("/").split("/")
        if path[0] == "api":
            self.describe(*path[1:])
        else:
            owner, name, _, revision, *file = path[1:] if path[0] == "datasets" else path
            kind = "datasets" if path[0] == "datasets" else "models"
            self.send_file(self.find(kind, owner, name, revision), file)

    do_HEAD = do_POST = do_GET  # noqa: N815

    def find(self, kind: str, owner: str, name: str, revision: str) -> Path | None:
        """Return the folder of a revision, which is named, or known by its commit."""
        revisions = self.folder.joinpath(kind, owner, name).glob("*")
        return next((found for found in revisions if revision in (found.name, digest(found))), None)

    def describe(
        self,
        kind: str,
        owner: str = "",
        name: str = "",
        question: str = "revision",
        revision: str = "main",
        *inside,
    ) -> None:
        """Say what a revision holds."""
        found = self.find(kind, owner, name, revision)
        if found is None:
            self.refuse("RevisionNotFound")
        elif question == "revision":
            about = {"id": f"{owner}/{name}", "sha": digest(found), "siblings": []}
            self.send_json(about | {"cardData": self.card})
        elif question == "paths-info":
            asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())["paths"]
            self.send_json(
                [self.entry(found, found / path) for path in asked if (found / path).exists()]
            )
        elif (top := found / unquote("/".join(inside))).exists():
            paths = top.rglob("*") if "recursive=true" in self.path.lower() else top.glob("*")
            self.send_json([self.entry(found, path) for path in sorted(paths)])
        else:
            self.refuse("EntryNotFound")

    def entry(self, revision: Path, path: Path) -> dict[str, object]:
        """Describe a file or a folder."""
        kind, size = ("file", path.stat().st_size) if path.is_file() else ("directory", 0)
        return {
            "type": kind,
            "path": str(path.relative_to(revision)),
            "size": size,
            "oid": digest(path),
        }

    def send_file(self, revision: Path | None, file: list[str]) -> None:
        """Send a file, or the part of it that is asked for."""
        if revision is None or not (path := revision / unquote("/".join(file))).is_file():
            self.refuse("RevisionNotFound" if revision is None else "EntryNotFound")
            return
        content = path.read_bytes()
        headers = {"ETag": f'"{digest(path)}"', "X-Repo-Commit": digest(revision)}
        if asked := self.headers.get("Range"):
            first, last = asked.removeprefix("bytes=").split("-")
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            self.send(206, content[int(first) : int(last) + 1], headers)
        else:
            self.send(200, content, headers)

    def send_json(self, answer: object) -> None:
        self.send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def refuse(self, reason: str) -> None:
        self.send(404, b"", {"X-Error-Code": reason})

    def send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def serving(folder: Path, hub: type[Hub] = Hub) -> Iterator[dict[str, str]]:
    """Serve a folder; the block gets the environment variables of a process that is to use it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("HubOfFolder", (hub,), {"folder": folder}))
    Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        yield {
            "HF_ENDPOINT": endpoint,
            "HF_HOME": str(folder / "home"),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
        }
    finally:
        server.shutdown()
        server.server_close()


def revision(folder: Path, kind: str, name: str, revision: str = "main") -> Path:
    """Return the folder of a revision, made if it is not there."""
    path = folder / kind / name / quote(revision, safe="")
    path.mkdir(parents=True, exist_ok=True)
    return path
