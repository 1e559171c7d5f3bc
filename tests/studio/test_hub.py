# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The hub, in an event loop of its own."""

from __future__ import annotations

import asyncio

import pytest
from studio_clients import StandIn

from zs_seg_ros.studio.client import Client
from zs_seg_ros.studio.hub import Hub


@pytest.mark.parametrize("steps", range(6))
def test_it_ends_also_in_the_moment_in_which_a_page_is_closed(steps: int) -> None:
    """steps: of the event loop between the two."""
    source = StandIn()

    async def closed_and_cancelled() -> bool:
        hub, client = Hub(source), Client()
        running = asyncio.create_task(hub.run())
        hub.join(client)
        while not hub.status.cameras:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.01)
        hub.leave(client)
        for _ in range(steps):
            await asyncio.sleep(0)
        running.cancel()
        done, _ = await asyncio.wait([running], timeout=5)
        return bool(done)

    assert asyncio.run(closed_and_cancelled()) and source.stopped
