# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A source that is no node, and clients of the studio that are no browsers."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from websockets.sync.client import ClientConnection, connect

from zs_seg_ros.errors import StudioError
from zs_seg_ros.perception.masks import extract_objects
from zs_seg_ros.segmenters.fake import PALETTE, FakeSegmenter
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.mask_prompts import MaskPrompt
from zs_seg_ros.studio.access import Access
from zs_seg_ros.studio.frames import ShownFrame, ShownObject, shown_objects
from zs_seg_ros.studio.jobs import Work
from zs_seg_ros.studio.packet import decoded, encoded
from zs_seg_ros.studio.source import (
    Changed,
    Events,
    MarkedObject,
    ModelChoice,
    Status,
    Watched,
)
from zs_seg_ros.types import Batch, Box, RgbImage, size_of
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

TIMEOUT_S = 30.0
RED = np.broadcast_to(np.array(PALETTE["red"], np.uint8), (24, 32, 3))
Answer = TypeVar("Answer")


def wait_until(condition: Callable[[], Answer], what: str) -> Answer:
    end = time.monotonic() + TIMEOUT_S
    while not (answer := condition()):
        assert time.monotonic() < end, f"waited {TIMEOUT_S:.0f} s in vain for {what}"
        time.sleep(0.002)
    return answer


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class StandIn:
    """A node, whose vocabulary other clients change, too (`set_by_another`)."""

    def __init__(self, *cameras: str) -> None:
        """cameras: their names; one named `camera` without any."""
        self.cameras = cameras or ("camera",)
        self.stopped = False
        self.watched = Watched()
        self.vocabulary = Vocabulary().changed_to([TargetClass("red mug")])
        self.warnings: tuple[str, ...] = ()
        self.before_change: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._started = threading.Event()

    @property
    def events(self) -> Events:
        """Where it reports to: the server starts it in a thread of its own."""
        assert self._started.wait(TIMEOUT_S), "the server did not start its source"
        return self._events

    @events.setter
    def events(self, events: Events) -> None:
        self._events = events
        self._started.set()

    def start(self, events: Events) -> None:
        self.events = events
        events.status(Status("/zs_seg", "active", cameras=self.cameras))
        events.vocabulary(self.vocabulary)

    def stop(self) -> None:
        self.stopped = True

    def watch(self, watched: Watched) -> None:
        self.watched = watched

    def choose(self, camera: str, index: int) -> None:
        raise StudioError("this camera is live")

    def change_vocabulary(self, classes: Sequence[TargetClass]) -> Changed:
        self.before_change()
        with self._lock:
            self.vocabulary = self.vocabulary.changed_to(classes)
        return Changed(self.vocabulary, self.warnings)

    def set_by_another(self, *names: str) -> None:
        with self._lock:
            self.vocabulary = self.vocabulary.changed_to(map(TargetClass, names))
        self.events.vocabulary(self.vocabulary)

    def segment(
        self, image: RgbImage, classes: Sequence[TargetClass], against: bool = False
    ) -> ShownFrame:
        model = FakeSegmenter()
        encoding = model.encode(Vocabulary().changed_to(classes or self.vocabulary.classes))
        batch = Batch((image,), encoding.vocabulary.thresholds(0.5))
        [segmentation] = model.segment(batch, encoding)
        objects = shown_objects(extract_objects(segmentation, 1, 50), encoding.vocabulary)
        confidence = segmentation.confidence
        return ShownFrame("", 0, image, size_of(image), objects, confidence=confidence)

    def point(self, image: RgbImage, prompt: MaskPrompt) -> ShownFrame:
        """Answer as a model whose mask is the box; it takes no points."""
        if prompt.box is None:
            raise StudioError("the model takes no points")
        box = prompt.box
        runs = np.array([0, box.width * box.height], np.uint32)
        marked = ShownObject(0, "", 0.8, box, runs, box.width * box.height)
        return ShownFrame("", 0, image, size_of(image), (marked,))

    def model(self) -> ModelChoice:
        return ModelChoice("fake", LoadOptions(), 0.5)

    def replay_test(self, camera: str, first: int, last: int, path: Path) -> Work:
        raise StudioError("this camera is live")

    def keep(self, marked: MarkedObject, name: str) -> str:
        self.kept = marked.camera, marked.stamp_ns, name, marked.mask
        return name or "kept 1"

    def restart(self, *names: str) -> None:
        """Begin anew, as a node that was started again: with version 1."""
        with self._lock:
            self.vocabulary = Vocabulary().changed_to(map(TargetClass, names))
        self.events.vocabulary(self.vocabulary)

    def show(
        self,
        stamp_ns: int,
        image: RgbImage = RED,
        camera: str = "camera",
        objects: int = 1,
        name: str = "red mug",
    ) -> None:
        """Publish a frame with one object, the right half of the image, or with so many that are the same."""
        height, width = image.shape[:2]
        half = width // 2
        box = Box(half, 0, width - half, height)
        runs = np.array([0, box.width * height], np.uint32)
        mug = ShownObject(1, name, 0.9, box, runs, box.width * height)
        frame = ShownFrame(camera, stamp_ns, image, (height, width), (mug,) * objects, 1)
        self.events.frame(frame)


def huge_png(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


# --- clients ---


def get(
    access: Access, path: str = "/", headers: Mapping[str, str] | None = None
) -> http.client.HTTPResponse:
    """The response to a request, read; the Host is the server's own unless `headers` gives another."""
    connection = http.client.HTTPConnection("127.0.0.1", access.port, timeout=TIMEOUT_S)
    given = dict(headers or {})
    connection.putrequest("GET", path, skip_host="host" in given)
    for name, value in given.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    response.text = response.read().decode()  # type: ignore[attr-defined]
    connection.close()
    return response


class Page:
    """The WebSocket of a page: requests with answers, and what the server sends by itself."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._count = 0
        self.received: list[tuple[dict[str, Any], dict[str, bytes]]] = []

    def next(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        message = self.socket.recv(TIMEOUT_S)
        return (json.loads(message), {}) if isinstance(message, str) else decoded(message)

    def wait_for(
        self, kind: str, where: Callable[[dict[str, Any]], Any] = lambda _: True
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The next message of a kind that fulfils a condition; others are put aside for later calls."""
        for place, (header, _) in enumerate(self.received):
            if header["is"] == kind and where(header):
                return self.received.pop(place)
        end = time.monotonic() + TIMEOUT_S
        while True:
            message = self.next()
            assert time.monotonic() < end, f"waited {TIMEOUT_S:.0f} s in vain for a {kind}"
            if message[0]["is"] == kind and where(message[0]):
                return message
            self.received.append(message)

    def ask(self, do: str, parts: Mapping[str, bytes] | None = None, **fields: Any) -> Any:
        """The answer to a request, with its parts under "parts" if it has any."""
        self._count += 1
        message = {"do": do, "id": self._count, **fields}
        self.socket.send(json.dumps(message) if parts is None else encoded(message, parts))
        number = self._count
        header, given = self.wait_for("answer", lambda answer: answer["to"] == number)
        return {**header, "parts": given} if given else header

    def tell(self, do: str, **fields: Any) -> None:
        self.socket.send(json.dumps({"do": do, **fields}))


@contextmanager
def page(
    access: Access, headers: Mapping[str, str] | None = None, **options: Any
) -> Iterator[Page]:
    address = f"ws://127.0.0.1:{access.port}/live"
    with connect(
        address, additional_headers=headers, open_timeout=TIMEOUT_S, compression=None, **options
    ) as socket:
        yield Page(socket)
