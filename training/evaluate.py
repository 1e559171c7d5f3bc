# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Measures a model on tabletop scenes that are not in the training data, and prints the table of the model card.

    python -m training.evaluate --card models/tabletop/README.md

Every second object in these scenes is of a pair that was held out from training, in images and in prompts.
IoU is summed over all images for each prompt, and averaged over prompts (mIoU).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from training.dataset import pair_image
from training.names import SEEN_PAIRS
from training.scene import Renderer, SceneSampler
from training.scores import Evaluation, update_card
from zs_seg_ros.files import write_output
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter

VIEWS_PER_SCENE = 2


def test_images(scenes: int, seed: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Yield images and their pair images, half of the objects of held-out pairs."""
    sampler, renderer = SceneSampler(SEEN_PAIRS, unseen_share=0.5), Renderer()
    rng = np.random.default_rng([seed])
    for _ in tqdm(range(scenes), desc="evaluating", unit="scene"):
        scene = sampler.scene(rng)
        renderer.load(scene)
        for _ in range(VIEWS_PER_SCENE):
            rendering = renderer.render(sampler.camera(rng))
            yield rendering.rgb, pair_image(scene, rendering)
    renderer.close()


def table(figures: dict[str, float]) -> str:
    """Return the figures as a Markdown table."""
    rows = [
        ("mIoU, pairs seen in training, each prompt alone", f"{figures['miou_seen']:.3f}"),
        ("mIoU, held-out pairs, each prompt alone", f"{figures['miou_unseen']:.3f}"),
        (
            "mIoU, pairs seen in training, all prompts of an image at once",
            f"{figures['miou_seen_together']:.3f}",
        ),
        (
            "mIoU, held-out pairs, all prompts of an image at once",
            f"{figures['miou_unseen_together']:.3f}",
        ),
        (
            "area labelled by a prompt for an absent object",
            f"{figures['absent_area_percent']:.3f} %",
        ),
        (
            f"320x240 image, 8 prompts, {figures['threads']:.0f} CPU threads",
            f"{figures['milliseconds']:.0f} ms",
        ),
        ("test images", f"{figures['images']:.0f}"),
    ]
    return "\n".join(["| measure | value |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)])


def evaluate(model: str, scenes: int, seed: int) -> dict[str, float]:
    """Return all figures of a model on `scenes` scenes drawn from `seed`."""
    evaluation = Evaluation(load_segmenter(model, LoadOptions(device="cpu")), seed)
    images = 0
    for image, pairs in test_images(scenes, seed):
        evaluation.add(image, pairs)
        images += 1
    return evaluation.scores.summary() | {
        "milliseconds": evaluation.milliseconds(image),
        "threads": torch.get_num_threads(),
        "images": images,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="tabletop", help="a built-in name or a folder")
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=2026, help="of the test scenes")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--card", type=Path, help="write the table into this model card")
    arguments = parser.parse_args()
    figures = evaluate(arguments.model, arguments.scenes, arguments.seed)
    print(table(figures))
    if arguments.json:
        write_output(arguments.json, (json.dumps(figures, indent=1) + "\n").encode())
    if arguments.card:
        update_card(arguments.card, table(figures))


if __name__ == "__main__":
    main()
