# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A request to a service that is sent again while no answer comes."""

from __future__ import annotations

import threading
import time
from typing import Any

_PERIOD_S, _DISCOVERY_PERIOD_S = 2.0, 0.05


class RepeatedRequest:
    """Asks a service until it answers; for requests that change nothing.

    An answer is lost when the server has not discovered the client yet (rmw_fastrtps waits 100 ms for that, which a
    busy machine exceeds), or has ended since. A participant announces its endpoints in the order of their creation:
    once the newest client of a node has an answer, that server knows the older ones, too, and answers them.
    """

    def __init__(self, client: Any, request: Any) -> None:
        """client: of rclpy. Nothing is sent before `answer` or `wait` is called."""
        self._client, self._request = client, request
        self._pending: list[Any] = []
        self._sent_s = 0.0
        self._answered = threading.Event()

    def answer(self) -> Any:
        """Return the response; None while there is none. Call it again and again while messages are received."""
        if answered := [future for future in self._pending if future.done()]:
            self._give_up()
            return answered[0].result()
        is_due = not self._pending or time.monotonic() > self._sent_s + _PERIOD_S
        if is_due and self._client.service_is_ready():
            self._send()
        return None

    def wait(self, timeout_s: float) -> Any:
        """Return the response, None without one in time; another thread receives messages meanwhile."""
        end_s = time.monotonic() + timeout_s
        while (answer := self.answer()) is None and (left_s := end_s - time.monotonic()) > 0:
            self._answered.wait(min(left_s, _PERIOD_S if self._pending else _DISCOVERY_PERIOD_S))
        return answer

    def _send(self) -> None:
        future = self._client.call_async(self._request)
        future.add_done_callback(lambda _: self._answered.set())
        self._pending.append(future)
        self._sent_s = time.monotonic()

    def _give_up(self) -> None:
        for future in self._pending:
            self._client.remove_pending_request(future)
        self._pending.clear()
        self._answered.clear()
