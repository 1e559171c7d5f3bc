# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Joins one source with any number of clients, in the server's event loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zs_seg_ros.errors import StudioError
from zs_seg_ros.shown import described, traced
from zs_seg_ros.studio.client import Client
from zs_seg_ros.studio.dropped_images import WithDroppedImages
from zs_seg_ros.studio.frames import ShownFrame
from zs_seg_ros.studio.history import History
from zs_seg_ros.studio.jobs import LOG, Jobs
from zs_seg_ros.studio.labelled_frames import LabelledFrames
from zs_seg_ros.studio.source import Events, Source, Status, Watched
from zs_seg_ros.studio.vocabularies import Exemplars, vocabulary_json, warnings_json
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

MOST_CLIENTS = 32
_LOOK_AGAIN_S = 1.0
"""How often it is looked whether pages still draw what they are sent, and again."""
_LINGER_S = 1.0
"""How long a camera is watched after the last client: a page that is loaded again should not interrupt it."""
_JOB_LINGER_S = 5.0
"""How long a job goes on after the last client."""


class Hub:
    """The newest state of a source, and its clients. All methods run in the event loop; the source has threads."""

    def __init__(
        self,
        source: Source,
        presets: Mapping[str, str] | None = None,
        labelled: LabelledFrames | None = None,
    ) -> None:
        """presets: texts of vocabulary files by name. labelled: where accepted frames are saved; None: nowhere."""
        self.source = WithDroppedImages(source)
        self.presets = dict(presets or {})
        self.labelled = labelled
        self.exemplars = Exemplars()
        self.history = History()
        self.status = Status("")
        self.jobs = Jobs(lambda text: self._post("job", text))
        self._clients: set[Client] = set()
        self._watched = Watched()
        self._newest: dict[str, ShownFrame] = {}
        self._watch_due = asyncio.Event()
        self._changing = asyncio.Lock()
        self._changed_to: tuple[str, ...] | None = None

    async def run(self) -> None:
        """Start the source, and have it follow what clients look at until cancelled."""
        loop = asyncio.get_running_loop()

        def in_loop(method: Callable[[Any], None]) -> Callable[[Any], None]:
            def report(value: Any) -> None:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(method, value)

            return report

        events = Events(
            in_loop(self._on_frame), in_loop(self._on_vocabulary), in_loop(self._on_status)
        )
        await asyncio.to_thread(self.source.start, events)
        try:
            while True:
                await _wait(self._watch_due, _LOOK_AGAIN_S if self._clients else None)
                self._watch_due.clear()
                await self._follow()
        finally:
            self.jobs.stop()
            self.source.stop()

    # --- clients ---

    def join(self, client: Client) -> None:
        """Add a client. Raises StudioError when there are too many."""
        if len(self._clients) >= MOST_CLIENTS:
            raise StudioError(f"{MOST_CLIENTS} pages are open already: close one of them")
        self._clients.add(client)
        client.post("status", json.dumps(self.status.as_json()))
        if self.history.newest is not None:
            client.post("vocabulary", self._vocabulary_text())
        if self.jobs.newest is not None:
            client.post("job", self.jobs.newest.message)
        self._watch_due.set()

    def leave(self, client: Client) -> None:
        """Remove a client."""
        self._clients.discard(client)
        self._watch_due.set()
        if not self._clients:
            asyncio.get_running_loop().call_later(_JOB_LINGER_S, self._end_unseen_job)

    def _end_unseen_job(self) -> None:
        if not self._clients:
            self.jobs.cancel()

    def look(self, client: Client, cameras: frozenset[str], confidence: bool) -> None:
        """Have a client look at cameras."""
        new = cameras - client.looks
        client.look(cameras, confidence)
        for camera in new & self._newest.keys():
            client.offer(self._newest[camera])
        self._watch_due.set()

    async def _follow(self) -> None:
        """Have the source watch what clients look at; less only after a moment."""
        if self._less_than(self._watched):
            await asyncio.sleep(_LINGER_S)
        watched = self._looked_at()
        if watched != self._watched:
            self._watched = watched
            for camera in self._newest.keys() - watched.cameras:
                del self._newest[camera]
            try:
                await asyncio.to_thread(self.source.watch, watched)
            except Exception as error:  # the next change is tried again
                LOG.error("%s\n%s", described(error), traced(error))

    def _looked_at(self) -> Watched:
        return Watched(
            bool(self._clients),
            frozenset(name for client in self._clients for name in client.takes),
            frozenset(name for c in self._clients if c.confidence for name in c.takes),
        )

    def _less_than(self, watched: Watched) -> bool:
        new = self._looked_at()
        return new.clients < watched.clients or not watched.cameras <= new.cameras

    # --- reports of the source ---

    def _on_frame(self, frame: ShownFrame) -> None:
        if frame.camera in self._watched.cameras:
            self._newest[frame.camera] = frame
        for client in self._clients:
            client.offer(frame)

    def _on_status(self, status: Status) -> None:
        self.status = status
        self._post("status", json.dumps(status.as_json()))

    def _on_vocabulary(self, vocabulary: Vocabulary) -> None:
        if self.history.add(vocabulary) and vocabulary.names != self._changed_to:
            self._post("vocabulary", self._vocabulary_text())

    def _post(self, kind: str, text: str) -> None:
        for client in self._clients:
            client.post(kind, text)

    def _vocabulary_text(self) -> str:
        return json.dumps({"is": "vocabulary", **self.vocabulary_json()})

    def vocabulary_json(self) -> dict[str, Any]:
        """Return the vocabulary in force, its warnings and the history, for the page."""
        newest = self.history.newest
        if newest is None:
            raise StudioError("no vocabulary was received yet: start the node, or wait for it")
        return {
            "edition": newest.number,
            **vocabulary_json(newest.vocabulary, self.exemplars),
            "warnings": warnings_json(newest.warnings, newest.vocabulary),
            "by_studio": newest.by_studio,
            "restarted": newest.restarted,
            "history": self.history.as_json(),
        }

    # --- changes ---

    async def change_vocabulary(self, base: Any, classes: Sequence[TargetClass]) -> dict[str, Any]:
        """Put classes in force that were edited from the edition `base`; a conflict when another one is in force.

        Raises VocabularyError when they are refused. Another client of the node may still set a vocabulary between the
        check and the call, since the node's service has no such check: the answer then says so, and the history has it.
        """
        async with self._changing:
            newest = self.history.newest
            if newest is not None and base != newest.number:
                return {"conflict": True, "vocabulary": self.vocabulary_json()}
            # The topic may report it before the answer, without its warnings: pages are sent it once.
            self._changed_to = tuple(target.name for target in classes)
            try:
                changed = await asyncio.to_thread(self.source.change_vocabulary, classes)
                self.history.add(changed.vocabulary, changed.warnings, by_studio=True)
            finally:
                self._changed_to = None
                if self.history.newest is not newest:
                    self._post("vocabulary", self._vocabulary_text())
            before = 0 if newest is None else newest.vocabulary.version
        expected = changed.vocabulary.version in (before + 1, 1)
        return {"conflict": False, "replaced_another": not expected}


async def _wait(event: asyncio.Event, timeout_s: float | None) -> None:
    """Wait for an event. Up to Python 3.11 `asyncio.wait_for` loses a cancellation that comes just after the event."""
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait([waiting], timeout=timeout_s)
    finally:
        waiting.cancel()
