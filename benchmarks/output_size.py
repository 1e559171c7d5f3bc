# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Measures what `output_scale` saves: from the model's logits to messages, at the image's size and reduced, in turns.

    scripts/run.sh python benchmarks/output_size.py [--size 1280x720] [--scale 0.3125] [--repeats 50]

8 classes, 20 objects, logits of 352x352, one core. Medians in ms of processor time of a frame, for a subscriber to
label and confidence alone, and for Nav2's semantic layer, which also subscribes to the point cloud.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from scene import logits_of

from zs_seg_ros.perception.pipeline import Pipeline, Settings
from zs_seg_ros.requested_outputs import RequestedOutputs
from zs_seg_ros.ros.conversions import header_of
from zs_seg_ros.ros.scene_messages import (
    confidence_message,
    label_message,
    points_message,
    published_segmentation,
)
from zs_seg_ros.segmenters.base import EncodedVocabulary, Segmenter
from zs_seg_ros.segmenters.shared.label_image import decode
from zs_seg_ros.types import Batch, DepthImage, Frame, Intrinsics, Segmentation
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

CLASSES, OBJECTS = 8, 20
CONSUMERS = {
    "label, confidence": RequestedOutputs(),
    "label, confidence, points": RequestedOutputs(objects=True, cloud=True),
}


class Decoder(Segmenter[None]):
    """Returns the same logits for every image, decoded at the size that the batch asks for."""

    device, model = "cpu", "decoder"

    def __init__(self) -> None:
        self.logits = logits_of(OBJECTS, CLASSES, 0)

    def encode(self, vocabulary: Vocabulary) -> EncodedVocabulary[None]:
        return EncodedVocabulary(vocabulary, None)

    def segment(self, batch: Batch, encoded: EncodedVocabulary[None]) -> list[Segmentation]:
        ids = encoded.vocabulary.label_ids
        return [decode(self.logits, size, batch.thresholds, ids) for size in batch.sizes]


def frame_ms(pipeline: Pipeline, frame: Frame, decoder: Decoder, settings: Settings) -> float:
    encoded: Any = decoder.encode(
        Vocabulary().changed_to(TargetClass(f"class {i}") for i in range(CLASSES))
    )
    start = time.process_time()
    [scene] = pipeline.process([frame], decoder, encoded, settings)
    header, published = header_of(frame), published_segmentation(scene)
    label_message(published.label, header)
    confidence_message(published.confidence, header)
    if scene.cloud is not None:
        points_message(scene.cloud, header)
    return (time.process_time() - start) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--scale", type=float, default=0.3125)
    parser.add_argument("--repeats", type=int, default=50)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    width, height = map(int, options.size.split("x"))
    rng = np.random.default_rng(0)
    camera = Intrinsics(525.0, 525.0, width / 2, height / 2, width, height)
    depth = DepthImage(rng.integers(900, 1100, (height, width)).astype(np.uint16), camera)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    decoder, pipelines = Decoder(), defaultdict[tuple[str, float], Pipeline](Pipeline)
    times: dict[tuple[str, float], list[float]] = defaultdict(list)
    for number in range(options.repeats + 3):
        for consumer, requested in CONSUMERS.items():
            frame = Frame("camera", image, number * 10**8, depth=depth, requested=requested)
            for scale in (1.0, options.scale):
                key = consumer, scale
                settings = replace(Settings(), output_scale=scale)
                taken = frame_ms(pipelines[key], frame, decoder, settings)
                if number >= 3:  # the first ones warm up
                    times[key].append(taken)
    print(f"{'ms a frame, ' + options.size:30}{'1.0':>8}{options.scale:>8}{'share':>8}")
    for consumer in CONSUMERS:
        full, small = (statistics.median(times[consumer, s]) for s in (1.0, options.scale))
        print(f"{consumer:30}{full:8.2f}{small:8.2f}{small / full:8.2f}")


if __name__ == "__main__":
    main()
