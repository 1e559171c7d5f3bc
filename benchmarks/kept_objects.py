# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Measures kept objects: what the process holds over many images, and the time of following one by a video memory.

    python benchmarks/kept_objects.py held [--by memory|propagation|detections] [--images 10000] [--objects 3]
    python benchmarks/kept_objects.py speed [--model sam2|sam3] [--size 640x480] [--repeats 5]

`held` keeps objects in images of 128x96 pixels with small checkpoints of random weights, in one thread, and prints the
resident memory, the tensors, Python's objects and threads of the process, and the bytes of the kept objects. By
`memory` SAM 2's small video memory follows them; by `propagation` detections of their exemplars and optical flow do,
of OWLv2 with a mask model without a memory; with `detections` the memory also follows the detected instances in the
images between two detections. It ends with an error when the last images add tensors, threads or more than 4 MB.

`speed` writes the published architecture with random weights, and follows one object and then eight in an image that
is encoded once, when their memories have all images that the model reads.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import Sam2VideoConfig, Sam3VideoConfig

from zs_seg_ros.cli.argument_types import count, size
from zs_seg_ros.perception.kept_object import new_kept_object
from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.perception.marked_object import Mark, marked_object
from zs_seg_ros.perception.pipeline import Pipeline, Settings, segment
from zs_seg_ros.perception.target import scene_objects
from zs_seg_ros.requested_outputs import RequestedOutputs
from zs_seg_ros.segmenters.kept_images import keeping_images
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.segmenters.video_memory import video_follower_of
from zs_seg_ros.testing.owlv2 import small_owlv2_config, write_owlv2
from zs_seg_ros.testing.sam2 import (
    shift_object_score,
    small_sam2_config,
    small_sam2_memory_config,
    write_sam2,
)
from zs_seg_ros.testing.sam3 import write_sam3
from zs_seg_ros.types import Box, Frame, Scene
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

HEIGHT, WIDTH, SIDE = 96, 128, 16
STEP_NS = 100_000_000
THRESHOLDS = {"memory": 1.0, "propagation": 0.9, "detections": 0.9}
"""At 1.0 nothing is detected, which takes no time."""
MOST_GROWTH_MB = 4.0
FULL_MEMORY = 16
"""After so many images a video memory has all that the model reads."""


# --- held ---


@dataclass(frozen=True)
class Held:
    """What the process holds after `images` images. mb: resident memory. kept_bytes: of the kept objects."""

    images: int
    mb: float
    tensors: int
    python_objects: int
    threads: int
    kept_bytes: int

    @classmethod
    def now(cls, images: int, model: LiveModel) -> Held:
        gc.collect()
        kinds = [type(each) for each in gc.get_objects()]
        status = Path("/proc/self/status").read_text()
        [kib] = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")]
        return cls(
            images,
            int(kib) / 1024,
            kinds.count(torch.Tensor),
            len(kinds),
            threading.active_count(),
            sum(kept.nbytes for kept in model.kept.all),
        )


class Camera:
    """A camera that passes squares of noise, the model and its vocabulary, and what becomes of the images."""

    def __init__(self, model: str, settings: Settings) -> None:
        self.model, self._settings = LiveModel(time.time_ns), settings
        self.model.load(model, LoadOptions("cpu"), Vocabulary().changed_to([TargetClass("red")]))
        self._pipeline = Pipeline(kept=self.model.kept)
        self._wide = _wide_image()
        self._shown = 0

    def show(self) -> Scene:
        """Return the scene of the next image."""
        left = abs(self._shown % (2 * WIDTH) - WIDTH)  # to and fro, a pixel an image
        image = np.ascontiguousarray(self._wide[:, left : left + WIDTH])
        requested = RequestedOutputs(objects=True)
        frame = Frame("camera", image, (self._shown + 1) * STEP_NS, requested=requested)
        self._shown += 1
        model = self.model
        assert model.segmenter is not None and model.encoded is not None
        segmented = segment(
            [frame], model.segmenter, model.encoded, self._settings, model.kept, model.between
        )
        [scene] = self._pipeline.scenes(segmented, self._settings)
        return scene

    def keep(self, name: str, place: Box, limit: int) -> None:
        """Keep what a box of the next image shows, as `~/keep` does."""
        scene = scene_objects(self.show())
        assert scene.frame is not None
        marked = marked_object(scene, Mark(mask=_filled(place)))
        new = new_kept_object("camera", name, marked, scene.frame)
        kept = replace(new, memory=self.model.remember(new.exemplar))
        self.model.kept.begin(kept, [scene.frame], limit)
        target = TargetClass(name, exemplars=(kept.exemplar,))
        self.model.edit_vocabulary(lambda classes: (*classes, target))
        self.model.kept.confirm(name)


def _wide_image() -> NDArray[np.uint8]:
    random = np.random.default_rng(0)
    image = random.integers(0, 64, (HEIGHT, 2 * WIDTH, 3)).astype(np.uint8)
    for left in range(0, 2 * WIDTH, 2 * SIDE):
        top = int(random.integers(0, HEIGHT - SIDE))
        image[top : top + SIDE, left : left + SIDE] += random.integers(64, 192, 3).astype(np.uint8)
    return image


