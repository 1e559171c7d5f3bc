# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""DDS domains of a process's own."""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

from zs_seg_ros.ros import own_domain

RESERVE = (
    "import sys; from unittest.mock import patch; from zs_seg_ros.ros.own_domain import reserve_domain\n"
    "with patch('os.getpid', return_value=7): print(reserve_domain(), flush=True)\n"
    "sys.stdin.read()"
)


def test_two_processes_that_look_for_a_domain_at_the_same_place_have_different_ones() -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RESERVE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    try:
        domains = [int(process.stdout.readline()) for process in processes if process.stdout]
    finally:
        for process in processes:
            process.communicate()
    assert len(set(domains)) == 3
    assert all(1 <= domain <= 101 for domain in domains)


def test_a_domain_with_a_participant_of_another_program_is_left_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    releases: list[Callable[[], None]] = []
    monkeypatch.setattr(atexit, "register", releases.append)
    free = own_domain.reserve_domain()
    releases.pop()()
    monkeypatch.setattr(os, "getpid", lambda: free - 1)  # looks there first
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as participant:
        participant.bind(("", 7400 + 250 * free + 10))
        assert own_domain.reserve_domain() != free
    releases.pop()()


def test_with_every_domain_in_use_an_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_domain, "_has_participants", lambda _: True)
    with pytest.raises(
        own_domain.DomainError, match="all 101 ROS domains of this machine are in use"
    ):
        own_domain.reserve_domain()
