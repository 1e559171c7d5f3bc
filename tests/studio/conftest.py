# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A studio whose source is a stand-in for a node, served by the real server, and browsers that are plain clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from studio_clients import StandIn, free_port

from zs_seg_ros.studio.access import Access
from zs_seg_ros.studio.server import StudioServer

PRESETS = {"arm": "classes:\n- {name: mug, prompts: [coffee cup]}\n- bowl\n"}


@pytest.fixture
def source() -> StandIn:
    return StandIn()


@pytest.fixture
def studio(source: StandIn) -> Iterator[StudioServer]:
    server = StudioServer(source, Access("127.0.0.1", free_port()), PRESETS)
    yield server
    server.stop()
    assert source.stopped
