# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Measures the post-processing of a frame: from the model's logits to messages that are ready to be published.

    scripts/run.sh python benchmarks/scene.py [--objects 5 20 80] [--classes 8] [--repeats 50] [--json FILE]

640x480, on one core, with tracking and depth. The objects are ellipses of random sizes that move a little from
frame to frame, at a logits resolution of 352x352. Medians of several frames, of processor time; the last line
compares the most objects with the fewest. The totals are of the outputs for a planner, with or without a cloud;
below them are the other outputs, each with its message where it has one. `surfaces in frame` replaces `surfaces` with
`target_frame`; the LiDAR has 30,000 points, a third of them in the image.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from zs_seg_ros.files import write_output
from zs_seg_ros.perception.depth import depth_in_metres
from zs_seg_ros.perception.labelled_cloud import cloud
from zs_seg_ros.perception.lidar import label_points
from zs_seg_ros.perception.masks import extract_objects
from zs_seg_ros.perception.projection import surface_of
from zs_seg_ros.perception.tracking import Tracker
from zs_seg_ros.ros.conversions import header_of
from zs_seg_ros.ros.scene_messages import (
    compressed_overlay_message,
    label_encoding,
    points_message,
)
from zs_seg_ros.ros.serialised_scenes import (
    serialised_class_mask,
    serialised_image,
    serialised_instances,
    serialised_objects,
)
from zs_seg_ros.ros.vision_messages import detections_3d_message, detections_message
from zs_seg_ros.segmenters.shared.label_image import decode
from zs_seg_ros.types import Frame, Intrinsics, Pose, Scene
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

HEIGHT, WIDTH, LOGITS_SIDE = 480, 640, 352
INTRINSICS = Intrinsics(525.0, 525.0, WIDTH / 2, HEIGHT / 2, WIDTH, HEIGHT)
CLOUD_STAGES = ("cloud", "cloud message")
OTHER_OUTPUTS = (
    "detections",
    "detections 3-D",
    "instance image",
    "mask",
    "JPEG overlay",
    "surfaces in frame",
    "lidar labels",
)
LIDAR_POINTS = 30_000
LIDAR_POSE = Pose(np.eye(3), np.array([0.1, -0.6, -0.2]))
POSE = Pose(np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]), np.array([0.3, 0.0, 1.1]))


class Times:
    """Milliseconds of processor time of each stage, one value a frame: all of it is one thread."""

    def __init__(self) -> None:
        self.stages: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.thread_time()
        yield
        self.stages[name].append((time.thread_time() - start) * 1000)

    def medians(self) -> dict[str, float]:
        return {name: statistics.median(times) for name, times in self.stages.items()}


def logits_of(objects: int, classes: int, frame: int) -> torch.Tensor:
    """Return logits (K, S, S): 5 inside an ellipse, -5 elsewhere, slightly blurred."""
    rng = np.random.default_rng(objects)
    logits = np.full((classes, LOGITS_SIDE, LOGITS_SIDE), -5, np.float32)
    cells = int(np.ceil(np.sqrt(objects)))
    cell = LOGITS_SIDE / cells
    for number in range(objects):
        row, column = divmod(number, cells)
        centre = ((column + 0.5) * cell + 0.5 * (frame % 8), (row + 0.5) * cell)
        axes = rng.uniform(0.2, 0.42, 2) * cell
        angle = float(rng.uniform(0, 180))
        middle, half_axes = [round(v) for v in centre], [max(2, round(v)) for v in axes]
        cv2.ellipse(logits[number % classes], middle, half_axes, angle, 0, 360, (5,), cv2.FILLED)
    return torch.from_numpy(np.stack([cv2.GaussianBlur(k, (5, 5), 0) for k in logits]))


