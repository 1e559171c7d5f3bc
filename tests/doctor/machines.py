# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A machine on which every check is OK, to be changed in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zs_seg_ros.doctor.graph import Endpoint, Graph
from zs_seg_ros.doctor.machine import Machine, TorchGpus
from zs_seg_ros.doctor.shared_memory import SharedMemory

VERSIONS = {"torch": "2.13.0+cpu", "transformers": "5.23.0", "numpy": "2.2.6", "cv2": "4.11.0"}
PROFILE = "/profile.xml"
TEXTS = {
    "/proc/sys/net/core/rmem_max": "4194304\n",
    "/proc/sys/net/core/wmem_max": "8388608\n",
    PROFILE: "<dds/>",
}
ENVIRONMENT = {
    "ROS_DISTRO": "jazzy",
    "FASTRTPS_DEFAULT_PROFILES_FILE": PROFILE,
    "HOME": "/home/robot",
}


def endpoint(topic: str = "/camera/image_raw", **changes: Any) -> Endpoint:
    fields: dict[str, Any] = {
        "type": "sensor_msgs/msg/Image",
        "node": "/driver",
        "publishes": True,
        "reliable": True,
        "latched": False,
    }
    return Endpoint(topic, **(fields | changes))


def graph(*endpoints: Endpoint) -> Graph:
    return Graph("", "rmw_fastrtps_cpp", "0", endpoints or (endpoint(),))


def machine(folder: Path, **changes: Any) -> Machine:
    """A machine with ROS 2 Jazzy, whose models are in the folder. changes: other functions or values."""

    def read(path: str) -> str:
        if path not in TEXTS:
            raise FileNotFoundError(2, "No such file or directory")
        return TEXTS[path]

    fields: dict[str, Any] = {
        "has_ros": lambda: True,
        "environment": ENVIRONMENT,
        "python": (3, 12, 3),
        "module_version": VERSIONS.__getitem__,
        "torch_gpus": lambda: TorchGpus(""),
        "has_gpu_files": lambda: False,
        "onnx_packages": lambda: {"onnx": "1.23.2", "onnxruntime": "1.23.2"},
        "onnx_providers": lambda: ["OpenVINOExecutionProvider", "CPUExecutionProvider"],
        "why_no_kernels": lambda: "",
        "read_text": read,
        "free_bytes": lambda _: 100_000_000_000,
        "existing": lambda folder: folder,
        "is_folder": lambda _: True,
        "may_write": lambda _: True,
        "shared_memory": lambda: SharedMemory(8_000_000_000, 7_900_000_000, 0, 0),
        "find_model": lambda model, revision: folder,
        "read_graph": graph,
    }
    return Machine(**(fields | changes))
