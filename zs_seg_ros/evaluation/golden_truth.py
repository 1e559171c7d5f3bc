# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Ground truth from a golden file of replay_test: a model is compared with results that were good."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.bags.bag_cameras import require_camera
from zs_seg_ros.evaluation.truth import (
    Truth,
    TruthFrame,
    TruthObject,
    errors_as_evaluation_errors,
)
from zs_seg_ros.images.compressed_images import CompressedImageReader
from zs_seg_ros.images.message_images import image_from_message
from zs_seg_ros.perception.masks import full_mask
from zs_seg_ros.replay.bag_frames import frames as bag_frames
from zs_seg_ros.replay.golden import Golden
from zs_seg_ros.types import size_of


class GoldenTruth(Truth):
    """The frames of a golden file with the images of its recording."""

    separates_objects = True

    def __init__(self, path: Path, recording: Path) -> None:
        """Open the golden file. Raises ReplayError where it cannot be used."""
        self._path, self._recording = path, recording
        with Golden(path) as golden:
            self.classes = golden.settings.classes
            self._length = golden.frame_count({c.name for c in golden.settings.cameras})

    def __len__(self) -> int:
        return self._length

    def frames(self, every: int = 1) -> Iterator[TruthFrame]:
        with Golden(self._path) as golden, Bag(self._recording) as bag:
            cameras = [
                require_camera(bag, camera.name, camera.transport, None)
                for camera in golden.settings.cameras
            ]
            readers = {c.name: CompressedImageReader() for c in cameras if c.transport != "raw"}
            numbers = {name: n for n, name in enumerate(golden.settings.names, 1)}
            count = itertools.count()
            for frame in bag_frames(bag, cameras, golden.settings.every, golden.settings.span):
                name = f"{frame.camera.name} {frame.index}"
                reader = readers.get(frame.camera.name)
                with errors_as_evaluation_errors(
                    f"the image {name} of {self._recording} cannot be read"
                ):
                    # A stream of video is decoded image by image.
                    image = reader(frame.image.content) if reader else None
                    result = golden.frame(frame.camera.name, frame.index)
                    if result is None or next(count) % every:
                        continue
                    if image is None:
                        image = image_from_message(frame.image.content)
                objects = tuple(
                    TruthObject(numbers[o.class_name], full_mask(o.mask, o.box, size_of(image)))
                    for o in result.objects
                )
                yield TruthFrame(name, image, result.label, objects)
