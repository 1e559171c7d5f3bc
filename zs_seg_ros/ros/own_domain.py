# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A DDS domain of this process's own: no robot, and no other process that asks here, uses it."""

from __future__ import annotations

import atexit
import os
import socket

from zs_seg_ros.errors import ZeroShotSegmentationError

_FIRST, _LAST = 1, 101
"""Domain 0 is everybody's; ports of later ones than 101 are those that Linux gives to clients."""
_FIRST_DDS_PORT, _PORTS_OF_A_DOMAIN, _OF_A_PARTICIPANT = 7400, 250, 10
"""UDP ports, from the mapping of the RTPS specification (9.6.2.3), which all DDS implementations follow."""


class DomainError(ZeroShotSegmentationError):
    """Every DDS domain of this machine is in use."""


def use_own_domain() -> None:
    """Let this process and its children use a domain of their own, on this machine only. Raises DomainError."""
    os.environ |= own_domain_variables()


def own_domain_variables() -> dict[str, str]:
    """Reserve a domain, and return the variables of processes that use it, on this machine only. Raises DomainError."""
    variables = {
        "ROS_DOMAIN_ID": str(reserve_domain()),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    }
    if os.environ.get("ROS_DISTRO") == "humble":
        variables["ROS_LOCALHOST_ONLY"] = "1"
    return variables


def reserve_domain() -> int:
    """Reserve a domain without participants until this process ends. Raises DomainError when there is none.

    Its number is part of the name of a socket, which only one process can have. A free port alone would not do: two
    processes find the same one before either of them has a participant.
    """
    count = _LAST - _FIRST + 1
    for offset in range(count):
        domain = _FIRST + (os.getpid() + offset) % count
        if _has_participants(domain):
            continue
        reservation = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            reservation.bind(f"\0zs_seg_ros/domain/{domain}")  # without a file; Linux only
        except OSError:
            reservation.close()
        else:
            atexit.register(reservation.close)
            return domain
    raise DomainError(
        f"all {count} ROS domains of this machine are in use; end nodes that are not needed"
    )


def _has_participants(domain: int) -> bool:
    """Return whether the port of a domain's first participant is taken."""
    port = _FIRST_DDS_PORT + _PORTS_OF_A_DOMAIN * domain + _OF_A_PARTICIPANT
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return True
    return False
