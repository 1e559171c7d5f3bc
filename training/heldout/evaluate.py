# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Measures a model on the four held-out sets and prints the tables of the model card.

    python -m training.heldout.evaluate --images heldout_images --card models/tabletop/README.md

Each prompt is segmented alone. IoU is summed for each prompt over the images that show it, and averaged over the
prompts of pairs that training images show, over those of pairs that they never show, and over those of each kind. A
connected area of an absent prompt that takes at least 0.2 % of the image counts as object-sized.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from training.heldout.scenes import SETS
from training.names import ALL_PAIRS, COLOURS, HELD_OUT_PAIRS, IGNORE, KINDS, Pair
from training.scores import Evaluation, Overlap, update_card
from zs_seg_ros.files import write_output
from zs_seg_ros.segmenters.dense.segmenter import DenseSegmenter
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter

COUNTS = {"plain": 13, "meshes": 13, "large": 12, "crowded": 13}
OBJECT_SIZED = 0.002
NAMES = {
    "shape": torch.tensor([KINDS.index(kind) for _, kind in ALL_PAIRS]),
    "colour": torch.tensor([COLOURS.index(colour) for colour, _ in ALL_PAIRS]),
}
"""The number of the shape and of the colour of each of ALL_PAIRS."""
START, END = "<!-- held-out figures: start -->", "<!-- held-out figures: end -->"


@dataclass
class SetScores:
    """Sums over the images of one set."""

    overlaps: dict[Pair, Overlap] = field(default_factory=lambda: defaultdict(Overlap))
    largest_absent: list[float] = field(default_factory=list)

    def mean(self, pairs: list[Pair]) -> float | None:
        """Return the mean IoU over those of the pairs that an image shows; None without any."""
        values = [self.overlaps[pair].iou for pair in pairs if pair in self.overlaps]
        return statistics.mean(values) if values else None

    def summary(self) -> dict[str, float | None]:
        """Return the figures: IoU in 0..1, areas in percent."""
        figures = {
            "seen": self.mean([p for p in ALL_PAIRS if p not in HELD_OUT_PAIRS]),
            "never seen": self.mean([p for p in ALL_PAIRS if p in HELD_OUT_PAIRS]),
            "absent prompts with an object-sized area": 100
            * statistics.mean(area >= OBJECT_SIZED for area in self.largest_absent),
            "largest area of an absent prompt": 100 * max(self.largest_absent),
        }
        return figures | {kind: self.mean([p for p in ALL_PAIRS if p[1] == kind]) for kind in KINDS}


def largest_area(mask: NDArray[np.bool_]) -> float:
    """Return the share of the image that the largest connected area of a mask takes."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    return float(stats[1:, cv2.CC_STAT_AREA].max(initial=0)) / mask.size


def image_of(folder: Path, name: str, number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return an image and its pairs, rendered once to the folder."""
    path = folder / f"{name}_{number:03d}.npz"
    if not path.exists():
        from training.heldout.path_tracing import render

        image, pairs = render(name, number)
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(path, rgb=image, pair=pairs)
    with np.load(path) as stored:
        return stored["rgb"], stored["pair"]


def add(
    scores: SetScores,
    masks: NDArray[np.bool_],
    pairs: NDArray[np.uint8],
    absent: Callable[[list[Pair]], list[Pair]],
) -> None:
    """Score the prompts of the objects in an image, and some absent ones. masks: one for each of ALL_PAIRS."""
    judged = pairs != IGNORE
    present = [ALL_PAIRS[i - 1] for i in np.unique(pairs[judged]) if i > 0]
    for pair in present:
        index = ALL_PAIRS.index(pair)
        scores.overlaps[pair].add(masks[index] & judged, pairs == index + 1)
    for pair in absent(present):
        scores.largest_absent.append(largest_area(masks[ALL_PAIRS.index(pair)] & judged))


