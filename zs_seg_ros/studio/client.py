# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""One browser: the cameras that it shows, and what it is sent at its own pace."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable
from typing import Any

from starlette.websockets import WebSocket

from zs_seg_ros.studio.frames import ShownFrame

_MOST_REQUESTS = 4
FRAMES_UNDER_WAY = 2
"""Of each camera, to one page."""
STALLED_S = 10.0
"""A page that has drawn nothing for so long, since its tab is frozen or its machine asleep, takes no frames."""


class Client:
    """One WebSocket connection. All methods run in the server's event loop.

    looks: the cameras whose frames it gets. confidence: whether with the confidence of each pixel. Of each camera two
    frames are under way at a time, so that one is on its way while the other is drawn, and the next one is the newest:
    a slow browser gets fewer frames and holds nothing up.
    requests: taken by each request until its answer is sent, so that a browser that reads nothing can ask for no more.
    """

    def __init__(self) -> None:
        self.looks: frozenset[str] = frozenset()
        self.confidence = False
        self.requests = asyncio.Semaphore(_MOST_REQUESTS)
        self._wake = asyncio.Event()
        self._newest_texts: dict[str, str] = {}
        self._answers: deque[str | bytes] = deque()
        self._allowed: dict[str, int] = {}
        self._frames: dict[str, ShownFrame] = {}
        self._full_s: dict[str, float] = {}
        self._sending_s: float | None = None

    def look(self, cameras: frozenset[str], confidence: bool) -> None:
        """Look at these cameras; the first frames of each new one are sent without being asked for."""
        self._allowed = {name: self._allowed.get(name, FRAMES_UNDER_WAY) for name in cameras}
        self._frames = {name: frame for name, frame in self._frames.items() if name in cameras}
        self._full_s = {name: since_s for name, since_s in self._full_s.items() if name in cameras}
        self.looks, self.confidence = cameras, confidence
        self._wake.set()

    def ready(self, camera: Any) -> None:
        """Allow the next frame of a camera: the page has drawn one."""
        if camera in self.looks:
            self._allowed[camera] = min(FRAMES_UNDER_WAY, self._allowed[camera] + 1)
            self._full_s.pop(camera, None)
            self._wake.set()

    @property
    def takes(self) -> frozenset[str]:
        """The cameras that it shows and of which it has drawn an image in the last ten seconds, where any was sent."""
        earliest_s = time.monotonic() - STALLED_S
        if self._sending_s is not None and self._sending_s < earliest_s:
            return frozenset()
        return self.looks - {name for name, since_s in self._full_s.items() if since_s < earliest_s}

    def offer(self, frame: ShownFrame) -> None:
        """Have a frame sent as soon as its camera is ready, unless a newer one comes first."""
        if frame.camera in self.looks:
            self._frames[frame.camera] = frame
            if self._allowed[frame.camera]:
                self._wake.set()

    def post(self, kind: str, text: str) -> None:
        """Have a text sent; a newer one of its kind replaces it."""
        self._newest_texts[kind] = text
        self._wake.set()

    def answer(self, message: str | bytes) -> None:
        """Have the answer to a request sent."""
        self._answers.append(message)
        self._wake.set()

    async def send(self, websocket: WebSocket) -> None:
        """Send what there is, until cancelled or the connection ends."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            for kind in list(self._newest_texts):
                await self._sent(websocket.send_text(self._newest_texts.pop(kind)))
            while self._answers:
                message = self._answers.popleft()
                if isinstance(message, str):
                    await self._sent(websocket.send_text(message))
                else:
                    await self._sent(websocket.send_bytes(message))
                self.requests.release()
            for camera in sorted(name for name in self._frames if self._allowed.get(name)):
                frame = self._frames.pop(camera, None)
                if frame is None:  # the page has left the camera while another one's frame was sent
                    continue
                self._allowed[camera] -= 1
                if not self._allowed[camera]:
                    self._full_s[camera] = time.monotonic()
                packet = await asyncio.to_thread(_packet_of, frame)
                await self._sent(websocket.send_bytes(packet))

    async def _sent(self, sending: Awaitable[None]) -> None:
        self._sending_s = time.monotonic()
        await sending
        self._sending_s = None


def _packet_of(frame: ShownFrame) -> bytes:
    return frame.packet
