# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The lines of a node's log that explain why it gave no results."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from zs_seg_ros.ros.replay.node_under_test import last_errors


def test_the_last_different_errors_are_returned(tmp_path: Path) -> None:
    log = tmp_path / "log"
    lines = ["[INFO] a", "[WARN] b", "[ERROR] c", "[ERROR] c", "[INFO] d", "[WARN] e", "[ERROR] f"]
    log.write_text("\n".join(lines))
    assert last_errors(log) == ["[ERROR] c", "[WARN] e", "[ERROR] f"]
    assert last_errors(tmp_path / "missing") == []
