# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The optional packages of the engine onnxruntime and of `zs-seg export`: versions, builds and providers."""

from __future__ import annotations

import re

from zs_seg_ros.doctor.check import Check, ok, warning
from zs_seg_ros.doctor.machine import Machine
from zs_seg_ros.optional_packages import install_command, pip_command
from zs_seg_ros.segmenters.load_options import PROVIDERS
from zs_seg_ros.shown import described, shown

ONNX_PACKAGES = {"onnxruntime": ((1, 23), (2,)), "onnx": ((1, 19), (2,))}
"""The lowest version and the first one that is too high; as in setup.py."""


def check_onnx_packages(machine: Machine) -> list[Check]:
    """Check onnxruntime, in whichever build, and onnx. Nothing is an error: torch computes every model without them."""
    installed = machine.onnx_packages()
    builds = {name: version for name, version in installed.items() if name != "onnx"}
    return [_runtime(machine, builds), _onnx(installed.get("onnx", ""))]


def _runtime(machine: Machine, builds: dict[str, str]) -> Check:
    name = "onnxruntime"
    if not builds:
        text = "not installed; only engine onnxruntime needs it"
        return ok(name, f"{text}: `{install_command('onnx', 'onnxruntime')}`")
    listed = " and ".join(shown(f"{build} {version}", 100) for build, version in builds.items())
    if len(builds) > 1:
        return warning(
            name,
            f"{listed} are installed, and write over each other's files",
            f"Remove them with `{pip_command()} uninstall {shown(' '.join(builds), 300)}`, and install one again.",
        )
    try:
        providers = machine.onnx_providers()
    except Exception as problem:  # a wheel for another processor or Python may raise anything
        return warning(
            name,
            f"{listed} is installed and cannot be imported: {described(problem)}",
            f"Install it again with `{pip_command()} install --force-reinstall {shown(next(iter(builds)), 100)}`, "
            "or keep engine: torch.",
        )
    short = {provider: option for option, provider in PROVIDERS.items()}
    there = ", ".join(short.get(provider, provider) for provider in providers)
    text = f"{listed} with the providers {shown(there, 300)}"
    return _in_limits(name, next(iter(builds)), next(iter(builds.values())), text)


def _onnx(version: str) -> Check:
    if not version:
        return ok(
            "onnx", f"not installed; only `zs-seg export` needs it: `{install_command('onnx')}`"
        )
    return _in_limits("onnx", "onnx", version, shown(version, 100))


def _in_limits(name: str, package: str, version: str, text: str) -> Check:
    """Return OK for a version that the engine was made for, otherwise a warning with the command that installs one."""
    lowest, too_high = (".".join(map(str, limit)) for limit in ONNX_PACKAGES[name])
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
    if ONNX_PACKAGES[name][0] <= numbers < ONNX_PACKAGES[name][1]:
        return ok(name, text)
    return warning(
        name,
        f"{text}; engine onnxruntime needs {lowest} or higher, below {too_high}",
        f"Install that version with `{install_command(f'{shown(package, 100)}>={lowest},<{too_high}')}`.",
    )
