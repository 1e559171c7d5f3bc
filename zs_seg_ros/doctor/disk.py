# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The models on the disk, and the space that is left on it."""

from __future__ import annotations

from zs_seg_ros.doctor.check import Check, error, ok, warning
from zs_seg_ros.doctor.folders import models_folder
from zs_seg_ros.doctor.machine import Machine
from zs_seg_ros.errors import ModelError, ModelNotFoundError
from zs_seg_ros.segmenters.registry import parts_of
from zs_seg_ros.segmenters.shared.checkpoint import BUILT_IN_MODELS
from zs_seg_ros.shown import described, shown

LOW_BYTES, FULL_BYTES = 5_000_000_000, 500_000_000
"""Of free space: below the first a larger model does not fit, below the second no model and no recording."""


def check_disk(machine: Machine, model: str, revision: str = "") -> list[Check]:
    """Check the built-in models, a model with its revision, and the disk of the models."""
    checks = [_model(machine, name, "") for name in BUILT_IN_MODELS]
    if model not in (*BUILT_IN_MODELS, "fake"):
        try:
            checks += [_model(machine, *part) for part in parts_of(model, revision)]
        except ModelError as problem:
            checks.append(error("model", str(problem), "Correct the model's name."))
        except ImportError as problem:
            checks.append(_not_looked_for(model, problem))
    return [*checks, _space(machine)]


def _model(machine: Machine, model: str, revision: str) -> Check:
    name = f"model {shown(model, 100)}"
    try:
        folder = machine.find_model(model, revision)
    except ModelNotFoundError as problem:
        if model in BUILT_IN_MODELS:
            return error(name, str(problem), "Build and install the package again.")
        at = f" --revision {shown(revision, 100)}" if revision else ""
        remedy = f"Run `zs-seg fetch {shown(model, 100)}{at}` as the user who runs the node."
        return error(name, str(problem), remedy)
    except ModelError as problem:
        return error(name, str(problem), "Fetch or copy the model again.")
    except ImportError as problem:
        return _not_looked_for(model, problem)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return ok(name, f"{shown(folder, 300)}, {size / 1e6:.1f} MB")


def _not_looked_for(model: str, problem: ImportError) -> Check:
    return error(
        f"model {shown(model, 100)}",
        f"the model cannot be looked for: {described(problem)}",
        "Install the packages first: `ros2 run zs_seg_ros install_dependencies`.",
    )


def _space(machine: Machine) -> Check:
    folder = models_folder(machine)
    try:
        free = machine.free_bytes(folder)
    except OSError as problem:
        text = f"the free space at {shown(folder, 300)} is not known: {described(problem)}"
        return warning("disk space", text, "Look at the disk with `df -h`.")
    text = f"{free / 1e9:.1f} GB are free at {shown(folder, 300)}"
    if free < FULL_BYTES:
        return error("disk space", text, "Free space, or set HF_HOME to a folder on another disk.")
    if free < LOW_BYTES:
        remedy = (
            "Free space before you fetch a large model, or set HF_HOME to a folder on another disk."
        )
        return warning("disk space", text, remedy)
    return ok("disk space", text)
