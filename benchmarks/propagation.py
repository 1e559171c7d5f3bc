# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Measures results that are carried to the camera's newest image, against the truth of that image.

    python benchmarks/propagation.py [--recording FOLDER] [--variations FOLDER] [--names NAME ...]
                                     [--seconds S ...] [--random] [--json FILE]

A model with perfect masks takes --seconds for a frame and runs without pause on the newest one, so that its masks are
one to two times as old when the next ones arrive; with --random each inference takes half to twice the time. Every
frame of the camera gets a result, which is compared with the truth of the same frame: the model's newest masks
(stale), the same carried by optical flow (flow), and carried by depth and camera poses where they hold (auto). Frames
before the model's first result in a scene do not count.

mIoU: the mean over the frames of the mean IoU of the classes that a frame or its result has. "worst tenth": the
recording in ten equal parts, the least difference to stale in any. "10th percentile": of single frames. IDF1: of the
package's tracker at camera rate. ms: processor time for one frame, mean and 95th percentile. Machines that do other
work at the same time need more for the same: the last line has the time that OpenCV's fastest dense flow (DIS
"ultrafast") takes for one direction at 320x240, and the mean time of a frame in this unit.

Recordings: the shipped one, and with --variations all files that `python -m training.variations --output FOLDER` wrote
there (fast cameras, rotation, moving objects, 5 and 30 Hz, 640x480, 1280x720). With --ages the table of single ages
is printed: perfect masks of one image, carried over so many seconds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from tracking import MAX_OBJECTS, MIN_AREA, BagFrame, Comparison, pixels

from zs_seg_ros.bags.bag import Bag, shipped_bag
from zs_seg_ros.files import write_output
from zs_seg_ros.images.camera_info import intrinsics_from_info
from zs_seg_ros.perception.masks import extract_objects
from zs_seg_ros.perception.propagation import Propagator
from zs_seg_ros.perception.tracking import Tracker
from zs_seg_ros.types import DepthImage, Frame, Intrinsics, Pose, Segmentation, size_of

MODES = ("stale", "flow", "auto")
GOALS = {"flow": 0.75, "auto": 0.85}
GOAL_IDF1, GOAL_MS = 0.90, 8.0
AGES_S = (0.1, 0.3, 0.5, 0.8, 1.0)
SEED = 7


@dataclass(frozen=True, eq=False)
class TrueFrame:
    """A frame of the camera, with the truth. scene: frames of another scene show nothing of this one's."""

    frame: Frame
    label: NDArray[np.uint8]
    instance: NDArray[np.uint8]
    scene: int

    @property
    def segmentation(self) -> Segmentation:
        confidence = np.where(self.label > 0, np.uint8(255), np.uint8(0))
        return Segmentation(self.label, confidence)


@dataclass
class Measured:
    """What was measured of one mode: one value for each frame that counts."""

    miou: list[float] = field(default_factory=list)
    age_s: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    comparison: Comparison = field(default_factory=Comparison)


def recorded(folder: Path) -> list[TrueFrame]:
    """Return the frames of a recording with depth, poses and truth, like the shipped one."""
    names = ("image_raw", "depth/image_raw", "camera_info", "ground_truth/label")
    topics = [f"/camera/{name}" for name in (*names, "ground_truth/instance")] + ["/tf"]
    frames: list[TrueFrame] = []
    with Bag(folder) as bag:
        for moment in zip(*(bag.messages([topic]) for topic in topics), strict=True):
            image, depth, info, label, instance, transforms = (each.content for each in moment)
            stamp_ns = image.header.stamp.sec * 10**9 + image.header.stamp.nanosec
            values = depth.data.reshape(depth.height, -1).view("<u2")
            intrinsics = intrinsics_from_info(info)
            frame = Frame(
                "camera",
                pixels(image),
                stamp_ns,
                depth=DepthImage(values, intrinsics, stamp_ns),
                pose=_optical_pose(transforms.transforms[0].transform),
            )
            frames.append(TrueFrame(frame, pixels(label), pixels(instance), 0))
    return _with_scenes(frames)


def _optical_pose(transform: Any) -> Pose:
    """Return the pose of the optical frame from that of camera_link (x forward, y left, z up)."""
    q, translation = transform.rotation, transform.translation
    x, y, z, w = q.x, q.y, q.z, q.w
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    optical = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    return Pose(rotation @ optical, np.array([translation.x, translation.y, translation.z]))


