# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`zs-seg evaluate --vocabulary-check`: checks a vocabulary on images or a recording without labels."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.bags.bag_cameras import find_cameras
from zs_seg_ros.cli.image_files import plan_jobs
from zs_seg_ros.errors import EvaluationError
from zs_seg_ros.evaluation.truth import errors_as_evaluation_errors
from zs_seg_ros.evaluation.vocabulary_check import check_vocabulary
from zs_seg_ros.files import write_output
from zs_seg_ros.images.compressed_images import CompressedImageReader
from zs_seg_ros.images.image_files import SUFFIXES, read_image
from zs_seg_ros.images.message_images import image_from_message
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.types import RgbImage
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

_MOST_IMAGES = 20
"""Used where no limit is given: each takes one inference per class."""


@dataclass(frozen=True)
class CheckRequest:
    """The arguments of the command line. images: a file, a folder of images, or a recording. limit: 0 for 20."""

    images: Path
    camera: str
    vocabulary: Vocabulary | None
    model: str
    options: LoadOptions
    threshold: float
    limit: int
    json: Path | None


def check(request: CheckRequest) -> int:
    """Check the vocabulary, print its findings, and return the exit code. Raises ZeroShotSegmentationError."""
    if request.vocabulary is None:
        raise EvaluationError(
            "--vocabulary-check needs the classes to check: give --classes, or --vocabulary"
        )
    limit = request.limit or _MOST_IMAGES
    with contextlib.redirect_stdout(sys.stderr):  # stdout is for results; a library may print
        segmenter = load_segmenter(request.model, request.options)
        # disable=None: no bar where stderr is not a terminal
        images = tqdm(_images(request.images, request.camera, limit), unit="image", disable=None)
        result = check_vocabulary(images, segmenter, request.vocabulary, request.threshold)
        segmenter.close()
    print(result.table())
    if request.json is not None:
        write_output(request.json, (json.dumps(result.values(), indent=1) + "\n").encode())
    return 0


def _images(path: Path, camera: str, limit: int) -> Iterator[RgbImage]:
    """Yield up to `limit` images, evenly spread."""
    if path.suffix.lower() in SUFFIXES or _has_images(path):
        files = [job.image for job in plan_jobs((path,), None, None)]
        for file in files[:: math.ceil(len(files) / limit)]:
            with errors_as_evaluation_errors():
                yield read_image(file)
    else:
        yield from _images_of_recording(path, camera, limit)


def _has_images(path: Path) -> bool:
    return path.is_dir() and any(each.suffix.lower() in SUFFIXES for each in path.iterdir())


def _images_of_recording(path: Path, camera: str, limit: int) -> Iterator[RgbImage]:
    with Bag(path) as bag:
        chosen = find_cameras(bag, [camera] if camera else ())[0]
        reader = CompressedImageReader() if chosen.transport == "compressed" else None
        step = math.ceil(max(1, bag.topics[chosen.image].message_count) / limit)
        for number, message in enumerate(bag.messages([chosen.image])):
            with errors_as_evaluation_errors(f"an image on {chosen.image} cannot be read"):
                # A stream of video is decoded image by image.
                image = reader(message.content) if reader else None
                if number % step == 0:
                    yield image_from_message(message.content) if image is None else image
