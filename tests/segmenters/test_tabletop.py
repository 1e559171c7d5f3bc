"""The built-in model: its IoU on the shipped bag, and its warnings about synonyms."""

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


def test_it_segments_objects_that_are_missing_from_its_training_data(tabletop: Segmenter) -> None:
    """All objects in the bag are of pairs of colour and kind that training left out."""
    folder = shipped_bag()
    vocabulary = words(*(label.name for label in ground_truth_labels(folder)))
    encoded, thresholds = tabletop.encode(vocabulary), vocabulary.thresholds(0.5)
    intersection, union = Counter[int](), Counter[int]()
    with Bag(folder) as bag:
        images = [message.content for message in bag.messages([IMAGE])][::15]
        truths = [message.content for message in bag.messages([TRUTH])][::15]
    for message, truth in zip(images, truths, strict=True):
        image = np.asarray(message.data).reshape(message.height, message.width, 3)
        [result] = tabletop.segment(Batch((image,), thresholds), encoded)
        expected = np.asarray(truth.data).reshape(truth.height, truth.width)
        intersection.update(result.label[result.label == expected].tolist())
        union.update(result.label.ravel().tolist())
        union.update(expected[result.label != expected].tolist())
    present = [i for i in vocabulary.ids if union[i] > 500]
    assert len(present) >= 12
    assert np.mean([intersection[i] / union[i] for i in present]) >= 0.75


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("mug", "cup"),
        ("red mug", "red cup"),
        ("purple duck", "violet duck"),
        ("teddy", "teddy bear"),
    ],
)
def test_synonyms_get_a_warning(tabletop: Segmenter, first: str, second: str) -> None:
    [warning] = tabletop.encode(words(first, second)).warnings
    assert repr(first) in warning and repr(second) in warning and "nearly the same" in warning


def test_different_objects_get_no_warning(tabletop: Segmenter) -> None:
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
