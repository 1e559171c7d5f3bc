# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Measures on images how often the warnings about words are true, with `tabletop` on the shipped recording.

    scripts/run.sh python benchmarks/vocabulary_warnings.py [--frames 12]

Each prompt is segmented alone. Two prompts are confused when their masks, over all frames, have an IoU of 0.5 or more.
A warning of a word that is left out is true when the mask is that of the prompt without it (IoU of 0.75 or more); one
of no or a wrong mask, when the prompt has no mask or a wrong one (IoU below 0.5 with the object that is meant). Prints
how many warnings were true and false, and which confused pairs were not warned of.
"""

from __future__ import annotations

import argparse
import itertools
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.evaluation.bag_truth import BagTruth
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.loaded_model import LoadedModel, load_model
from zs_seg_ros.types import Batch, RgbImage
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

_RECORDING = Path(__file__).resolve().parents[1] / "recordings" / "tabletop"
_CONFUSED, _SAME, _RIGHT = 0.5, 0.75, 0.5
_LEAST_PIXELS = 200
"""Over all frames; prompts with fewer pixels cannot be judged."""

PROMPTS = (
    "duck", "toy duck", "soccer ball", "football", "mug", "cup", "coffee mug", "lego brick", "teddy bear", "teddy",
    "block", "plank", "cube", "box", "dice", "ball", "sphere", "cylinder", "can", "tube", "ring", "donut", "cone",
    "star", "red", "red thing", "green", "blue", "yellow", "orange", "purple", "violet", "white", "black", "red duck",
    "green mug", "white mug", "blue cylinder", "green cylinder", "orange cylinder", "yellow cone", "purple cone",
    "green star",
)  # fmt: skip
"""Each with each other is a pair."""
MEANT = {
    "large red duck": "red duck",
    "small red duck": "red duck",
    "shiny red duck": "red duck",
    "plastic red duck": "red duck",
    "red rubber duck": "red duck",
    "red toy duck": "red duck",
    "red duckling": "red duck",
    "red bird": "red duck",
    "large white mug": "white mug",
    "white ceramic mug": "white mug",
    "white mug with handle": "white mug",
    "white porcelain beaker": "white mug",
    "big green cylinder": "green cylinder",
    "wooden green cylinder": "green cylinder",
    "green pipe": "green cylinder",
    "striped yellow cone": "yellow cone",
    "yellow pyramid": "yellow cone",
    "yellow traffic cone": "yellow cone",
}
"""Prompts with words that the model does not know or ignores, and the name in the ground truth of what is meant."""


class Masks:
    """The masks of single prompts in all frames, each computed once."""

    def __init__(self, images: list[RgbImage]) -> None:
        self._images = images
        self._model: LoadedModel | None = None
        self._masks: dict[str, NDArray[np.bool_]] = {}
        self.warnings: dict[str, list[str]] = {}

    def of(self, prompt: str) -> NDArray[np.bool_]:
        if prompt not in self._masks:
            vocabulary = Vocabulary().changed_to([TargetClass(prompt)])
            if self._model is None:
                self._model = load_model("tabletop", LoadOptions(device="cpu"), vocabulary)
            segmenter = self._model.segmenter
            encoded = segmenter.encode(vocabulary)
            thresholds = vocabulary.thresholds(0.5)
            self._masks[prompt] = np.stack(
                [
                    segmenter.segment(Batch((i,), thresholds), encoded)[0].label > 0
                    for i in self._images
                ]
            )
            self.warnings[prompt] = list(encoded.warnings)
        return self._masks[prompt]

    def pair_warnings(self, prompts: tuple[str, ...]) -> set[frozenset[str]]:
        assert self._model is not None
        vocabulary = Vocabulary().changed_to(map(TargetClass, prompts))
        texts = self._model.segmenter.encode(vocabulary).warnings
        return {
            frozenset(re.findall(r"'([^']*)'", text)[:2]) for text in texts if "look nearly" in text
        }


def iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 1.0


def report_pairs(masks: Masks) -> None:
    judged = [prompt for prompt in PROMPTS if masks.of(prompt).sum() >= _LEAST_PIXELS]
    warned = masks.pair_warnings(PROMPTS)
    counts = {(w, c): 0 for w in (True, False) for c in (True, False)}
    for one, other in itertools.combinations(judged, 2):
        is_confused = iou(masks.of(one), masks.of(other)) >= _CONFUSED
        is_warned = frozenset((one, other)) in warned
        counts[is_warned, is_confused] += 1
        if is_warned != is_confused:
            print(
                f"  {'warned of, but not confused' if is_warned else 'confused, but not warned of'}: {one} / {other}, "
                f"IoU {iou(masks.of(one), masks.of(other)):.2f}"
            )
    print(
        f"pairs of {len(judged)} prompts: {counts[True, True]} true warnings, {counts[True, False]} false ones, "
        f"{counts[False, True]} confused pairs without a warning, {counts[False, False]} others"
    )


def report_words(masks: Masks, truth: dict[str, NDArray[np.bool_]]) -> None:
    true = wrong = no_warning = 0
    for prompt, meant in MEANT.items():
        mask = masks.of(prompt)
        right = iou(mask, truth[meant])
        texts = masks.warnings[prompt]
        joined = " ".join(texts)
        if "expect no mask" in joined:
            is_true = right < _RIGHT
        elif named := re.search(r"expect nearly the mask of '([^']*)'", joined):
            is_true = iou(mask, masks.of(named.group(1))) >= _SAME
        elif left_out := re.findall(r"does not distinguish (.*) in '", joined):
            without = " ".join(w for w in prompt.split() if f"'{w}'" not in left_out[0])
            is_true = iou(mask, masks.of(without)) >= _SAME
        else:
            no_warning += 1
            continue
        true += is_true
        wrong += not is_true
        print(
            f"  {'true' if is_true else 'WRONG'}: IoU with {meant} {right:.2f}: {'; '.join(texts)}"
        )
    print(
        f"prompts with unknown or ignored words: {true} true, {wrong} wrong, {no_warning} without a warning"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=12, help="of 240, evenly spread")
    frames = parser.parse_args().frames
    bag = BagTruth(_RECORDING)
    names = [target.name for target in bag.classes]
    chosen = list(bag.frames(max(1, len(bag) // frames)))
    labels = np.stack([frame.label for frame in chosen])
    truth = {name: labels == number for number, name in enumerate(names, 1)}
    masks = Masks([frame.image for frame in chosen])
    report_pairs(masks)
    report_words(masks, truth)


if __name__ == "__main__":
    main()
