# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Inference and post-processing of a batch of frames to scenes, without threads and ROS."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from zs_seg_ros.errors import ImageError
from zs_seg_ros.perception.between_detections import BetweenDetections
from zs_seg_ros.perception.depth import (
    check_sizes,
    depth_in_metres,
    depth_of_image_size,
    unit_problem,
)
from zs_seg_ros.perception.inference import inferred
from zs_seg_ros.perception.kept_objects import KeptObjects
from zs_seg_ros.perception.labelled_cloud import cloud
from zs_seg_ros.perception.masks import extract_objects
from zs_seg_ros.perception.output_size import at_output_size, scaled_size
from zs_seg_ros.perception.pooling import pooled
from zs_seg_ros.perception.projection import surface_of
from zs_seg_ros.perception.rotation import as_received, upright
from zs_seg_ros.perception.tracking import Tracker
from zs_seg_ros.segmenters.base import EncodedVocabulary, Segmenter
from zs_seg_ros.types import (
    Batch,
    DepthImage,
    DetectedObject,
    Frame,
    Pose,
    Scene,
    Segmentation,
    size_of,
)
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True)
class Settings:
    """The settings of post-processing, which may change from one batch to the next.

    default_threshold: for classes without one, 0..1. min_area: the least number of pixels of an object. max_objects:
    the largest number of objects in an image; the most confident ones are kept. track: whether objects get track ids.
    output_scale: the size of published label images and clouds in units of the image's, 0 to 1; not of objects.
    propagation: off, auto or flow: whether and how results of the model are carried to later images. inference_every:
    with propagation, the model segments every n-th image, and is waited for; 0: the newest whenever it is ready.
    detection_interval_s: with a model that has a video memory, the time from one detection in the images of a camera to
    the next; in images between, the memory follows what was detected. 0: every image is detected in.
    """

    default_threshold: float = DEFAULT_THRESHOLD
    min_area: int = 50
    max_objects: int = 100
    track: bool = True
    output_scale: float = 1.0
    propagation: str = "off"
    inference_every: int = 0
    detection_interval_s: float = 0.0


@dataclass(frozen=True, eq=False)
class SegmentedBatch:
    """A batch after inference. segmentations: one per frame. segment_ms: the duration of inference for all frames."""

    frames: tuple[Frame, ...]
    segmentations: tuple[Segmentation, ...]
    vocabulary: Vocabulary
    segment_ms: float


def segment(
    frames: Sequence[Frame],
    segmenter: Segmenter[Any],
    encoded: EncodedVocabulary[Any],
    settings: Settings,
    kept: KeptObjects | None = None,
    between: BetweenDetections | None = None,
) -> SegmentedBatch:
    """Run inference on all frames at once. Raises what the model raises.

    Where no objects are requested, nothing needs masks of the image's size, and logits are decoded at the output's.
    kept: objects of which those with a video memory are followed. between: what was detected last, for images between
    two detections.
    """
    start = time.perf_counter()
    images = tuple(upright(frame.image, frame.rotation) for frame in frames)
    # Results are carried and followed at the image's size.
    whole = settings.propagation != "off" or settings.detection_interval_s > 0
    scales = [1.0 if whole or f.requested.objects else settings.output_scale for f in frames]
    sizes = [scaled_size(size_of(i), scale) for i, scale in zip(images, scales, strict=True)]
    thresholds = encoded.vocabulary.thresholds(settings.default_threshold)
    features = any(frame.requested.features for frame in frames)
    batch = Batch(images, thresholds, tuple(sizes), features)
    interval_s, threshold = settings.detection_interval_s, settings.default_threshold
    results = inferred(frames, batch, segmenter, encoded, kept, between, interval_s, threshold)
    segmentations = tuple(
        as_received(segmentation, frame.rotation)
        for frame, segmentation in zip(frames, results, strict=True)
    )
    segment_ms = (time.perf_counter() - start) * 1000
    return SegmentedBatch(tuple(frames), segmentations, encoded.of_results, segment_ms)


@dataclass(frozen=True, eq=False)
class Placement:
    """The frame that positions are published in. camera_pose: None where it is not known; problem: then the reason."""

    frame_id: str
    camera_pose: Pose | None
    problem: str = ""


PlacementOf = Callable[[Frame], Placement | None]


def in_camera_frame(_frame: Frame) -> None:
    """Return no placement: positions are in the camera's own optical frame."""
    return


