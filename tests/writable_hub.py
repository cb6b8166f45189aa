"""The local hub of `tests.hub`, to which models can be pushed."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from huggingface_hub import constants

from tests.hub import Hub, revision, serving

LARGE = (".safetensors", ".onnx", ".png")  # are uploaded apart from the commit


class WritableHub(Hub):
    """Creates models with the token `secret`, and stores what is committed to them."""

    def store(self) -> None:
        path = urlsplit(self.path).path.strip("/").split("/")
        body = self.body()
        if self.headers.get("Authorization") != "Bearer secret":
            self.send(401, b"", {"X-Error-Message": "Invalid token"})
        elif path[:3] == ["api", "repos", "create"]:
            self.create(json.loads(body))
        elif path[-2] == "preupload":
            names = [file["path"] for file in json.loads(body)["files"]]
            modes = [{"path": n, "uploadMode": self.mode(n), "shouldIgnore": False} for n in names]
            self.send_json({"files": modes})
        elif path[-2:] == ["objects", "batch"]:
            objects = json.loads(body)["objects"]
            self.send_json({"objects": [self.place(each) for each in objects]})
        elif path[-2] == "commit":
            self.commit("/".join(path[2:-2]), body)
        else:
            self.send_json({})  # the model card is valid

    do_POST = store  # noqa: N815

    def take(self) -> None:
        oid = parse_qs(urlsplit(self.path).query)["oid"][0]
        (self.folder / oid).write_bytes(self.body())
        self.send(200, b"", {})

    do_PUT = take  # noqa: N815

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def mode(self, name: str) -> str:
        return "lfs" if name.endswith(LARGE) else "regular"

    @property
    def endpoint(self) -> str:
        return f"http://{self.headers['Host']}"

    def create(self, asked: dict[str, str]) -> None:
        name = f"{asked.get('organization') or 'someone'}/{asked['name']}"
        taken = (self.folder / "models" / name).exists()
        revision(self.folder, "models", name)
        answer = json.dumps({"url": f"{self.endpoint}/{name}", "name": name}).encode()
        self.send(409 if taken else 200, answer, {"Content-Type": "application/json"})

    def place(self, file: dict[str, object]) -> dict[str, object]:
        upload = {"href": f"{self.endpoint}/upload?oid={file['oid']}"}
        return {"oid": file["oid"], "size": file["size"], "actions": {"upload": upload}}

    def commit(self, name: str, body: bytes) -> None:
        root = revision(self.folder, "models", name)
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                continue
            target = root / value["path"]
            target.parent.mkdir(parents=True, exist_ok=True)
            if line["key"] == "lfsFile":
                (self.folder / value["oid"]).rename(target)
            else:
                target.write_bytes(base64.b64decode(value["content"]))
        self.send_json({"commitOid": "1" * 40, "commitUrl": f"{self.endpoint}/{name}/commit/1"})


@contextmanager
def accepting(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Let this process push to a hub with its files in a folder; the block gets its address."""
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    with serving(folder, WritableHub) as environment:
        monkeypatch.setattr(constants, "ENDPOINT", environment["HF_ENDPOINT"])
        yield environment["HF_ENDPOINT"]