@torch.inference_mode()
def masks_of(
    segmenter: DenseSegmenter, image: NDArray[np.uint8], pairs: NDArray[np.uint8], known: str | None
) -> NDArray[np.bool_]:
    """Return the mask of each of ALL_PAIRS alone, (P, H, W), of one pass of the image encoder.

    known: "shape" or "colour" takes those of the objects' pixels from the truth, to see what the other one lacks.
    """
    network, size = segmenter._network, image.shape[:2]
    text = network.text(network.tokenize([" ".join(pair) for pair in ALL_PAIRS]))
    pixels = segmenter._embed((image,), segmenter._size_for(*size))
    fits = dict(zip(("shape", "colour"), network.shape_and_colour(pixels, text), strict=True))
    if known:
        fits[known] = _as_in_truth(fits[known], pairs, NAMES[known])
    logits = network.supported(network.joined(fits["shape"], fits["colour"])[0])
    masks = functional.interpolate(logits[None], size, mode="bilinear")[0] > 0
    return np.asarray(masks.numpy())


def _as_in_truth(fits: Tensor, pairs: NDArray[np.uint8], names: Tensor) -> Tensor:
    """Return logits (1, P, h, w) that are sure where an object is, of pairs (H, W) and the name of each of P."""
    height, width = fits.shape[-2:]
    small = cv2.resize(pairs, (width, height), interpolation=cv2.INTER_NEAREST).astype(np.int64)
    pair = torch.from_numpy(small)
    there = (pair > 0) & (pair != IGNORE)
    equal = names[:, None, None] == names[torch.where(there, pair - 1, 0)]
    return torch.where(there, torch.where(equal, 9.0, -9.0), fits)


def evaluate(
    model: str, folder: Path, counts: dict[str, int], known: str | None = None
) -> dict[str, dict[str, Any]]:
    """Return the figures of each set; known: see `masks_of`."""
    segmenter = load_segmenter(model, LoadOptions(device="cpu"))
    if not isinstance(segmenter, DenseSegmenter):
        raise SystemExit(f"{model} is no dense embedding model; give one, such as tabletop")
    choice = Evaluation(segmenter, seed=2031)
    figures = {}
    for name, count in counts.items():
        scores = SetScores()
        for number in tqdm(range(count), desc=name, unit="image"):
            image, pairs = image_of(folder, name, number)
            add(scores, masks_of(segmenter, image, pairs, known), pairs, choice.absent)
        figures[name] = scores.summary()
    return figures


def table(figures: dict[str, dict[str, Any]], counts: dict[str, int]) -> str:
    """Return the figures as a Markdown table, a column for each set."""

    def shown(value: float | None, row: str) -> str:
        if value is None:
            return "none there"
        return f"{value:.1f} %" if "absent" in row else f"{value:.3f}"

    names = list(figures)
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    titles = {"seen": "mIoU, pairs seen in training", "never seen": "mIoU, pairs never seen"}
    for row in figures[names[0]]:
        values = [shown(figures[name][row], row) for name in names]
        lines.append(f"| {titles.get(row, row)} | " + " | ".join(values) + " |")
    lines.append("| images | " + " | ".join(str(counts[name]) for name in names) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="tabletop", help="a built-in name or a folder")
    parser.add_argument(
        "--images", type=Path, default=Path("heldout_images"), help="rendered once, then read"
    )
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of images")
    parser.add_argument(
        "--known", choices=list(NAMES), help="as if it were known of the pixels of objects"
    )
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--card", type=Path, help="write the table into this model card")
    arguments = parser.parse_args()
    if arguments.card and arguments.known:
        parser.error("a card has the model's own figures: leave out --card or --known")
    counts = {name: max(1, round(arguments.scale * COUNTS[name])) for name in arguments.sets}
    figures = evaluate(arguments.model, arguments.images, counts, arguments.known)
    text = table(figures, counts)
    print(text)
    if arguments.json:
        write_output(arguments.json, (json.dumps(figures, indent=1) + "\n").encode())
    if arguments.card:
        update_card(arguments.card, text, (START, END))


if __name__ == "__main__":
    main()
