# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Segments one slice, and writes its results to a part bag."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.errors import ModelError, ZeroShotSegmentationError
from zs_seg_ros.labelling.bag_output import add_result_topics, new_bag
from zs_seg_ros.labelling.frames import read_frames
from zs_seg_ros.labelling.messages import (
    confidence_message,
    label_message,
    objects_message,
    serialised,
)
from zs_seg_ros.labelling.plan import LabelRequest, Plan, Slice
from zs_seg_ros.labelling.work_folder import atomic_folder
from zs_seg_ros.perception.pipeline import Pipeline
from zs_seg_ros.segmenters.loaded_model import LoadedModel
from zs_seg_ros.shown import described
from zs_seg_ros.types import Frame, Scene

Item = TypeVar("Item")
_SUMMARY_FILE = "summary.json"


@dataclass(frozen=True)
class Summary:
    """The outcome of a slice. problems: error text → number of messages."""

    frames: int
    problems: Counter[str]


def label_slice(
    request: LabelRequest,
    plan: Plan,
    part: Slice,
    target: Path,
    bag: Bag,
    model: LoadedModel,
    on_frames: Callable[[int], None] = lambda count: None,
) -> Summary:
    """Segment the frames of a slice, and write their results to the new rosbag2 folder `target`, atomically.

    on_frames: called with the size of each finished batch. Raises BagError, ModelError, or OSError when the folder
    cannot be written.
    """
    problems: Counter[str] = Counter()
    count = 0
    with atomic_folder(target) as folder:
        with new_bag(folder, "mcap") as writer:
            connections = add_result_topics(writer, plan.cameras)
            frames = read_frames(bag, plan.cameras, part, problems)
            for batch in _prefetched(_batches(frames, request.batch)):
                for scene in _process(request, model, batch):
                    _write(writer, connections, plan, scene)
                    if scene.depth_problem:
                        problems[f"{scene.frame.camera}: {scene.depth_problem}"] += 1
                count += len(batch)
                on_frames(len(batch))
        summary = {"frames": count, "problems": problems}
        (folder / _SUMMARY_FILE).write_text(json.dumps(summary), encoding="utf-8")
    return Summary(count, problems)


def read_summary(part: Path) -> Summary:
    """Read the summary of a finished slice."""
    content = json.loads((part / _SUMMARY_FILE).read_text(encoding="utf-8"))
    return Summary(content["frames"], Counter(content["problems"]))


def _process(request: LabelRequest, model: LoadedModel, batch: tuple[Frame, ...]) -> list[Scene]:
    """Process a batch without tracking: track ids depend on earlier slices, so they are set when slices are joined."""
    untracked = replace(request.settings, track=False)
    try:
        return Pipeline().process(batch, model.segmenter, model.encoded, untracked)
    except Exception as error:  # a model may raise any exception
        reason = model.segmenter.recover(error)
        if isinstance(reason, ZeroShotSegmentationError):
            raise reason from error
        raise ModelError(
            f"the model {request.model} failed on an image: {described(reason)}"
        ) from error


def _write(writer: Any, connections: Any, plan: Plan, scene: Scene) -> None:
    camera = next(c for c in plan.cameras if c.name == scene.frame.camera)
    for topic, message in (
        (camera.label, label_message(scene)),
        (camera.confidence, confidence_message(scene)),
        (camera.objects, objects_message(scene)),  # last: it completes a frame for `read_results`
    ):
        writer.write(connections[topic], scene.frame.received_ns, serialised(message))


def _batches(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    iterator = iter(items)
    while batch := tuple(itertools.islice(iterator, size)):
        yield batch


def _prefetched(items: Iterator[Item]) -> Iterator[Item]:
    """Yield the items; the next one is read in a thread while the caller processes this one."""
    with ThreadPoolExecutor(1) as reader:
        upcoming = reader.submit(next, items, None)
        while (item := upcoming.result()) is not None:
            upcoming = reader.submit(next, items, None)
            yield item
