# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The types of a recording are imported only from packages of messages: importing executes code."""

from __future__ import annotations

import sys

import pytest
from sensor_msgs.msg import Image

from zs_seg_ros.ros.player.bag_topic import message_class


def test_a_message_type_is_its_class() -> None:
    assert message_class("sensor_msgs/msg/Image") is Image


@pytest.mark.parametrize(
    "name",
    [
        "antigravity/msg/X", "this/msg/X", "os/path/join", "../../x/msg/Y", "", "builtins/exec", "std_msgs/msg/__doc__",
        "sensor_msgs/msg/../Image", "sensor_msgs.msg/msg/Image", "std_msgs/msg/NoSuchMessage", "x" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_message_is_not_imported(name: str) -> None:
    assert message_class(name) is None
    assert {"antigravity", "this"} & set(sys.modules) == set()
