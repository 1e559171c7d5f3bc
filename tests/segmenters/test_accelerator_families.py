"""Every family on the stand-in accelerator: the results of the CPU, and the transfers that `COUNTS` states."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from families import FAMILIES, Family
from inputs import blots, words
from test_conformance import check, same_label

from zs_seg_ros import LoadOptions, load_segmenter
from zs_seg_ros.segmenters.base import Segmenter
from zs_seg_ros.testing.accelerator import Accelerator
from zs_seg_ros.types import Batch, Segmentation

IMAGES = (blots(48, 64, 1), blots(90, 40, 2))


@dataclass(frozen=True)
class Counts:
    """What segmenting the two `IMAGES` takes once the vocabulary and the sizes are known."""

    uploads: int
    downloads: int
    synchronisations: int


COUNTS = {
    "dense": Counts(2, 2, 0),
    "clipseg": Counts(2, 2, 0),
    "tipsv2": Counts(2, 2, 0),
    "segformer": Counts(6, 4, 4),
    "eomt": Counts(6, 4, 4),
    "owlv2+sam2": Counts(4, 2, 12),
    "owlv2+edgetam": Counts(4, 2, 12),
    "owlv2+sam_hq": Counts(16, 2, 24),
    "grounding-dino+sam2": Counts(6, 4, 20),
    "mm-grounding-dino+sam2": Counts(6, 2, 20),
    "omdet-turbo+sam2": Counts(15, 13, 25),
    "sam3": Counts(4, 2, 28),
    "sam3_video": Counts(4, 2, 28),
    "sam3_lite_text": Counts(4, 2, 28),
}
"""Fewer are better: then lower the numbers here. A higher one is a stall that a change has put in."""


def on_two_devices(
    family: Family, folder: Path, precision: str, accelerator: Accelerator
) -> tuple[list[Segmentation], list[Segmentation], Segmenter]:
    """Segment `IMAGES` on the CPU and, after a first time, on the stand-in, whose counts are those of the second."""
    model = family.write(folder)
    vocabulary = words(*family.names(3))
    batch = Batch(IMAGES, vocabulary.thresholds(family.threshold))
    on_cpu = load_segmenter(model, LoadOptions("cpu", precision))
    expected = on_cpu.segment(batch, on_cpu.encode(vocabulary))
    segmenter = load_segmenter(model, LoadOptions("cuda", precision))
    assert segmenter.device == "cuda:0"
    encoded = segmenter.encode(vocabulary)
    segmenter.segment(batch, encoded)
    accelerator.reset()
    return expected, segmenter.segment(batch, encoded), segmenter


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_accelerator_labels_what_the_cpu_does_with_the_stated_transfers(
    family: Family, tmp_path: Path, accelerator: Accelerator
) -> None:
    expected, results, segmenter = on_two_devices(family, tmp_path, "fp32", accelerator)
    counts = Counts(*(accelerator.count(k) for k in ("upload", "download", "synchronisation")))
    lines = accelerator.lines()
    for result, of_cpu, image in zip(results, expected, IMAGES, strict=True):
        check(result, image.shape[:2], (1, 2, 3))
        assert same_label(result, of_cpu) >= 0.99
        assert len(result.instances or ()) == len(of_cpu.instances or ())
    assert counts == COUNTS[family.name], lines
    segmenter.close()


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_half_precision_runs_on_the_accelerator(
    family: Family, precision: str, tmp_path: Path, accelerator: Accelerator
) -> None:
    """Only shapes and ranges: of random weights, a score near its threshold decides about whole objects."""
    _, results, segmenter = on_two_devices(family, tmp_path, precision, accelerator)
    for result, image in zip(results, IMAGES, strict=True):
        check(result, image.shape[:2], (1, 2, 3))
    assert (
        0 < accelerator.count("upload") <= COUNTS[family.name].uploads
    )  # fewer where nothing is detected
    segmenter.close()


def test_each_family_has_its_counts() -> None:
    assert {family.name for family in FAMILIES} == set(COUNTS)