def _filled(place: Box) -> NDArray[np.bool_]:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[place.top : place.top + place.height, place.left : place.left + place.width] = True
    return mask


def held(by: str, images: int, objects: int) -> int:
    """Print what the process holds at 100, 1,000, 10,000 ... images. Returns 1 when it grows."""
    settings = Settings(
        default_threshold=THRESHOLDS[by],
        min_area=4,
        detection_interval_s=0.5 if by == "detections" else 0.0,
    )
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        camera = Camera(_small_model(by, Path(folder)), settings)
        for number in range(objects):
            camera.keep(f"kept {number}", Box(10 + 30 * number, 40, SIDE, SIDE), objects)
        print(f"{objects} objects, {by}", flush=True)
        print(f"{'images':>8}{'MB':>9}{'tensors':>9}{'objects':>9}{'threads':>9}{'kept bytes':>12}")
        samples, visible = [], 0
        marks = {images, *(10**k for k in range(2, 9))}
        for number in range(1, images + 1):
            scene = camera.show()
            visible += sum(
                scene.vocabulary.names[0] != _name(scene, o.class_id) for o in scene.objects
            )
            if number in marks:
                del scene
                samples.append(one := Held.now(number, camera.model))
                print(
                    f"{one.images:8}{one.mb:9.1f}{one.tensors:9}{one.python_objects:9}"
                    f"{one.threads:9}{one.kept_bytes:12}",
                    flush=True,
                )
    print(f"kept objects were shown {visible} times")
    wrong = growth(samples[-2:]) if len(samples) > 1 else []
    print("; ".join(wrong) or "nothing grows")
    return 1 if wrong or not visible else 0


def _name(scene: Scene, class_id: int) -> str:
    return scene.vocabulary.names[scene.vocabulary.ids.index(class_id)]


def growth(samples: list[Held]) -> list[str]:
    """Name what grew from the first to the last sample."""
    first, last = samples[0], samples[-1]
    wrong = []
    if last.mb > first.mb + MOST_GROWTH_MB:
        wrong.append(f"resident memory grew by {last.mb - first.mb:.1f} MB")
    for what in ("tensors", "threads"):
        if getattr(last, what) > getattr(first, what):
            wrong.append(f"{what} grew by {getattr(last, what) - getattr(first, what)}")
    return wrong


def _small_model(by: str, folder: Path) -> str:
    """Write a small pair with random weights. With a memory, that finds its object in every image."""
    write_owlv2(folder / "owlv2", small_owlv2_config(), words=("red",), seed=1)
    config = small_sam2_config() if by == "propagation" else small_sam2_memory_config()
    write_sam2(folder / "sam2", config, seed=3)
    if by != "propagation":
        shift_object_score(folder / "sam2", 1000.0)
    return f"{folder / 'owlv2'} + {folder / 'sam2'}"


# --- speed ---


def speed(kind: str, width: int, height: int, repeats: int) -> int:
    """Print the time of encoding an image, of marking an object in it, and of following one more object."""
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    mask = np.zeros((height, width), np.bool_)
    mask[height // 4 : height // 2, width // 4 : width // 2] = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write: Any = write_sam3 if kind == "sam3" else write_sam2
        write(folder / kind, Sam3VideoConfig() if kind == "sam3" else Sam2VideoConfig())
        model = str(folder / kind)
        if kind != "sam3":
            write_owlv2(folder / "owlv2", small_owlv2_config(), words=("red",))
            model = f"{folder / 'owlv2'} + {model}"
        segmenter = load_segmenter(model, LoadOptions())
    follower = video_follower_of(segmenter)
    assert follower is not None
    print(f"{kind} on {segmenter.device}, {width}x{height}, medians of {repeats}")

    with keeping_images():
        began = time.perf_counter()
        memories = follower.remember(image, [mask])
        print(f"encoding the image and marking an object: {time.perf_counter() - began:.2f} s")
        memories = follower.remember(image, [mask] * 8)
        for _ in range(FULL_MEMORY):
            follower.follow(image, memories[:1])
        [full] = memories[:1]
        print(f"memory of an object: {full.nbytes / 1e6:.2f} MB")
        one = _median(lambda: follower.follow(image, [full]), repeats)
        print(f"following one object: {one * 1000:.0f} ms an image beside its encoding")
        many = _median(lambda: follower.follow(image, [full] * 8), max(1, repeats // 2))
        print(
            f"following eight: {many * 1000:.0f} ms, {(many - one) / 7 * 1000:.0f} ms for one more"
        )
    return 0


def _median(call: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    of_held = commands.add_parser("held")
    of_held.add_argument("--by", choices=("memory", "propagation", "detections"), default="memory")
    of_held.add_argument("--images", type=count, default=10_000)
    of_held.add_argument("--objects", type=count, default=3)
    of_speed = commands.add_parser("speed")
    of_speed.add_argument("--model", choices=("sam2", "sam3"), default="sam2")
    of_speed.add_argument("--size", type=size, default=(640, 480))
    of_speed.add_argument("--repeats", type=count, default=5)
    arguments = parser.parse_args()
    if arguments.command == "held":
        return held(arguments.by, arguments.images, arguments.objects)
    width, height = arguments.size
    return speed(arguments.model, width, height, arguments.repeats)


if __name__ == "__main__":
    sys.exit(main())