def rendered(path: Path) -> list[TrueFrame]:
    """Return the frames of a file of training/variations.py."""
    with np.load(path) as arrays:
        data = dict(arrays)
    (fx, _, cx), (_, fy, cy), _ = data["matrix"].tolist()
    height, width = data["label"].shape[1:]
    intrinsics = Intrinsics(fx, fy, cx, cy, width, height)
    frames = []
    for number, stamp in enumerate(data["stamp_ns"]):
        frame = Frame(
            "camera",
            data["image"][number],
            int(stamp),
            depth=DepthImage(data["depth"][number], intrinsics, int(stamp)),
            pose=Pose(data["rotation"][number], data["translation_m"][number]),
        )
        frames.append(TrueFrame(frame, data["label"][number], data["instance"][number], 0))
    return _with_scenes(frames)


def _with_scenes(frames: Sequence[TrueFrame]) -> list[TrueFrame]:
    """Number the scenes: instances have numbers of their own in each."""
    numbered: list[TrueFrame] = []
    for each in frames:
        scene = numbered[-1].scene if numbered else 0
        if numbered and not np.intersect1d(each.instance, numbered[-1].instance)[1:].size:
            scene += 1
        numbered.append(TrueFrame(each.frame, each.label, each.instance, scene))
    return numbered


def results(
    frames: Sequence[TrueFrame], seconds: float, varied: bool
) -> Iterator[tuple[TrueFrame, TrueFrame | None]]:
    """Yield each frame and, when the model is ready with an earlier one by then, that one."""
    rng = np.random.default_rng(SEED)
    in_work: TrueFrame | None = None
    ready_ns = 0
    for each in frames:
        result = None
        if in_work is not None and each.frame.stamp_ns >= ready_ns:
            result, in_work = in_work, None
        if in_work is None:
            in_work = each
            factor = rng.uniform(0.5, 2) if varied else 1.0
            ready_ns = each.frame.stamp_ns + round(seconds * factor * 1e9)
        yield each, result


def measure(frames: Sequence[TrueFrame], mode: str, seconds: float, varied: bool) -> Measured:
    """Play the frames at their stamps through the model and the propagation."""
    measured, propagator, tracker = Measured(), Propagator(), Tracker()
    newest: TrueFrame | None = None
    for each, result in results(frames, seconds, varied):
        newest = result or newest
        start = time.process_time()
        segmentation = _published(propagator, each, result, newest, mode)
        spent_ms = (time.process_time() - start) * 1000
        if newest is None or newest.scene != each.scene:
            continue
        objects = extract_objects(segmentation, MIN_AREA, MAX_OBJECTS)
        start = time.process_time()
        objects = tracker.update(objects, each.frame.stamp_ns, 1)
        measured.comparison.track_ms.append((time.process_time() - start) * 1000)
        image = np.asarray(each.frame.image, np.uint8)
        truth = BagFrame(each.frame.stamp_ns, image, each.label, each.instance)
        measured.comparison.add(truth, objects)
        measured.milliseconds.append(spent_ms)
        measured.miou.append(mean_iou(segmentation.label, each.label))
        measured.age_s.append((each.frame.stamp_ns - newest.frame.stamp_ns) * 1e-9)
    return measured


def _published(
    propagator: Propagator,
    each: TrueFrame,
    result: TrueFrame | None,
    newest: TrueFrame | None,
    mode: str,
) -> Segmentation:
    """Return what the node would publish for a frame."""
    empty = Segmentation.empty(size_of(each.frame.image))
    if mode == "stale":
        return newest.segmentation if newest is not None else empty
    propagator.observe(each.frame)
    if result is not None:
        propagator.update(result.frame, result.segmentation)
    carried = propagator.carried("auto" if mode == "auto" else "flow")
    return carried.segmentation if carried is not None else empty


def mean_iou(label: NDArray[Any], truth: NDArray[Any]) -> float:
    """Return the mean IoU of the classes that either of the two has; 1 where neither has any."""
    pairs = np.bincount(truth.astype(np.int64).ravel() * 256 + label.ravel(), minlength=1 << 16)
    pairs = pairs.reshape(256, 256)
    both = pairs.diagonal()[1:]
    either = pairs.sum(axis=0)[1:] + pairs.sum(axis=1)[1:] - both
    return float(np.mean(both[either > 0] / either[either > 0])) if either.any() else 1.0


def single_ages(frames: Sequence[TrueFrame], mode: str) -> dict[float, float]:
    """Return age in seconds -> mean mIoU of masks that old."""
    ious: dict[float, list[float]] = {age_s: [] for age_s in AGES_S}
    period_ns = frames[1].frame.stamp_ns - frames[0].frame.stamp_ns
    starts = range(0, len(frames), max(1, round(0.5e9 / period_ns)))
    for start in starts:
        propagator, first = Propagator(), frames[start]
        for each in frames[start:]:
            age_s = (each.frame.stamp_ns - first.frame.stamp_ns) * 1e-9
            if each.scene != first.scene or age_s > max(AGES_S) + 0.01:
                break
            result = first if each is first else None
            segmentation = _published(propagator, each, result, first, mode)
            for listed_s in AGES_S:
                if abs(age_s - listed_s) * 1e9 < period_ns / 2:
                    ious[listed_s].append(mean_iou(segmentation.label, each.label))
    return {age_s: float(np.mean(values)) for age_s, values in ious.items() if values}


