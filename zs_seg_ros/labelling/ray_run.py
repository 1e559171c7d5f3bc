"""Slices on a Ray cluster: one task each; a lost worker's slice goes to another one."""

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
from zs_seg_ros.labelling.slice_results import LoadedModel, label_slice, load_model
from zs_seg_ros.labelling.work_folder import told_in_words

_LOST_WORKERS_A_SLICE = 5
_OBJECT_STORE_BYTES = 100 * 2**20
"""Results go through files, so that little goes through Ray."""


@dataclass(frozen=True)
class RayCluster:
    """Labels slices on a Ray cluster. address: '' starts one on this machine, and stops it afterwards."""

    address: str = ""

    def __call__(self, request: LabelRequest, tasks: Sequence[Task], on_frames: OnFrames) -> None:
        """Raises LabellingError without Ray or cluster, and when a slice cannot be done."""
        ray = _import_ray()
        _connect(ray, self.address)
        try:
            _run(ray, request, tasks, on_frames)
        finally:
            ray.shutdown()


def _import_ray() -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # or Ray reports to its makers
    try:
        import ray
    except ImportError as error:
        raise LabellingError(
            f"Ray cannot be imported ({error}); install it with `pip install 'ray>=2.9,<3'`, or leave --ray out"
        ) from error
    return ray


def _connect(ray: Any, address: str) -> None:
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address:
            _knock(address)
            ray.init(address=address, **quiet)
        else:
            ray.init(
                address="local",
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                **quiet,
            )
    except Exception as error:  # Ray raises ConnectionError, ValueError, RuntimeError and others
        where = f"at {address}" if address else "on this machine"
        reason = (str(error).strip().splitlines() or [""])[0]
        raise LabellingError(
            f"no Ray cluster {where} ({type(error).__name__}: {reason}); see what `ray status` says there"
        ) from error


def _knock(address: str) -> None:
    """Raise OSError when nobody listens at HOST:PORT: Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10).close()


def _run(ray: Any, request: LabelRequest, tasks: Sequence[Task], on_frames: OnFrames) -> None:
    gpus = 1 if request.options.device != "cpu" and ray.cluster_resources().get("GPU") else 0
    label_on_worker = ray.remote(
        num_cpus=1, num_gpus=gpus, max_retries=_LOST_WORKERS_A_SLICE, retry_exceptions=False
    )(_label)
    job = ray.put(request)
    waiting = [label_on_worker.remote(job, task) for task in tasks]
    told: set[str] = set()
    while waiting:
        done, waiting = ray.wait(waiting)
        try:
            for frames, warnings in ray.get(done):
                on_frames(frames)
                warn(dict.fromkeys(w for w in warnings if w not in told))
                told.update(warnings)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, ZeroShotSegmentationError):
                raise error.cause from error
            raise LabellingError(f"a slice could not be labelled: {error.cause!r}") from error
        except ray.exceptions.RayError as error:
            raise LabellingError(
                f"a slice lost its worker {_LOST_WORKERS_A_SLICE + 1} times ({type(error).__name__}): look for what "
                "ends them, too little memory for example; the same command goes on"
            ) from error


def _label(request: LabelRequest, task: Task) -> tuple[int, tuple[str, ...]]:
    """On a worker: the number of frames, and what the model warns of."""
    model = _model(request)
    with told_in_words(request.out), Bag(task.plan.bag) as bag:
        done = label_slice(request, task.plan, task.part, task.target, bag, model)
    return done.frames, model.warnings


_models: dict[str, LoadedModel] = {}


def _model(request: LabelRequest) -> LoadedModel:
    """Loaded once a worker, which goes from slice to slice of one job."""
    if not _models:
        _models["only"] = load_model(request)
    return _models["only"]
