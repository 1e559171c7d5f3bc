"""One slice segmented, and its results in a part file."""

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
from zs_seg_ros.labelling.work_folder import whole_or_not_at_all
from zs_seg_ros.perception.pipeline import Pipeline
from zs_seg_ros.segmenters.base import EncodedVocabulary, Segmenter
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.types import Frame, Scene

Item = TypeVar("Item")
_SUMMARY_FILE = "summary.json"


@dataclass(frozen=True)
class Summary:
    """What came of a slice. problems: sentence → how often."""

    frames: int
    problems: Counter[str]


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model, and the words as it understands them."""

    segmenter: Segmenter[Any]
    encoded: EncodedVocabulary[Any]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the person who chose them must know."""
        return tuple(filter(None, (self.segmenter.caution, *self.encoded.warnings)))


def load_model(request: LabelRequest) -> LoadedModel:
    """Raises ModelError, or VocabularyError for words that it cannot take."""
    segmenter = load_segmenter(request.model, request.options)
    return LoadedModel(segmenter, segmenter.encode(request.vocabulary))


def label_slice(
    request: LabelRequest,
    plan: Plan,
    part: Slice,
    target: Path,
    bag: Bag,
    model: LoadedModel,
    on_frames: Callable[[int], None] = lambda count: None,
) -> Summary:
    """Segment the frames of a slice, and put their results into the rosbag2 folder `target`, whole or not at all.

    on_frames is told of each batch. Raises BagError, ModelError, or OSError when it cannot be written.
    """
    problems: Counter[str] = Counter()
    count = 0
    with whole_or_not_at_all(target) as folder:
        with new_bag(folder, "mcap") as writer:
            connections = add_result_topics(writer, plan.cameras)
            frames = read_frames(bag, plan.cameras, part, problems)
            for batch in _one_ahead(_batches(frames, request.batch)):
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
    content = json.loads((part / _SUMMARY_FILE).read_text(encoding="utf-8"))
    return Summary(content["frames"], Counter(content["problems"]))


def _process(request: LabelRequest, model: LoadedModel, batch: tuple[Frame, ...]) -> list[Scene]:
    """Without identities: these need what was before, so they are given when slices are joined."""
    untracked = replace(request.settings, track=False)
    try:
        return Pipeline().process(batch, model.segmenter, model.encoded, untracked)
    except Exception as error:  # a model may raise anything
        told = model.segmenter.recover(error)
        if isinstance(told, ZeroShotSegmentationError):
            raise told from error
        raise ModelError(
            f"the model {request.model} failed on an image: {type(told).__name__}: {told}"
        ) from error


def _write(writer: Any, connections: Any, plan: Plan, scene: Scene) -> None:
    camera = next(c for c in plan.cameras if c.name == scene.frame.camera)
    for topic, message in (
        (camera.label, label_message(scene)),
        (camera.confidence, confidence_message(scene)),
        (camera.objects, objects_message(scene)),  # the last: then a frame is complete
    ):
        writer.write(connections[topic], scene.frame.received_ns, serialised(message))


def _batches(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    iterator = iter(items)
    while batch := tuple(itertools.islice(iterator, size)):
        yield batch


def _one_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The next one is read while the model works on this one."""
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = reader.submit(next, items, None)
            yield item
