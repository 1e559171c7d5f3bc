# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The DDS implementation, its profile, its shared memory, and the buffers of the kernel's sockets."""

from __future__ import annotations

from xml.etree import ElementTree

from zs_seg_ros.doctor.check import Check, error, ok, warning
from zs_seg_ros.doctor.machine import Machine
from zs_seg_ros.doctor.shared_memory import shared_memory_check
from zs_seg_ros.errors import FileError
from zs_seg_ros.shown import quoted, shown

PROFILE = "$(ros2 pkg prefix zs_seg_ros)/share/zs_seg_ros/config/fastdds_large_images.xml"
BUFFER_BYTES = 4194304
"""What that profile requests."""
_FASTDDS, _CYCLONE, _ZENOH = "rmw_fastrtps_cpp", "rmw_cyclonedds_cpp", "rmw_zenoh_cpp"
_OLD_VARIABLE, _NEW_VARIABLE = "FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"
_WITH_OLD_VARIABLE = ("humble", "jazzy")
_BUFFERS = ("/proc/sys/net/core/rmem_max", "/proc/sys/net/core/wmem_max")


def check_network(machine: Machine, middleware: str = "") -> list[Check]:
    """Check DDS and the sockets. middleware: in use, where a process has reported it."""
    chosen = middleware or machine.environment.get("RMW_IMPLEMENTATION", "") or _FASTDDS
    text = (
        shown(chosen)
        if middleware or "RMW_IMPLEMENTATION" in machine.environment
        else (f"{shown(chosen)}, the default")
    )
    checks = [ok("DDS", text), _profile(machine, chosen), _buffers(machine, chosen)]
    if "fastrtps" in chosen:
        try:
            memory = machine.shared_memory()
        except OSError:
            memory = None
        checks.append(shared_memory_check(memory))
    return checks


def _profile(machine: Machine, middleware: str) -> Check:
    name = "DDS profile"
    if middleware == _ZENOH:
        return ok(name, "Zenoh needs none; its router must run")
    if middleware == _CYCLONE:
        if path := machine.environment.get("CYCLONEDDS_URI"):
            return ok(name, f"CYCLONEDDS_URI is {quoted(path, 200)}")
        return warning(
            name,
            "CYCLONEDDS_URI is not set: large images may be lost",
            "Name a file with a larger SocketReceiveBufferSize in it, as docs/cameras.md shows.",
        )
    if "fastrtps" not in middleware:
        return ok(name, f"not checked for {shown(middleware)}")
    return _fastdds_profile(machine, name)


def _fastdds_profile(machine: Machine, name: str) -> Check:
    distribution = machine.environment.get("ROS_DISTRO", "")
    variable = _OLD_VARIABLE if distribution in _WITH_OLD_VARIABLE else _NEW_VARIABLE
    path = machine.environment.get(variable, "")
    if not path:
        return warning(
            name,
            f"{variable} is not set in this shell: with Fast DDS's defaults most large images are lost",
            f"The launch files set it for the node; for the camera's driver run `export {variable}={PROFILE}` first.",
        )
    try:
        ElementTree.fromstring(machine.read_text(path))
    except (ElementTree.ParseError, FileError, OSError, ValueError) as problem:
        return error(
            name,
            f"{variable} is {quoted(path, 200)}, which Fast DDS ignores: {shown(problem, 200)}",
            f"Set it to {PROFILE}, or correct the file.",
        )
    return ok(name, f"{variable} is {quoted(path, 200)}")


def _buffers(machine: Machine, middleware: str) -> Check:
    name = "socket buffers"
    if middleware == _ZENOH:
        return ok(name, "not limited by the kernel for Zenoh, which uses TCP")
    sizes = {}
    for path in _BUFFERS:
        variable = ".".join(path.split("/")[3:])
        try:
            sizes[variable] = int(machine.read_text(path))
        except (FileError, OSError, ValueError):
            return ok(name, f"not known: {path} cannot be read here")
    text = ", ".join(f"{variable} is {size}" for variable, size in sizes.items())
    small = [variable for variable, size in sizes.items() if size < BUFFER_BYTES]
    if not small:
        return ok(name, text)
    settings = " ".join(f"{variable}={BUFFER_BYTES}" for variable in small)
    return warning(
        name,
        f"{text}: images between machines are lost where the buffers are full",
        f"Run `sudo sysctl -w {settings}`, and write the same into a file in /etc/sysctl.d to keep it.",
    )
