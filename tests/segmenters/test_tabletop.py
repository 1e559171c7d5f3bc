"""The built-in model: what it finds in the shipped recording, and what it says about words."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from inputs import words

from zs_seg_ros.bags.bag import Bag, ground_truth_labels, shipped_bag
from zs_seg_ros.segmenters.base import Segmenter
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.types import Batch

IMAGE, TRUTH = "/camera/image_raw", "/camera/ground_truth/label"


@pytest.fixture(scope="module")
def tabletop() -> Segmenter:
    return load_segmenter("tabletop", LoadOptions(device="cpu"))


def test_it_finds_what_training_never_showed_it(tabletop: Segmenter) -> None:
    """All things of the recording are of pairs of colour and kind that training left out."""
    folder = shipped_bag()
    vocabulary = words(*(label.name for label in ground_truth_labels(folder)))
    encoded, thresholds = tabletop.encode(vocabulary), vocabulary.thresholds(0.5)
    shared, covered = Counter[int](), Counter[int]()
    with Bag(folder) as bag:
        images = [message.content for message in bag.messages([IMAGE])][::15]
        truths = [message.content for message in bag.messages([TRUTH])][::15]
    for message, truth in zip(images, truths, strict=True):
        image = np.asarray(message.data).reshape(message.height, message.width, 3)
        [found] = tabletop.segment(Batch((image,), thresholds), encoded)
        expected = np.asarray(truth.data).reshape(truth.height, truth.width)
        shared.update(found.label[found.label == expected].tolist())
        covered.update(found.label.ravel().tolist())
        covered.update(expected[found.label != expected].tolist())
    seen = [i for i in vocabulary.ids if covered[i] > 500]
    assert len(seen) >= 12
    assert np.mean([shared[i] / covered[i] for i in seen]) >= 0.75


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("mug", "cup"),
        ("red mug", "red cup"),
        ("purple duck", "violet duck"),
        ("teddy", "teddy bear"),
    ],
)
def test_synonyms_are_reported_as_hard_to_tell_apart(
    tabletop: Segmenter, one: str, other: str
) -> None:
    [warning] = tabletop.encode(words(one, other)).warnings
    assert repr(one) in warning and repr(other) in warning and "nearly the same" in warning


def test_different_things_are_not(tabletop: Segmenter) -> None:
    colours = (
        "red",
        "green",
        "blue",
        "yellow",
        "orange",
        "purple",
        "white",
        "black",
        "pink",
        "brown",
    )
    kinds = ("duck", "soccer ball", "mug", "lego brick", "teddy bear", "cube", "ball", "cylinder")
    different = words(*(f"{colour} {kind}" for colour in colours for kind in kinds))
    assert tabletop.encode(different).warnings == ()
