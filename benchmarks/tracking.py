# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Measures tracking on a recording with ground truth instances.

    python benchmarks/tracking.py [--model NAME_OR_FOLDER | --truth] [--names NAME ...] [--recording FOLDER]
                                  [--every N] [--json FILE]

The recording's images pass through the model, the connected components of its label images and the tracker, as in the
node. With --truth the ground truth labels replace the model's: errors are then the tracker's. --names uses these names
only, --every takes every N-th frame. Needs motmetrics (requirements/development.txt).

An object matches a true instance of its name when the IoU of their masks is at least 0.5. Objects and instances of
fewer than 50 pixels do not count, nor do objects without a track id. IDF1 and switches are motmetrics': a switch is
an instance whose track id differs from the one it had when it was last matched, however long ago. In the shipped
recording the camera jumps between four scenes, and the instances of a new scene are new ones, also those of the
same name.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import motmetrics
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from zs_seg_ros.bags.bag import Bag, ground_truth_labels, shipped_bag
from zs_seg_ros.files import write_output
from zs_seg_ros.perception.masks import extract_objects
from zs_seg_ros.perception.tracking import Tracker
from zs_seg_ros.types import Batch, DetectedObject, Segmentation
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

TOPICS = (
    "/camera/image_raw",
    "/camera/ground_truth/label",
    "/camera/ground_truth/instance",
)
THRESHOLD, MIN_AREA, MAX_OBJECTS = 0.5, 50, 100  # the node's defaults
LEAST_IOU = 0.5
GOAL_IDF1, GOAL_SWITCHES_PER_MINUTE = 0.90, 2.0


@dataclass(frozen=True, eq=False)
class BagFrame:
    """image: (H, W, 3) RGB. label and instance: (H, W), the truth; the label is a class id."""

    stamp_ns: int
    image: NDArray[np.uint8]
    label: NDArray[np.uint8]
    instance: NDArray[np.uint8]


@dataclass
class Comparison:
    """Input of motmetrics, and the tracker's processor time for each frame."""

    accumulator: Any = field(default_factory=lambda: motmetrics.MOTAccumulator(auto_id=True))
    track_ms: list[float] = field(default_factory=list)
    stamps_ns: list[int] = field(default_factory=list)

    def add(self, frame: BagFrame, objects: Sequence[DetectedObject]) -> None:
        tracked = [detected for detected in objects if detected.track_id]
        pixels = np.bincount(frame.instance[frame.label > 0], minlength=1)
        instances = [int(i) for i in np.flatnonzero(pixels >= MIN_AREA)]
        distances = [
            [_distance(frame, i, int(pixels[i]), detected) for detected in tracked]
            for i in instances
        ]
        self.accumulator.update(instances, [each.track_id for each in tracked], distances)
        self.stamps_ns.append(frame.stamp_ns)

    def summary(self) -> dict[str, float]:
        names = ["idf1", "num_switches", "num_misses", "num_false_positives", "num_objects"]
        figures = motmetrics.metrics.create().compute(self.accumulator, metrics=names).iloc[0]
        minutes = (self.stamps_ns[-1] - self.stamps_ns[0]) / 60e9
        return {
            "frames": len(self.stamps_ns),
            "idf1": float(figures["idf1"]),
            "switches": int(figures["num_switches"]),
            "switches_per_minute": float(figures["num_switches"]) / minutes,
            "sightings": int(figures["num_objects"]),
            "missed": int(figures["num_misses"]),
            "matching_nothing": int(figures["num_false_positives"]),
            "track_median_ms": statistics.median(self.track_ms),
            "track_p95_ms": float(np.percentile(self.track_ms, 95)),
        }


def _distance(frame: BagFrame, instance: int, pixels: int, detected: DetectedObject) -> float:
    """Return 1 - IoU; NaN where the two do not match."""
    box = detected.box
    part = (slice(box.top, box.top + box.height), slice(box.left, box.left + box.width))
    of_both = (frame.instance[part] == instance) & (frame.label[part] == detected.class_id)
    shared = np.count_nonzero(of_both & detected.mask)
    iou = shared / (pixels + detected.area - shared)
    return 1 - iou if iou >= LEAST_IOU else np.nan