def figures(measured: dict[str, Measured]) -> dict[str, dict[str, float]]:
    """Return the figures of each mode."""
    stale = np.array(measured["stale"].miou)
    table: dict[str, dict[str, float]] = {}
    for mode, of_mode in measured.items():
        miou = np.array(of_mode.miou)
        gains = [float(part.mean()) for part in np.array_split(miou - stale, 10)]
        table[mode] = {
            "frames": len(miou),
            "age_s": float(np.mean(of_mode.age_s)),
            "miou": float(miou.mean()),
            "miou_p10": float(np.percentile(miou, 10)),
            "least_gain_of_a_tenth": min(gains),
            "idf1": of_mode.comparison.summary()["idf1"],
            "ms": float(np.mean(of_mode.milliseconds)),
            "ms_p95": float(np.percentile(of_mode.milliseconds, 95)),
        }
    return table


def report(name: str, seconds: float, table: dict[str, dict[str, float]]) -> None:
    """Print the figures of one recording."""
    frames, age_s = table["stale"]["frames"], table["stale"]["age_s"]
    print(
        f"{name}: a model of {seconds:g} s, {frames:.0f} frames, masks {age_s:.2f} s old on average"
    )
    print("         mIoU  10th percentile  worst tenth  IDF1      ms  95 %")
    for mode, of_mode in table.items():
        goals = [of_mode["miou"] >= GOALS.get(mode, 0), of_mode["least_gain_of_a_tenth"] >= 0]
        if mode != "stale":
            goals += [of_mode["idf1"] >= GOAL_IDF1, of_mode["ms"] <= GOAL_MS]
        print(
            f"  {mode:6} {of_mode['miou']:.3f} {of_mode['miou_p10']:16.3f} "
            f"{of_mode['least_gain_of_a_tenth']:+12.3f} {of_mode['idf1']:5.3f} {of_mode['ms']:7.2f} "
            f"{of_mode['ms_p95']:5.2f}  {'' if all(goals) else 'a goal is missed'}"
        )


def unit_ms() -> float:
    """Return the median processor time of OpenCV's fastest dense flow between two images of 320x240."""
    rng = np.random.default_rng(SEED)
    image = cv2.resize(rng.integers(0, 256, (30, 40), np.uint8), (320, 240))
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    times_ms = []
    for shift in range(30):
        start = time.process_time()
        flow.calc(np.roll(image, shift % 3, axis=1), image, cast(Any, None))
        times_ms.append((time.process_time() - start) * 1000)
    return float(np.median(times_ms))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recording", type=Path, help="a folder; the shipped one if not given")
    parser.add_argument("--variations", type=Path, help="a folder of training/variations.py")
    parser.add_argument("--names", nargs="+", help="these recordings only")
    parser.add_argument("--seconds", type=float, nargs="+", default=[0.5], help="of the model")
    parser.add_argument("--random", action="store_true", help="a model of random speed")
    parser.add_argument("--ages", action="store_true", help="the table of single ages")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    return parser.parse_args()


def recordings(options: argparse.Namespace) -> Iterator[tuple[str, list[TrueFrame]]]:
    """Yield name and frames of each recording that the options name."""
    names = options.names
    if not names or "recording" in names:
        yield "recording", recorded(options.recording or shipped_bag())
    for path in sorted(options.variations.glob("*.npz")) if options.variations else ():
        if not names or path.stem in names:
            yield path.stem, rendered(path)


def main() -> None:
    options = parse_options()
    cv2.setNumThreads(1)
    everything: dict[str, Any] = {}
    for name, frames in recordings(options):
        if options.ages:
            ages = {mode: single_ages(frames, mode) for mode in MODES}
            everything[f"{name}, ages"] = ages
            print(f"{name}: mIoU by age")
            for mode, of_mode in ages.items():
                cells = (f"{age_s:g} s {miou:.3f}" for age_s, miou in of_mode.items())
                print(f"  {mode:6} " + "  ".join(cells))
            continue
        for seconds in options.seconds:
            measured = {mode: measure(frames, mode, seconds, options.random) for mode in MODES}
            everything[f"{name}, {seconds:g} s"] = table = figures(measured)
            report(name, seconds, table)
            unit = unit_ms()
            shares = (f"{mode} {table[mode]['ms'] / unit:.1f}" for mode in MODES[1:])
            print(
                f"  one direction of flow at 320x240: {unit:.2f} ms; in this unit: {', '.join(shares)}"
            )
    if options.json:
        write_output(options.json, (json.dumps(everything, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