class Pipeline:
    """Post-process segmentations to the outputs that each frame requests. Holds a tracker for each camera.

    Thread-safe, as long as the frames of one camera are processed in their order.
    """

    def __init__(
        self, placement_of: PlacementOf = in_camera_frame, kept: KeptObjects | None = None
    ) -> None:
        """Create a pipeline.

        placement_of: the frame for the positions of a frame's objects; None: the camera's own. kept: the objects that
        have classes of their own.
        """
        self._placement_of = placement_of
        self._kept = KeptObjects() if kept is None else kept
        self._trackers: dict[str, Tracker] = {}
        self._tracking = threading.Lock()

    def process(
        self,
        frames: Sequence[Frame],
        segmenter: Segmenter[Any],
        encoded: EncodedVocabulary[Any],
        settings: Settings,
    ) -> list[Scene]:
        """Run inference and post-processing. Returns one scene per frame, in order."""
        segmented = segment(frames, segmenter, encoded, settings, self._kept)
        return list(self.scenes(segmented, settings))

    def scenes(self, segmented: SegmentedBatch, settings: Settings) -> Iterator[Scene]:
        """Post-process a batch. Yields one scene per frame, in order."""
        for frame, segmentation in zip(segmented.frames, segmented.segmentations, strict=True):
            scene = Scene(
                frame,
                segmentation,
                segmented.vocabulary,
                stage_ms={"segment": segmented.segment_ms},
            )
            yield self.completed(scene, settings)

    def completed(self, scene: Scene, settings: Settings) -> Scene:
        """Add the outputs that the scene's frame requests, and the duration of each stage."""
        followed = self._kept.follow(scene, settings.min_area)
        scene = replace(
            scene, segmentation=followed.segmentation, output_scale=settings.output_scale
        )
        if scene.frame.requested.objects:
            with _timed(scene.stage_ms, "objects"):
                objects = extract_objects(followed.rest, settings.min_area, settings.max_objects)
            if settings.track:
                with _timed(scene.stage_ms, "track"):
                    objects = self._tracked(scene.frame, objects, scene.vocabulary)
            objects = _with_kept(objects, followed.objects, settings.max_objects)
            scene = _with_features(replace(scene, objects=objects))
        try:
            return self._with_depth(scene)
        except ImageError as error:
            return replace(scene, depth_problem=str(error))

    def _tracked(
        self, frame: Frame, objects: tuple[DetectedObject, ...], vocabulary: Vocabulary
    ) -> tuple[DetectedObject, ...]:
        with self._tracking:
            tracker = self._trackers.setdefault(frame.camera, Tracker())
            return tracker.update(objects, frame.stamp_ns, vocabulary.version)

    def _with_depth(self, scene: Scene) -> Scene:
        """Add surfaces and cloud if the frame requests them. Raises ImageError when depth does not fit the image."""
        requested, depth = scene.frame.requested, scene.frame.depth
        if depth is None or not requested.needs_depth:
            return scene
        placement = self._placement_of(scene.frame)
        if placement is not None:
            if placement.camera_pose is None:
                return replace(scene, depth_problem=placement.problem)
            scene = replace(
                scene, camera_pose=placement.camera_pose, positions_frame_id=placement.frame_id
            )
        return _with_positions(scene, depth)


def _with_kept(
    objects: tuple[DetectedObject, ...], kept: tuple[DetectedObject, ...], max_objects: int
) -> tuple[DetectedObject, ...]:
    """Return all objects, most confident first; of too many, those that are not kept are left out."""
    if not kept:
        return objects
    others = objects[: max(0, max_objects - len(kept))]
    return tuple(sorted((*others, *kept), key=lambda each: (-each.score, -each.area)))


def _with_features(scene: Scene) -> Scene:
    """Add the features of objects if the frame requests them and the model computed them for this very image."""
    frame, grid = scene.frame, scene.segmentation.features
    if grid is None or not frame.requested.features or scene.propagated_from_ns is not None:
        return scene
    with _timed(scene.stage_ms, "features"):
        return replace(scene, features=pooled(grid, size_of(frame.image), scene.objects))


def _with_positions(scene: Scene, depth: DepthImage) -> Scene:
    """Add surfaces and cloud if the frame requests them. Raises ImageError when depth does not fit the image."""
    frame, requested = scene.frame, scene.frame.requested
    size, intrinsics = size_of(frame.image), depth.intrinsics
    depth_m = depth_of_image_size(depth_in_metres(depth.values, depth.unit_m), size)
    check_sizes(size, depth_m, intrinsics)
    scene = replace(scene, depth_problem=unit_problem(depth_m))
    if requested.surfaces:
        with _timed(scene.stage_ms, "surfaces"):
            objects = tuple(
                replace(
                    detected,
                    surface=surface_of(detected, depth_m, intrinsics, scene.camera_pose),
                )
                for detected in scene.objects
            )
            scene = replace(scene, objects=objects)
    if requested.cloud:
        with _timed(scene.stage_ms, "cloud"):
            segmentation = at_output_size(scene.segmentation, size, scene.output_scale)
            points = cloud(
                frame.image,
                segmentation.label,
                segmentation.confidence,
                scene.objects,
                depth_m,
                intrinsics,
                scene.camera_pose,
            )
            scene = replace(scene, cloud=points)
    return scene


@contextmanager
def _timed(stage_ms: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    stage_ms[stage] = (time.perf_counter() - start) * 1000