def lidar_scan() -> NDArray[np.float32]:
    """Return (N, 3): the points of a room, in the LiDAR's frame, whose axes are those of the camera."""
    azimuth = np.linspace(-np.pi, np.pi, LIDAR_POINTS // 30, endpoint=False)
    azimuth, elevation = np.meshgrid(azimuth, np.deg2rad(np.linspace(-25, 15, 30)))
    rays = np.stack((np.sin(azimuth), -np.tan(elevation), np.cos(azimuth)), axis=-1).reshape(-1, 3)
    points: NDArray[np.float32] = (rays * 6.0).astype(np.float32)
    return points


def run_frame(
    logits: torch.Tensor,
    frame: Frame,
    vocabulary: Vocabulary,
    tracker: Tracker,
    depth_mm: NDArray[np.uint16],
    lidar_points: NDArray[np.float32],
    times: Times,
) -> int:
    """Run all stages once; return the number of objects."""
    size = (HEIGHT, WIDTH)
    thresholds = vocabulary.thresholds(0.5)
    with times.stage("label image"):
        segmentation = decode(logits, size, thresholds, vocabulary.label_ids)
    with times.stage("objects"):
        objects = extract_objects(segmentation, min_area=50, max_objects=100)
    with times.stage("tracks"):
        objects = tracker.update(objects, frame.stamp_ns, vocabulary.version)
    with times.stage("surfaces"):
        depth_m = depth_in_metres(depth_mm)
        objects = tuple(replace(o, surface=surface_of(o, depth_m, INTRINSICS)) for o in objects)
    with times.stage("messages"):
        header = header_of(frame)
        label = segmentation.label
        serialised_image(label, label_encoding(label), header)
        serialised_image(segmentation.confidence, "mono8", header)
        serialised_objects(objects, size, vocabulary, header, header.stamp)
    with times.stage("cloud"):
        label, confidence = segmentation.label, segmentation.confidence
        points = cloud(frame.image, label, confidence, objects, depth_m, INTRINSICS)
    with times.stage("cloud message"):
        points_message(points, header)
    scene = Scene(frame, segmentation, vocabulary, objects)
    for name, message in (
        ("detections", detections_message),
        ("detections 3-D", detections_3d_message),
        ("instance image", serialised_instances),
        ("mask", partial(serialised_class_mask, names=frozenset(vocabulary.names[::2]))),
        ("JPEG overlay", compressed_overlay_message),
    ):
        with times.stage(name):
            message(scene)
    with times.stage("surfaces in frame"):
        for detected in objects:
            surface_of(detected, depth_m, INTRINSICS, POSE)
    with times.stage("lidar labels"):
        label_points(lidar_points, LIDAR_POSE, INTRINSICS, segmentation, objects)
    return len(objects)


def measure(objects: int, classes: int, repeats: int) -> dict[str, float]:
    vocabulary = Vocabulary().changed_to(TargetClass(f"class {i}") for i in range(classes))
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    depth_mm = rng.integers(900, 1100, (HEIGHT, WIDTH)).astype(np.uint16)
    lidar_points = lidar_scan()
    tracker, times = Tracker(), Times()
    frames = [logits_of(objects, classes, number) for number in range(8)]
    for number in range(repeats + 3):
        if number == 3:  # the first ones warm up
            times = Times()
        frame = Frame("camera", image, stamp_ns=number * 10**8)
        detected = run_frame(
            frames[number % 8], frame, vocabulary, tracker, depth_mm, lidar_points, times
        )
        assert detected == objects, f"{detected} of {objects} ellipses were detected"
    return times.medians()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--objects", type=int, nargs="+", default=[5, 20, 80])
    parser.add_argument("--classes", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--json", type=Path, help="write the medians there too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    results = {n: measure(n, options.classes, options.repeats) for n in options.objects}
    stages = [s for s in next(iter(results.values())) if s not in OTHER_OUTPUTS]
    print("ms, median".ljust(20) + "".join(f"{n:>5} objects" for n in results))
    for stage in stages:
        print(stage.ljust(20) + "".join(f"{times[stage]:13.2f}" for times in results.values()))
    totals = {}
    for name, left_out in (("without the cloud", CLOUD_STAGES), ("with the cloud", ())):
        totals[name] = [
            sum(r[stage] for stage in stages if stage not in left_out) for r in results.values()
        ]
        print(name.ljust(20) + "".join(f"{total:13.2f}" for total in totals[name]))
    for stage in OTHER_OUTPUTS:
        print(stage.ljust(20) + "".join(f"{times[stage]:13.2f}" for times in results.values()))
    fewest, most = min(results), max(results)
    grown = {s: results[most][s] - results[fewest][s] for s in stages}
    share = sum(grown.values()) / totals["with the cloud"][options.objects.index(fewest)]
    print(f"{most / fewest:.0f} times the objects cost {1 + share:.2f} times as much")
    if options.json:
        write_output(options.json, (json.dumps(results, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
