# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Runs the studio's server in a thread of its own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import uvicorn

from zs_seg_ros.errors import StudioError
from zs_seg_ros.shown import quoted
from zs_seg_ros.studio.access import Access
from zs_seg_ros.studio.app import application
from zs_seg_ros.studio.hub import Hub
from zs_seg_ros.studio.labelled_frames import LabelledFrames
from zs_seg_ros.studio.source import Source

MOST_MESSAGE_BYTES = 16 << 20
"""Of one message of a browser: 16 MiB."""
_MOST_WAITING_MESSAGES = 4
_STOP_TIMEOUT_S = 3.0


class StudioServer:
    """Serves a source from construction to `stop`."""

    def __init__(
        self,
        source: Source,
        access: Access,
        presets: Mapping[str, str] | None = None,
        labelled: LabelledFrames | None = None,
    ) -> None:
        """Listen and start. presets: texts of vocabulary files by name. labelled: where accepted frames are saved.

        Raises StudioError when the address cannot be used.
        """
        self.access = access
        listening = _listening(access)
        config = uvicorn.Config(
            application(Hub(source, presets, labelled), access),
            ws="websockets-sansio",
            ws_max_size=MOST_MESSAGE_BYTES,
            ws_max_queue=_MOST_WAITING_MESSAGES,
            ws_per_message_deflate=False,  # images are compressed already
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=1 << 14,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([listening],), name="studio", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End all connections and the thread."""
        self._server.should_exit = True
        self._thread.join(_STOP_TIMEOUT_S)


def _listening(access: Access) -> socket.socket:
    name = access.host.strip("[]")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            name, access.port, type=socket.SOCK_STREAM
        )[0]
        with _closing_on_error(socket.socket(family, kind, protocol)) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen()
            return listening
    except OSError as error:
        raise StudioError(
            f"the address {quoted(access.host)}, port {access.port}, cannot be used "
            f"({error.strerror or 'unknown name'}): end what uses it, or give another one"
        ) from error


@contextmanager
def _closing_on_error(opened: socket.socket) -> Iterator[socket.socket]:
    try:
        yield opened
    except BaseException:
        opened.close()
        raise
