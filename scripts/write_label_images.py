# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Draws overlays of the shipped recording, for docs/images: the labels of objects on small or larger images.

    scripts/run.sh python scripts/write_label_images.py OUTPUT [--left EARLIER] [--width 320] [--frames 30 200]

The frames are below each other, enlarged to 640x480 where the image is smaller. `--left` puts an image that this script
wrote with an earlier version of the package beside it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.evaluation.bag_truth import BagTruth
from zs_seg_ros.files import write_output
from zs_seg_ros.perception.masks import extract_objects
from zs_seg_ros.perception.overlay import draw_overlay
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.loaded_model import load_model
from zs_seg_ros.types import Batch
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

_RECORDING = Path(__file__).resolve().parents[1] / "recordings" / "tabletop"
_SHOWN = (640, 480)


def overlays(frames: list[int], width: int) -> NDArray[np.uint8]:
    """Draw the frames at a width, below each other: (480 x frames, 640, 3) RGB."""
    truth = BagTruth(_RECORDING)
    vocabulary = Vocabulary().changed_to(TargetClass(target.name) for target in truth.classes)
    model = load_model("tabletop", LoadOptions(device="cpu"), vocabulary)
    drawn = []
    for number, frame in enumerate(truth.frames()):
        if number in frames:
            image = np.asarray(cv2.resize(frame.image, (width, width * 3 // 4)), np.uint8)
            batch = Batch((image,), vocabulary.thresholds(0.5))
            [segmentation] = model.segmenter.segment(batch, model.encoded)
            objects = extract_objects(segmentation, min_area=50, max_objects=100)
            overlay = draw_overlay(image, segmentation.label, objects, vocabulary)
            drawn.append(cv2.resize(overlay, _SHOWN, interpolation=cv2.INTER_NEAREST))
    return np.vstack(drawn).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path)
    parser.add_argument("--left", type=Path)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--frames", type=int, nargs="+", default=[30, 200])
    options = parser.parse_args()
    image = overlays(options.frames, options.width)
    if options.left:
        image = np.hstack((cv2.imread(str(options.left))[..., ::-1], image))
    _, data = cv2.imencode(options.output.suffix, image[..., ::-1])
    write_output(options.output, bytes(data))


if __name__ == "__main__":
    main()
