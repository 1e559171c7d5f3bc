# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Tests that kill a process leave none of its shared memory, and take none of others."""

from __future__ import annotations

import subprocess
import sys

import pytest
from killed_processes import kill, segments_of

NODE = """
import rclpy
rclpy.init()
node = rclpy.create_node("killed")
print("up", flush=True)
rclpy.spin(node)
"""


def started() -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", NODE], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def test_the_segments_of_a_killed_process_go_and_those_of_others_stay() -> None:
    killed, other = started(), started()
    try:
        own, others = segments_of(killed.pid), segments_of(other.pid)
        if not own:
            pytest.skip("this middleware has no segments of Fast DDS")
        assert len(own) % 2 == 0 and own.isdisjoint(others)
        assert all(path.exists() for path in own | others)
        kill(killed)
        assert killed.returncode == -9
        assert not any(path.exists() for path in own)
        assert all(path.exists() for path in others)
    finally:
        for process in (killed, other):
            kill(process)
            process.communicate()
    assert not any(path.exists() for path in others)


def test_a_process_that_has_ended_is_left_alone() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""], text=True)
    process.wait()
    kill(process)
    assert process.returncode == 0 and segments_of(process.pid) == set()
