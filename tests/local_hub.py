# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A hub of models on the loopback interface, with the answers of the Hugging Face hub, that notes each request."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass(frozen=True)
class Repository:
    """A repository. files: of each revision, by their names. refusal: status and error code of the hub's refusal."""

    files: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    refusal: tuple[int, str] | None = None


@dataclass(frozen=True)
class Hub:
    """A hub that is being served. address: its URL. requests: the path of each request, in order."""

    address: str
    requests: list[str]


def commit_of(revision: str) -> str:
    """Return the commit of a revision; that of main is COMMIT."""
    return COMMIT if revision == "main" else sha1(revision.encode()).hexdigest()


@contextmanager
def local_hub(repositories: Mapping[str, Repository]) -> Iterator[Hub]:
    """Serve repositories by their names while the block runs; every other name is unknown."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        commit = COMMIT

        def do_GET(self) -> None:
            requests.append(self.path.partition("?")[0])
            path = requests[-1].removeprefix("/api/models")
            _, owner, model, *rest = path.split("/")
            repository = repositories.get(f"{owner}/{model}")
            if repository is None:
                self.refuse(401, "RepoNotFound")  # as the hub answers those who are not logged in
                return
            kind, revision, *file = (
                (rest + ["revision", "main"][len(rest) :]) if len(rest) < 2 else rest
            )
            revision = revision.replace("%2F", "/")
            commits = {commit_of(name): name for name in repository.files}
            revision = commits.get(revision, revision)
            files = repository.files.get(revision)
            is_file = not self.path.startswith("/api")
            is_check = not is_file and kind == "auth-check"
            hidden = repository.refusal is not None and repository.refusal[1] == "RepoNotFound"
            if repository.refusal and (is_file or is_check or hidden):
                self.refuse(*repository.refusal)
                return
            if files is None:
                self.refuse(404, "RevisionNotFound")
                return
            self.commit = commit_of(revision)
            if not is_file and kind == "refs":
                self.answer(json.dumps(_refs(repository)).encode())
            elif not is_file and kind == "tree":
                self.answer(json.dumps([_entry(name, files[name]) for name in files]).encode())
            elif is_check:
                self.answer(b"{}")
            elif not is_file:
                siblings = [{"rfilename": n, "size": len(content)} for n, content in files.items()]
                info = {
                    "id": f"{owner}/{model}",
                    "sha": commit_of(revision),
                    "siblings": siblings,
                    "private": False,
                }
                self.answer(json.dumps(info | {"gated": bool(repository.refusal)}).encode())
            elif "/".join(file) in files:
                self.answer(files["/".join(file)])
            else:
                self.refuse(404, "EntryNotFound")

        def do_HEAD(self) -> None:
            self.do_GET()

        def refuse(self, status: int, code: str) -> None:
            self.answer(b"", status, {"X-Error-Code": code, "X-Error-Message": code})

        def answer(self, body: bytes, status: int = 200, headers: Mapping[str, str] = {}) -> None:
            self.send_response(status)
            more = {"ETag": f'"{sha1(body).hexdigest()}"', "X-Repo-Commit": self.commit, **headers}
            for name, value in {**more, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Hub(f"http://127.0.0.1:{server.server_port}", requests)
    finally:
        server.shutdown()
        server.server_close()


def _refs(repository: Repository) -> dict[str, object]:
    refs = [
        {"name": name, "ref": name, "targetCommit": commit_of(name)} for name in repository.files
    ]
    proposals = [ref for ref in refs if ref["ref"].startswith("refs/pr/")]
    return {"branches": [], "converts": [], "tags": [], "pullRequests": proposals}


def _entry(name: str, content: bytes) -> dict[str, object]:
    return {"type": "file", "path": name, "size": len(content), "oid": sha1(content).hexdigest()}
