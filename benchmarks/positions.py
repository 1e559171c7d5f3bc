# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Measures the error of objects' positions on a recording with ground truth and depth.

    python benchmarks/positions.py [--model NAME_OR_FOLDER | --truth [PX]] [--recording FOLDER] [--every N]
                                   [--json FILE]

Both the position and the truth are the centre of the visible surface, which is the mean of all points of an object's
pixels. The truth takes the pixels of the ground truth instance with their rendered depth, without outlier removal and
sampling. The size is compared with the extent of these points along x, y and z.

Objects come from the model as in the node: connected components of the label image of at least 50 pixels. Each is
matched to the instance of the same name that it overlaps most, if IoU is at least 0.5; others are counted, but have no
true position. With --truth the ground truth masks, dilated by 2 (or PX) pixels on all sides, replace the model's: that
shows how much surface_of reduces the errors of masks.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from zs_seg_ros.bags.bag import Bag, ground_truth_labels, shipped_bag
from zs_seg_ros.files import write_output
from zs_seg_ros.images.camera_info import intrinsics_from_info
from zs_seg_ros.perception.depth import depth_in_metres
from zs_seg_ros.perception.masks import extract_objects
from zs_seg_ros.perception.projection import surface_of
from zs_seg_ros.types import Batch, DetectedObject, Intrinsics, Segmentation
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

TOPICS = tuple(
    f"/camera/{name}"
    for name in (
        "image_raw",
        "depth/image_raw",
        "camera_info",
        "ground_truth/label",
        "ground_truth/instance",
    )
)
THRESHOLD, MIN_AREA, MAX_OBJECTS = 0.5, 50, 100  # the node's defaults
LEAST_IOU = 0.5
GOAL_MEDIAN_M, GOAL_P95_M = 0.01, 0.03


@dataclass(frozen=True, eq=False)
class BagFrame:
    """image: (H, W, 3) RGB. depth: (H, W) as recorded. label and instance: (H, W), the truth."""

    image: NDArray[np.uint8]
    depth: NDArray[Any]
    intrinsics: Intrinsics
    label: NDArray[np.uint8]
    instance: NDArray[np.uint8]


@dataclass
class Errors:
    """Errors of all objects that match an instance: metres, shares of the true size, milliseconds."""

    distance_m: list[float] = field(default_factory=list)
    size: list[NDArray[np.float64]] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    without_instance: int = 0
    without_position: int = 0

    def summary(self) -> dict[str, float]:
        return {
            "objects": len(self.distance_m),
            "median_m": statistics.median(self.distance_m),
            "p95_m": float(np.percentile(self.distance_m, 95)),
            "largest_m": max(self.distance_m),
            "median_size_error_percent": 100 * float(np.median(np.abs(self.size))),
            "objects_without_instance": self.without_instance,
            "objects_without_position": self.without_position,
            "median_ms_per_object": statistics.median(self.milliseconds),
        }


DetectObjects = Callable[[BagFrame], tuple[DetectedObject, ...]]


def main() -> None:
    options = parse_options()
    folder = options.recording or shipped_bag()
    by_model = options.truth is None
    detect = objects_of_model(options.model, folder) if by_model else grown_truth(options.truth)
    errors = Errors()
    with Bag(folder) as bag:
        for frame in frames(bag, options.every):
            measure(frame, detect(frame), errors)
    figures = errors.summary()
    report(figures, options.model if by_model else f"the true masks, dilated by {options.truth} px")
    if options.json:
        write_output(options.json, (json.dumps(figures, indent=1) + "\n").encode())


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recording", type=Path, help="a folder; the shipped one if not given")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every N-th frame")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    masks = parser.add_mutually_exclusive_group()
    masks.add_argument("--model", default="tabletop", help="a built-in name, a folder or an id")
    masks.add_argument(
        "--truth",
        type=int,
        nargs="?",
        const=2,
        metavar="PX",
        help="the true masks, dilated by 2 or PX pixels, instead of a model's",
    )
    return parser.parse_args()


def frames(bag: Bag, every: int) -> Iterator[BagFrame]:
    """Yield every n-th frame. The recording has one message of each topic for each frame, in order."""
    count = bag.topics[TOPICS[0]].message_count
    moments = zip(*(bag.messages([topic]) for topic in TOPICS), strict=True)
    for number, moment in enumerate(tqdm(moments, "measuring", count, unit="frame")):
        if number % every:
            continue
        image, depth, info, label, instance = (message.content for message in moment)
        depth_type = "u2" if depth.encoding == "16UC1" else "f4"
        yield BagFrame(
            pixels(image, "u1").reshape(image.height, image.width, 3),
            pixels(depth, ("<", ">")[depth.is_bigendian] + depth_type),
            intrinsics_from_info(info),
            pixels(label, "u1"),
            pixels(instance, "u1"),
        )


