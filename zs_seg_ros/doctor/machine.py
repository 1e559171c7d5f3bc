# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""What the checks read from the machine. Tests give other functions."""

from __future__ import annotations

import glob
import importlib
import importlib.metadata
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zs_seg_ros.doctor.graph import Graph, read_graph
from zs_seg_ros.doctor.shared_memory import SharedMemory, read_shared_memory
from zs_seg_ros.files import read_regular_file
from zs_seg_ros.kernels import load_kernels
from zs_seg_ros.segmenters.shared.checkpoint import find_checkpoint

_TEXT_BYTES = 1 << 20
_GPU_FILES = ("/dev/nvidia[0-9]*", "/dev/nvhost-gpu", "/dev/nvgpu")


@dataclass(frozen=True)
class Gpu:
    """A GPU that torch can use. capability: of CUDA, (8, 7) for Orin. kernels: that torch has, such as sm_80."""

    name: str
    bytes: int
    capability: tuple[int, int]
    kernels: tuple[str, ...]


@dataclass(frozen=True)
class TorchGpus:
    """What torch reports of GPUs. cuda: the version that torch was built with; empty for the build for CPUs."""

    cuda: str
    gpus: tuple[Gpu, ...] = ()


def module_version(name: str) -> str:
    """Import a module and return its version. Raises whatever the import raises."""
    return str(importlib.import_module(name).__version__)


def torch_gpus() -> TorchGpus:
    """Ask torch for its GPUs. Raises whatever the import of torch or the driver raises."""
    import torch

    gpus = []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(index)
        gpus.append(
            Gpu(
                properties.name,
                properties.total_memory,
                (properties.major, properties.minor),
                tuple(torch.cuda.get_arch_list()),
            )
        )
    return TorchGpus(torch.version.cuda or "", tuple(gpus))


def onnx_packages() -> dict[str, str]:
    """Return the versions of onnx and of each installed build of onnxruntime, by the names of the packages."""
    versions = {}
    for distribution in importlib.metadata.distributions():
        name = str(distribution.metadata["Name"] or "").lower().replace("_", "-")
        if name == "onnx" or name.partition("-")[0] == "onnxruntime":
            versions[name] = distribution.version
    return dict(sorted(versions.items()))


def onnx_providers() -> Sequence[str]:
    """Ask onnxruntime for its execution providers. Raises whatever its import raises."""
    providers: list[str] = importlib.import_module("onnxruntime").get_available_providers()
    return providers


def why_no_kernels() -> str:
    """Return why label images are not computed by compiled code; empty where they are."""
    kernels = load_kernels()
    return kernels if isinstance(kernels, str) else ""


def has_gpu_files() -> bool:
    """Return whether the kernel offers an NVIDIA GPU."""
    return any(glob.glob(pattern) for pattern in _GPU_FILES)


def read_text(path: str) -> str:
    """Read a text of at most 1 MiB. Raises OSError and FileError."""
    return read_regular_file(path, _TEXT_BYTES).decode(errors="replace")


def free_bytes(folder: Path) -> int:
    """Return the free space of the file system on which the folder is, or will be."""
    return shutil.disk_usage(existing(folder)).free


def existing(folder: Path) -> Path:
    """Return the folder, or the nearest of its parents that exists."""
    while not os.path.exists(folder) and folder != folder.parent:
        folder = folder.parent
    return folder


def may_write(folder: Path) -> bool:
    """Return whether this user may make files in the folder."""
    return os.access(folder, os.W_OK | os.X_OK)


def has_ros() -> bool:
    """Return whether the ROS 2 that is sourced, if any, has rclpy for this Python."""
    return importlib.util.find_spec("rclpy") is not None


@dataclass(frozen=True)
class Machine:
    """The machine, by the functions that read it."""

    has_ros: Callable[[], bool] = has_ros
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    python: tuple[int, int, int] = sys.version_info[:3]
    module_version: Callable[[str], str] = module_version
    torch_gpus: Callable[[], TorchGpus] = torch_gpus
    has_gpu_files: Callable[[], bool] = has_gpu_files
    onnx_packages: Callable[[], dict[str, str]] = onnx_packages
    onnx_providers: Callable[[], Sequence[str]] = onnx_providers
    why_no_kernels: Callable[[], str] = why_no_kernels
    read_text: Callable[[str], str] = read_text
    free_bytes: Callable[[Path], int] = free_bytes
    existing: Callable[[Path], Path] = existing
    is_folder: Callable[[Path], bool] = os.path.isdir
    may_write: Callable[[Path], bool] = may_write
    shared_memory: Callable[[], SharedMemory] = read_shared_memory
    find_model: Callable[[str, str], Path] = find_checkpoint
    read_graph: Callable[[], Graph] = read_graph

    def expanded(self, path: str) -> Path:
        """Return a path with the home for ~; unchanged, relative, for a user without one."""
        home = self.environment.get("HOME") or os.path.expanduser("~")
        return Path(home + path[1:] if path == "~" or path.startswith("~/") else path)
