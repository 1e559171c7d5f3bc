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
