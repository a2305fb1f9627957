"""A model on a hub: huggingface_hub itself speaks to a stand-in on this machine."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from destila.errors import ModelError
from destila.objects.finished_model import FinishedModel

# The library's own, of how it calls its client.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

REFUSALS = {
    "unknown": (401, "Invalid username or password."),
    "closed": (403, "You have no right to create a model here"),
    "moved": (409, "You already created this model repo"),
    "full": (507, "No room is left"),
}
"""What the stand-in says to a repository of an organisation, and with which status."""


class HubHandler(BaseHTTPRequestHandler):
    """What a push asks of the hub: a repository, how each file is sent, large files, one commit."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer a request, and keep it."""
        body = self.read()
        if self.path == "/api/repos/create":
            self.create(json.loads(body))
        elif self.path == "/api/validate-yaml":  # of the card
            self.answer(200, {"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            self.answer(200, {"files": [mode_of(each["path"]) for each in files]})
        elif self.path.endswith(".git/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            self.answer(200, {"objects": [self.place_of(each) for each in objects]})
        elif "/commit/" in self.path:
            self.server.commits.append([json.loads(line) for line in body.splitlines()])
            made = {"commitUrl": f"{self.server.address}/org/mine/commit/1", "commitOid": "1" * 40}
            self.answer(200, made | {"pullRequestUrl": None})
        else:
            self.answer(404, {"error": self.path})

    def do_PUT(self) -> None:
        """Keep a large file under the name that it was promised."""
        self.server.large[self.path.rpartition("/")[2]] = self.read()
        self.answer(self.server.takes_large, {})

    def do_GET(self) -> None:
        """Say that there is nothing: a push reads no file."""
        self.server.requests.append((self.path, self.headers["Authorization"]))
        self.answer(404, {"error": self.path})

    def read(self) -> bytes:
        """Return the body of a request, and keep who asks."""
        self.server.requests.append((self.path, self.headers["Authorization"]))
        if self.headers["Content-Length"]:
            return self.rfile.read(int(self.headers["Content-Length"]))

        # In chunks, each after a line with its size.
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def create(self, asked: dict) -> None:
        """Make a repository, or refuse to."""
        self.server.repositories.append(asked)
        address = f"{self.server.address}/{asked['organization']}/{asked['name']}"
        if asked["organization"] in REFUSALS:
            status, words = REFUSALS[asked["organization"]]
            self.answer(status, {"error": words, "url": address})
        else:
            self.answer(200, {"url": address})

    def place_of(self, large: dict) -> dict:
        """Say where a large file is to be sent."""
        href = f"{self.server.address}/large/{large['oid']}"
        return large | {"actions": {"upload": {"href": href}}}

    def answer(self, status: int, value: dict) -> None:
        """Send a JSON object."""
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if "error" in value:
            self.send_header("X-Error-Message", value["error"])
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def mode_of(path: str) -> dict:
    """Weights are sent as the hub has large files sent, all others within the commit."""
    mode = "lfs" if path.endswith(".safetensors") else "regular"
    return {"path": path, "uploadMode": mode, "shouldIgnore": False}


@pytest.fixture
def hub(monkeypatch):
    """A hub on this machine, as `HF_ENDPOINT` would name it; whoever asks another host fails."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), HubHandler)
    server.address = f"http://127.0.0.1:{server.server_port}"
    server.requests, server.repositories, server.commits, server.large = [], [], [], {}
    server.asked, server.takes_large = [], 200
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.address)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    # The service for large files that replaces LFS has no stand-in.
    monkeypatch.setattr("huggingface_hub._commit_api.is_xet_available", lambda: False)
    look_up = socket.getaddrinfo

    def look_up_here(host, *rest, **named):
        server.asked.append(host)
        return look_up("127.0.0.1" if host == "127.0.0.1" else "", *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", look_up_here)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def model(untrained):
    return FinishedModel(untrained("classify", ("no", "sí"), "mine"))


def test_a_model_is_pushed_with_its_card_in_one_commit(model, hub):
    """Every file arrives byte for byte, the weights as a large one; nobody else is asked."""
    assert model.push("org/mine", token="hf_mine") == f"{hub.address}/org/mine"
    (made,) = hub.repositories
    assert (made["organization"], made["name"], made["visibility"]) == ("org", "mine", "private")

    (commit,) = hub.commits
    entries = {line["value"]["path"]: line["value"] for line in commit if line["key"] != "header"}
    sent = {
        path: hub.large[entry["oid"]] if "oid" in entry else base64.b64decode(entry["content"])
        for path, entry in entries.items()
    }
    wanted = {path.name: path.read_bytes() for path in model.folder.iterdir()}
    assert {name: sent[name] for name in wanted} == wanted
    assert sent.keys() - wanted.keys() == {"README.md"}
    assert sent["README.md"].decode().startswith("---\nlanguage: es")
    weights = wanted["model.safetensors"]
    assert hub.large == {hashlib.sha256(weights).hexdigest(): weights}

    assert set(hub.asked) == {"127.0.0.1"}
    tokens = {token for path, token in hub.requests if "/org/mine" in path}
    assert tokens == {"Bearer hf_mine"}
    assert not (model.folder / "README.md").exists()


def test_a_public_repository_is_made_where_it_is_wanted(model, hub):
    model.push("org/mine", private=False, token="hf_mine")
    assert hub.repositories[0]["visibility"] == "public"


@pytest.mark.parametrize("organisation", ["unknown", "closed", "full"])
def test_a_refusal_of_the_hub_is_one_clear_error(model, hub, organisation):
    status, _ = REFUSALS[organisation]
    with pytest.raises(
        ModelError, match=rf"does not take .* as '{organisation}/name' \(.*{status}"
    ):
        model.push(f"{organisation}/name", token="hf_mine")
    assert hub.commits == []


def test_a_repository_that_exists_is_pushed_to(model, hub):
    assert model.push("moved/mine", token="hf_mine").endswith("moved/mine")
    assert len(hub.commits) == 1


def test_weights_that_do_not_arrive_are_one_clear_error(model, hub):
    hub.takes_large = 403
    with pytest.raises(ModelError, match=r"does not take .*model\.safetensors"):
        model.push("org/mine", token="hf_mine")
    assert hub.commits == []


def test_no_hub_is_one_clear_error(model, hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match=r"does not take .*check the name, the connection"):
        model.push("org/mine", token="hf_mine")
