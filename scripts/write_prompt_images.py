# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Draws what prompts do, for docs/images: more specific classes on the shipped recording, and an example image.

    scripts/run.sh python scripts/write_prompt_images.py OUTPUT

Above: general classes alone, and with more specific ones. Below: an example image with its mask, and another scene.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.evaluation.bag_truth import BagTruth
from zs_seg_ros.evaluation.truth import numbers_of
from zs_seg_ros.files import write_output
from zs_seg_ros.perception.masks import extract_objects
from zs_seg_ros.perception.overlay import draw_overlay
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.loaded_model import load_model
from zs_seg_ros.types import Batch, RgbImage
from zs_seg_ros.vocabulary.vocabulary import Exemplar, TargetClass, Vocabulary

_ROOT = Path(__file__).resolve().parents[1]
_SCENES = _ROOT / "tests" / "segmenters" / "exemplar_scenes"
_GENERAL, _SPECIFIC = ("mug", "blue thing"), ("white mug", "blue teddy bear")
_SHOWN = (640, 480)
_OUTLINE = (255, 0, 255)


def specific_classes() -> NDArray[np.uint8]:
    """Draw the frame that shows most of both specific classes: (480, 1280, 3) RGB."""
    truth = BagTruth(_ROOT / "recordings" / "tabletop")
    numbers = numbers_of(_SPECIFIC, truth)

    def pixels_of_both(label: NDArray[np.uint16]) -> int:
        return int(np.bincount(numbers[label].ravel(), minlength=3)[1:3].min())

    frame = max(truth.frames(6), key=lambda frame: pixels_of_both(frame.label))
    vocabularies = ([TargetClass(n) for n in names] for names in (_GENERAL, _GENERAL + _SPECIFIC))
    return np.hstack([_overlay(frame.image, targets) for targets in vocabularies])


def example_image() -> NDArray[np.uint8]:
    """Draw an example image with the outline of its mask, and the object in another scene: (480, 1280, 3) RGB."""
    (image, mask), (other, _) = (_scene(number) for number in (0, 3))
    shown = np.ascontiguousarray(cv2.resize(image, _SHOWN, interpolation=cv2.INTER_NEAREST))
    large = cv2.resize(mask.astype(np.uint8), _SHOWN, interpolation=cv2.INTER_NEAREST)
    outlines, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(shown, outlines, -1, _OUTLINE, 2)
    target = TargetClass("part 4711", exemplars=(Exemplar(image, mask),))
    return np.hstack([shown, _overlay(other, [target])]).astype(np.uint8)


def _scene(number: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    pixels = cv2.imread(str(_SCENES / f"arrow_{number:02d}.png"), cv2.IMREAD_UNCHANGED)
    pixels = np.asarray(pixels, np.uint8)
    return np.ascontiguousarray(pixels[..., 2::-1]), pixels[..., 3] > 0


def _overlay(image: RgbImage, targets: Sequence[TargetClass]) -> NDArray[np.uint8]:
    vocabulary = Vocabulary().changed_to(targets)
    model = load_model("tabletop", LoadOptions(device="cpu"), vocabulary)
    shown = np.asarray(cv2.resize(image, _SHOWN), np.uint8)
    [segmentation] = model.segmenter.segment(
        Batch((shown,), vocabulary.thresholds(0.5)), model.encoded
    )
    objects = extract_objects(segmentation, min_area=100, max_objects=100)
    return draw_overlay(shown, segmentation.label, objects, vocabulary)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path)
    output: Path = parser.parse_args().output
    image = np.vstack([specific_classes(), example_image()])
    _, data = cv2.imencode(output.suffix, image[..., ::-1])
    write_output(output, bytes(data))


if __name__ == "__main__":
    main()