def pixels(message: Any, dtype: str) -> NDArray[Any]:
    """Return (H, values in a row), without row padding."""
    rows = message.data.reshape(message.height, message.step)
    used = message.step // message.width * message.width
    return np.ascontiguousarray(rows[:, :used]).view(dtype)


def objects_of_model(model: str, folder: Path) -> DetectObjects:
    """Return a function that detects all names of the recording; class ids are those of the truth."""
    from zs_seg_ros.segmenters.load_options import LoadOptions
    from zs_seg_ros.segmenters.registry import load_segmenter

    labels = sorted(ground_truth_labels(folder), key=lambda label: label.id)
    vocabulary = Vocabulary().changed_to(TargetClass(label.name) for label in labels)
    assert vocabulary.ids == tuple(label.id for label in labels)
    segmenter = load_segmenter(model, LoadOptions(device="cpu"))
    encoded, thresholds = segmenter.encode(vocabulary), vocabulary.thresholds(THRESHOLD)

    def detect(frame: BagFrame) -> tuple[DetectedObject, ...]:
        (segmentation,) = segmenter.segment(Batch((frame.image,), thresholds), encoded)
        return extract_objects(segmentation, MIN_AREA, MAX_OBJECTS)

    return detect


def grown_truth(pixels_more: int) -> DetectObjects:
    """Return a function that gives each true instance as an object, with its mask dilated."""
    around = np.ones((2 * pixels_more + 1, 2 * pixels_more + 1), np.uint8)

    def detect(frame: BagFrame) -> tuple[DetectedObject, ...]:
        objects: list[DetectedObject] = []
        for number in np.unique(frame.instance[frame.instance > 0]):
            of_instance = frame.instance == number
            mask = cv2.dilate(of_instance.view(np.uint8), around) > 0
            label = np.where(mask, frame.label[of_instance][0], np.uint8(0))
            confidence = np.where(mask, np.uint8(255), np.uint8(0))
            objects += extract_objects(Segmentation(label, confidence), MIN_AREA, MAX_OBJECTS)
        return tuple(objects)

    return detect


def measure(frame: BagFrame, objects: tuple[DetectedObject, ...], errors: Errors) -> None:
    """Add the errors of one frame's objects."""
    depth_m = depth_in_metres(frame.depth)
    points = points_of(depth_m, frame.intrinsics)
    for detected in objects:
        mask = true_mask(detected, frame)
        if mask is None:
            errors.without_instance += 1
            continue
        start = time.perf_counter()
        surface = surface_of(detected, depth_m, frame.intrinsics)
        errors.milliseconds.append((time.perf_counter() - start) * 1000)
        if surface is None:
            errors.without_position += 1
            continue
        truth = points[mask & np.isfinite(depth_m)]
        errors.distance_m.append(float(np.linalg.norm(surface.centre - truth.mean(axis=0))))
        errors.size.append(np.array(surface.size) / np.ptp(truth, axis=0) - 1)


def points_of(depth_m: NDArray[np.float32], camera: Intrinsics) -> NDArray[np.float64]:
    """Return points (H, W, 3) in metres; NaN where there is no depth."""
    rows, columns = np.indices(depth_m.shape)
    x, y = (columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy
    rays: NDArray[np.float64] = np.stack([x, y, np.ones_like(x)], axis=-1)
    return rays * depth_m[..., None]


def true_mask(detected: DetectedObject, frame: BagFrame) -> NDArray[np.bool_] | None:
    """Return the mask (H, W) of the instance that matches the object; None when there is none."""
    box = detected.box
    mask = np.zeros(frame.instance.shape, bool)
    mask[box.top : box.top + box.height, box.left : box.left + box.width] = detected.mask
    of_its_name = np.where(frame.label == detected.class_id, frame.instance, 0)
    shared = np.bincount(of_its_name[mask], minlength=1)
    shared[0] = 0
    truth: NDArray[np.bool_] = of_its_name == shared.argmax()
    if not shared.any() or shared.max() / np.count_nonzero(mask | truth) < LEAST_IOU:
        return None
    return truth


def report(figures: dict[str, float], masks: str) -> None:
    def goal(value_m: float, limit_m: float) -> str:
        verdict = "met" if value_m <= limit_m else "MISSED"
        return f"{value_m * 1000:6.1f} mm (goal: at most {limit_m * 1000:.0f} mm, {verdict})"

    print(f"Positions of {figures['objects']} objects, with {masks}")
    print(f"  median distance to the truth  {goal(figures['median_m'], GOAL_MEDIAN_M)}")
    print(f"  95th percentile               {goal(figures['p95_m'], GOAL_P95_M)}")
    print(f"  largest                       {figures['largest_m'] * 1000:6.1f} mm")
    print(f"  size, median error            {figures['median_size_error_percent']:6.1f} %")
    print(f"  time for an object            {figures['median_ms_per_object']:6.2f} ms")
    print(
        f"  {figures['objects_without_instance']} objects matched no instance (IoU below {LEAST_IOU}), "
        f"{figures['objects_without_position']} had no position"
    )


if __name__ == "__main__":
    main()