def main() -> None:
    options = parse_options()
    folder = options.recording or shipped_bag()
    vocabulary = Vocabulary().changed_to(
        TargetClass(name)
        for name in options.names or [label.name for label in ground_truth_labels(folder)]
    )
    segment = true_labels if options.truth else model(options.model, vocabulary)
    tracker, comparison = Tracker(), Comparison()
    with Bag(folder) as bag:
        for frame in frames(bag, folder, vocabulary, options.every):
            objects = extract_objects(segment(frame), MIN_AREA, MAX_OBJECTS)
            start = time.thread_time()
            objects = tracker.update(objects, frame.stamp_ns, vocabulary.version)
            comparison.track_ms.append((time.thread_time() - start) * 1000)
            comparison.add(frame, objects)
    figures = comparison.summary()
    report(figures, "the true labels" if options.truth else options.model, vocabulary)
    if options.json:
        write_output(options.json, (json.dumps(figures, indent=1) + "\n").encode())


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recording", type=Path, help="a folder; the shipped one if not given")
    parser.add_argument(
        "--names", nargs="+", help="the vocabulary; all names of the truth if not given"
    )
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every N-th frame")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    labels = parser.add_mutually_exclusive_group()
    labels.add_argument("--model", default="tabletop", help="a built-in name, a folder or an id")
    labels.add_argument("--truth", action="store_true", help="the true labels, not a model's")
    return parser.parse_args()


def frames(bag: Bag, folder: Path, vocabulary: Vocabulary, every: int) -> Iterator[BagFrame]:
    """Yield every n-th frame. The recording has one message of each topic for each frame, in order."""
    ids = dict(zip(vocabulary.names, vocabulary.ids, strict=True))
    class_id = np.zeros(256, np.uint8)
    for known in ground_truth_labels(folder):
        class_id[known.id] = ids.get(known.name, 0)
    count = bag.topics[TOPICS[0]].message_count
    moments = zip(*(bag.messages([topic]) for topic in TOPICS), strict=True)
    for number, moment in enumerate(tqdm(moments, "tracking", count, unit="frame")):
        if number % every == 0:
            image, label, instance = (pixels(message.content) for message in moment)
            stamp = moment[0].content.header.stamp
            stamp_ns = stamp.sec * 1_000_000_000 + stamp.nanosec
            yield BagFrame(stamp_ns, image, class_id[label], instance)


def pixels(message: Any) -> NDArray[np.uint8]:
    """Return (H, W) or (H, W, 3), without row padding."""
    channels = 3 if message.encoding == "rgb8" else 1
    rows = message.data.reshape(message.height, message.step)[:, : message.width * channels]
    shape = (message.height, message.width, channels)[: 3 if channels == 3 else 2]
    image: NDArray[np.uint8] = np.ascontiguousarray(rows).reshape(shape)
    return image


def true_labels(frame: BagFrame) -> Segmentation:
    return Segmentation(frame.label, np.where(frame.label > 0, np.uint8(255), np.uint8(0)))


def model(name: str, vocabulary: Vocabulary) -> Callable[[BagFrame], Segmentation]:
    from zs_seg_ros.segmenters.load_options import LoadOptions
    from zs_seg_ros.segmenters.registry import load_segmenter

    segmenter = load_segmenter(name, LoadOptions(device="cpu"))
    encoded, thresholds = segmenter.encode(vocabulary), vocabulary.thresholds(THRESHOLD)

    def segment(frame: BagFrame) -> Segmentation:
        (segmentation,) = segmenter.segment(Batch((frame.image,), thresholds), encoded)
        return segmentation

    return segment


def report(figures: dict[str, float], labels: str, vocabulary: Vocabulary) -> None:
    def verdict(met: bool) -> str:
        return "met" if met else "MISSED"

    idf1, switches = figures["idf1"], figures["switches_per_minute"]
    print(f"{figures['frames']} frames, {len(vocabulary.names)} names, with {labels}")
    print(
        f"  IDF1                  {idf1:.3f} (goal: at least {GOAL_IDF1}, {verdict(idf1 >= GOAL_IDF1)})"
    )
    print(
        f"  identity switches     {switches:.1f} per minute, {figures['switches']} in all (goal: at most "
        f"{GOAL_SWITCHES_PER_MINUTE} per minute, {verdict(switches <= GOAL_SWITCHES_PER_MINUTE)})"
    )
    print(
        f"  of {figures['sightings']} sightings {figures['missed']} were missed; "
        f"{figures['matching_nothing']} objects matched nothing"
    )
    print(
        f"  tracking a frame      {figures['track_median_ms']:.2f} ms median, "
        f"{figures['track_p95_ms']:.2f} ms 95th percentile, of processor time"
    )


if __name__ == "__main__":
    main()
