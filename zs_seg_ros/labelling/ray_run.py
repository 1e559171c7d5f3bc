# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Labels slices on a Ray cluster, one task each; the slice of a lost worker is given to another one."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.errors import LabellingError, ZeroShotSegmentationError
from zs_seg_ros.labelling.plan import LabelRequest
from zs_seg_ros.labelling.run import OnFrames, Task, warn
from zs_seg_ros.labelling.slice_results import label_slice
from zs_seg_ros.labelling.work_folder import write_errors_as_labelling_errors
from zs_seg_ros.optional_packages import install_command
from zs_seg_ros.segmenters.loaded_model import LoadedModel, load_model
from zs_seg_ros.shown import described, shown

_MAX_LOST_WORKERS = 5
"""Per slice."""
_OBJECT_STORE_BYTES = 100 * 2**20
"""Small, as results are passed in files."""


@dataclass(frozen=True)
class RayCluster:
    """Labels slices on a Ray cluster. address: empty to start one on this machine, which is stopped afterwards."""

    address: str = ""

    def __call__(self, request: LabelRequest, tasks: Sequence[Task], on_frames: OnFrames) -> None:
        """Label all slices. Raises LabellingError without Ray or the cluster, and when a slice cannot be labelled."""
        ray = _import_ray()
        _connect(ray, self.address)
        try:
            _run(ray, request, tasks, on_frames)
        finally:
            ray.shutdown()


def _import_ray() -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # no usage reports over the network
    try:
        import ray
    except ImportError as error:
        raise LabellingError(
            f"Ray cannot be imported ({shown(error, 300)}); install it with "
            f"`{install_command('ray>=2.9,<3')}`, or leave --ray out"
        ) from error
    return ray


def _connect(ray: Any, address: str) -> None:
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address:
            _check_reachable(address)
            ray.init(address=address, **quiet)
        else:
            ray.init(
                address="local",
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                **quiet,
            )
    except Exception as error:  # Ray raises exceptions of many types
        where = f"at {address}" if address else "on this machine"
        reason = (shown(error, 300).splitlines() or [""])[0]
        raise LabellingError(
            f"no Ray cluster {where} ({type(error).__name__}: {reason}); see what `ray status` says there"
        ) from error


def _check_reachable(address: str) -> None:
    """Raise OSError when HOST:PORT accepts no connection: Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10).close()


def _run(ray: Any, request: LabelRequest, tasks: Sequence[Task], on_frames: OnFrames) -> None:
    gpus = 1 if request.options.device != "cpu" and ray.cluster_resources().get("GPU") else 0
    label_on_worker = ray.remote(
        num_cpus=1, num_gpus=gpus, max_retries=_MAX_LOST_WORKERS, retry_exceptions=False
    )(_label)
    job = ray.put(request)
    pending = [label_on_worker.remote(job, task) for task in tasks]
    printed: set[str] = set()
    while pending:
        done, pending = ray.wait(pending)
        try:
            for frames, warnings in ray.get(done):
                on_frames(frames)
                warn(dict.fromkeys(w for w in warnings if w not in printed))
                printed.update(warnings)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, ZeroShotSegmentationError):
                raise error.cause from error
            raise LabellingError(
                f"a slice could not be labelled: {described(error.cause)}"
            ) from error
        except ray.exceptions.RayError as error:
            raise LabellingError(
                f"a slice lost its worker {_MAX_LOST_WORKERS + 1} times ({type(error).__name__}): look for the "
                "reason, too little memory for example; the same command continues where it stopped"
            ) from error


def _label(request: LabelRequest, task: Task) -> tuple[int, tuple[str, ...]]:
    """Label a slice on a worker. Return the number of frames, and the model's warnings."""
    model = _model(request)
    with write_errors_as_labelling_errors(request.out), Bag(task.plan.bag) as bag:
        summary = label_slice(request, task.plan, task.part, task.target, bag, model)
    return summary.frames, model.warnings


_models: dict[str, LoadedModel] = {}


def _model(request: LabelRequest) -> LoadedModel:
    """Return the model, which is loaded once per worker: a worker labels slices of one job only."""
    if not _models:
        _models["only"] = load_model(request.model, request.options, request.vocabulary)
    return _models["only"]
