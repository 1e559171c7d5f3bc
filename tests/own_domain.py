# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A DDS domain of this process's own: no robot, and no other run or worker of these tests, uses it."""

from __future__ import annotations

import os
import socket

_FIRST, _LAST = 1, 101
"""Domain 0 is everybody's; ports of later ones than 101 are those that Linux gives to clients."""
_reserved: list[socket.socket] = []


def use_own_domain() -> None:
    """Let this process and its children use a domain of their own, on this machine only."""
    os.environ["ROS_DOMAIN_ID"] = str(reserve_domain())
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    if os.environ.get("ROS_DISTRO") == "humble":
        os.environ["ROS_LOCALHOST_ONLY"] = "1"


def reserve_domain() -> int:
    """Reserve a domain until this process ends: its number is part of the name of a socket, which only one can have."""
    count = _LAST - _FIRST + 1
    for offset in range(count):
        domain = _FIRST + (os.getpid() + offset) % count
        reservation = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            reservation.bind(f"\0zs_seg_ros_tests/domain/{domain}")  # without a file; Linux only
        except OSError:
            reservation.close()
        else:
            _reserved.append(reservation)
            return domain
    raise RuntimeError(f"all {count} DDS domains are in use by other runs of these tests")
