# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Versions of Python and of the packages, the ROS distribution, and the GPU."""

from __future__ import annotations

import re

from zs_seg_ros.doctor.check import Check, error, ok, warning
from zs_seg_ros.doctor.machine import Gpu, Machine
from zs_seg_ros.kernels import NOT_BUILT, VARIABLE
from zs_seg_ros.shown import described, quoted, shown

OLDEST_PYTHON, NEWEST_PYTHON = (3, 10), (3, 14)
PACKAGES = {
    "torch": ("torch", (2, 4), None),
    "transformers": ("transformers", (5, 15), (6,)),
    "numpy": ("numpy", (1, 26), None),
    "OpenCV": ("cv2", (4, 8), (5,)),
}
"""Module, lowest version, and the first one that is too high; as in setup.py."""
_DISTRIBUTIONS = {
    "humble": "2027-05",
    "jazzy": "2029-05",
    "kilted": "2026-12",
    "lyrical": "2031-05",
}
"""The distributions of ROS 2 that this package runs on, and the month in which each ends."""
_INSTALL = "run `ros2 run zs_seg_ros install_dependencies`, or without ROS `pip install .` in the package's folder"


def check_software(machine: Machine) -> list[Check]:
    """Check Python, the packages, ROS and the GPU."""
    return [
        _python(machine),
        *(_package(machine, name) for name in PACKAGES),
        _ros(machine),
        _gpu(machine),
        _kernels(machine),
    ]


def _python(machine: Machine) -> Check:
    version = ".".join(map(str, machine.python))
    if OLDEST_PYTHON <= machine.python[:2] <= NEWEST_PYTHON:
        return ok("Python", version)
    allowed = f"{_dotted(OLDEST_PYTHON)} to {_dotted(NEWEST_PYTHON)}"
    if machine.python[:2] < OLDEST_PYTHON:
        return error("Python", f"{version}, which is too old", f"Use Python {allowed}.")
    text = f"{version}, which this package was not tested with"
    return warning("Python", text, f"If something fails, use Python {allowed}.")


def _package(machine: Machine, name: str) -> Check:
    module, lowest, too_high = PACKAGES[name]
    try:
        version = machine.module_version(module)
    except ModuleNotFoundError as problem:
        text = f"the Python module {shown(problem.name or module)} is not installed"
        return error(name, text, f"Install the packages: {_INSTALL}.")
    except Exception as problem:  # a library that is missing or of another architecture
        text = f"the Python module {module} cannot be imported: {described(problem)}"
        return error(name, text, f"Install it again: {_INSTALL}.")
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
    allowed = f"{_dotted(lowest)} or higher" + (f", below {_dotted(too_high)}" if too_high else "")
    if numbers < lowest or (too_high is not None and numbers >= too_high):
        text = f"{shown(version)}, and this package needs {allowed}"
        return error(name, text, f"Install that version: {_INSTALL}.")
    return ok(name, shown(version))


def _ros(machine: Machine) -> Check:
    distribution = machine.environment.get("ROS_DISTRO", "")
    if not machine.has_ros():
        version = _dotted(machine.python[:2])
        sourced = f"{quoted(distribution)} is" if distribution else "no ROS 2 is"
        return warning(
            "ROS 2",
            f"{sourced} sourced, and there is no rclpy for Python {version}: only the commands without ROS work",
            "For the node, source ROS 2 and the workspace, for example with `. /opt/ros/jazzy/setup.bash`, and use "
            "the Python of that distribution.",
        )
    if not distribution:
        return ok("ROS 2", "rclpy is there; ROS_DISTRO names no distribution")
    end = _DISTRIBUTIONS.get(distribution)
    if end is None:
        known = ", ".join(name.capitalize() for name in _DISTRIBUTIONS)
        text = f"{quoted(distribution)}, which this package was not tested with"
        return warning("ROS 2", text, f"If something fails, use one of {known}.")
    return ok("ROS 2", f"{distribution}, supported until {end}")


def _gpu(machine: Machine) -> Check:
    try:
        report = machine.torch_gpus()
    except Exception as problem:
        text = f"torch could not be asked for a GPU: {described(problem)}"
        return error("GPU", text, f"Install torch: {_INSTALL}.")
    if report.gpus:
        texts = [f"{shown(gpu.name)} with {gpu.bytes / 1e9:.1f} GB" for gpu in report.gpus]
        text = f"{', '.join(texts)}; torch's CUDA is {shown(report.cuda)}"
        if strange := [gpu for gpu in report.gpus if not _has_kernels(gpu)]:
            number = ".".join(map(str, strange[0].capability))
            return error(
                "GPU",
                f"{text}, and it has no kernels for the compute capability {number}",
                "Install a build of torch for this GPU, or run the models with device:=cpu.",
            )
        return ok("GPU", text)
    if not machine.has_gpu_files():
        return ok("GPU", "there is none: models run on the CPU")
    if not report.cuda:
        return warning(
            "GPU",
            "there is an NVIDIA GPU, and torch is the build for CPUs alone",
            "Install torch with CUDA: `ros2 run zs_seg_ros install_dependencies --remove`, then the same without "
            "--remove; on a Jetson take NVIDIA's wheel.",
        )
    return warning(
        "GPU",
        f"there is an NVIDIA GPU, and torch, built with CUDA {shown(report.cuda)}, cannot use it",
        "Install a driver that supports this CUDA (`nvidia-smi` names it), and pass the GPU through to a container.",
    )


def _has_kernels(gpu: Gpu) -> bool:
    """Return whether torch has kernels of the GPU's generation, or portable ones that the driver compiles."""
    major, minor = gpu.capability
    for kernel in gpu.kernels:
        kind, _, number = kernel.partition("_")
        digits = "".join(filter(str.isdigit, number))
        if len(digits) < 2:
            continue
        built = (int(digits[:-1]), int(digits[-1]))
        if (kind == "sm" and built[0] == major and built[1] <= minor) or (
            kind == "compute" and built <= gpu.capability
        ):
            return True
    return not gpu.kernels


def _kernels(machine: Machine) -> Check:
    """Nothing is an error: Python does the same."""
    name, reason = "compiled code", machine.why_no_kernels()
    if not reason:
        return ok(name, "used for label images and objects")
    text = (
        f"{shown(reason, 300)}; Python computes label images and objects, in about twice the time"
    )
    if reason == NOT_BUILT and not machine.has_ros():
        return ok(name, text)
    return warning(
        name,
        text,
        f"Build the package with colcon and gcc or clang on this machine, and do not set {VARIABLE}.",
    )


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
