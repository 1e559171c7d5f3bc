# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Makes a golden file of `replay_test` from a span of a recording, with the model of this process.

The file is the one that `replay_test --update` writes for these images: frames go through the same pipeline in the
order of the recording, with a tracker and depth, and into the same writer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.errors import ModelError, StudioError, ZeroShotSegmentationError
from zs_seg_ros.labelling.frames import read_frames
from zs_seg_ros.labelling.plan import Slice
from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.perception.pipeline import Pipeline, Settings
from zs_seg_ros.replay.golden import GoldenWriter
from zs_seg_ros.replay.results import (
    DIGITS,
    EXEMPLARS,
    CameraSettings,
    FrameResult,
    Identities,
    ObjectResult,
    RunSettings,
    Setting,
    Span,
)
from zs_seg_ros.segmenters.base import EncodedVocabulary, Segmenter
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.recovery import recovering
from zs_seg_ros.shown import described
from zs_seg_ros.studio.jobs import Job
from zs_seg_ros.studio.stills import RecordedSpan
from zs_seg_ros.types import Frame, Scene
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary


@dataclass(frozen=True)
class GoldenRequest:
    """A golden file to write. model, options: how the model of the studio was loaded."""

    path: Path
    span: RecordedSpan
    model: str
    options: LoadOptions
    settings: Settings


def write_golden(request: GoldenRequest, model: LiveModel, job: Job) -> dict[str, Any]:
    """Write the golden file with the vocabulary that is in force now, and return where it is and what it holds.

    Raises ZeroShotSegmentationError; then there is no file.
    """
    encoded, segmenter = model.encoded, model.segmenter
    if encoded is None or segmenter is None or not encoded.of_results.classes:
        raise StudioError("no class is in force: there is nothing that a replay test could check")
    settings = _run_settings(request, segmenter, encoded)
    collector = _Collector(encoded.of_results)
    pipeline = Pipeline()
    count = 0
    request.path.parent.mkdir(parents=True, exist_ok=True)
    with GoldenWriter(request.path, settings.names) as writer:
        for index, frame in _frames(request.span):
            job.report(count, len(request.span.times_ns), f"image {index + 1}")
            try:
                with recovering(segmenter):
                    [scene] = pipeline.process([frame], segmenter, encoded, request.settings)
            except ZeroShotSegmentationError:
                raise
            except Exception as error:  # of the model
                raise ModelError(
                    f"the model fails on image {index + 1}: {described(error)}"
                ) from error
            writer.add(collector.result(scene, index))
            count += 1
        job.check()
        writer.finish(settings)
    return {
        "path": str(request.path),
        "frames": count,
        "bytes": request.path.stat().st_size,
        "exemplars": settings.settings[EXEMPLARS],
        "recording": str(request.span.bag),
    }


def _frames(span: RecordedSpan) -> Iterator[tuple[int, Frame]]:
    """Yield the frames with their indices. Raises StudioError for one that cannot be read: a node gives no results."""
    problems: Counter[str] = Counter()
    part = Slice(0, span.times_ns[0], span.times_ns[-1] + 1)
    index = span.first
    with Bag(span.bag) as bag:
        for frame in read_frames(bag, [span.camera], part, problems):
            if index > span.last or span.times_ns[index - span.first] != frame.received_ns:
                break
            yield index, frame
            index += 1
    if index <= span.last:
        reason = next(iter(problems), "its message is empty")
        raise StudioError(
            f"image {index + 1} of {span.camera.name} cannot be read, so that no node has results for it: choose "
            f"another span ({reason})"
        )


def _run_settings(
    request: GoldenRequest, segmenter: Segmenter[Any], encoded: EncodedVocabulary[Any]
) -> RunSettings:
    vocabulary, camera, settings = encoded.of_results, request.span.camera, request.settings
    values: dict[str, Setting] = {
        "default_threshold": settings.default_threshold,
        "min_area": settings.min_area,
        "max_objects": settings.max_objects,
        "track": settings.track,
        "precision": request.options.precision,
    }
    for name in ("inference_size", "mask_inference_size"):
        if size := getattr(request.options, name):
            values[name] = size
    values[EXEMPLARS] = sum(len(target.exemplars) for target in vocabulary.classes)
    return RunSettings(
        request.span.bag.resolve().name,
        request.model,
        tuple(map(_in_words, vocabulary.classes)),
        (CameraSettings(camera.name, camera.transport, camera.depth_transport if camera.depth else None),),
        settings=values,
        span=Span(request.span.first, request.span.last),
        engine=segmenter.engine,
        precision=segmenter.precision,
    )  # fmt: skip


def _in_words(target: TargetClass) -> TargetClass:
    threshold = round(float(np.float32(target.threshold)), DIGITS)
    return TargetClass(target.name, target.prompts, threshold, negatives=target.negatives)


class _Collector:
    """Turns scenes into results as `replay_test` receives them. For the images of one camera, in their order."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._names = dict(zip(vocabulary.ids, vocabulary.names, strict=True))
        self._numbers = np.zeros(1 << 16, np.uint16)
        self._numbers[list(vocabulary.ids)] = range(1, len(vocabulary.ids) + 1)
        self._identities = Identities()

    def result(self, scene: Scene, index: int) -> FrameResult:
        """Return the result of a scene."""
        objects = tuple(
            ObjectResult(
                self._names[detected.class_id],
                round(float(np.float32(detected.score)), DIGITS),
                detected.box,
                detected.mask,
                self._identities.number(detected.track_id),
                None if detected.surface is None else _rounded(*detected.surface.centre),
            )
            for detected in scene.objects
        )
        label = self._numbers[scene.segmentation.label]
        return FrameResult(scene.frame.camera, index, scene.frame.stamp_ns, label, objects)


def _rounded(x: float, y: float, z: float) -> tuple[float, float, float]:
    return round(float(x), DIGITS), round(float(y), DIGITS), round(float(z), DIGITS)
