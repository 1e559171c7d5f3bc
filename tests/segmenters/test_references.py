"""`zs-seg bench` compares with pipelines that find what our own code finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from families import FAMILIES, Family

from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.testing.references import load_reference
from zs_seg_ros.types import Batch
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

CPU = LoadOptions(device="cpu")
WITH_REFERENCE = [family for family in FAMILIES if family.name != "dense"]


@pytest.mark.parametrize("family", WITH_REFERENCE, ids=lambda family: family.name)
def test_a_reference_finds_the_same_places(family: Family, tmp_path: Path) -> None:
    model = family.write(tmp_path)
    blots = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    image = blots.repeat(8, axis=0).repeat(8, axis=1)
    name = family.names(1)[0]
    vocabulary = Vocabulary().changed_to([TargetClass(name)])
    segmenter = load_segmenter(model, CPU)
    batch = Batch((image,), vocabulary.thresholds(family.threshold))
    [ours] = segmenter.segment(batch, segmenter.encode(vocabulary))
    found = load_reference(model, CPU)(image, [name], family.threshold)
    if family.name in ("clipseg", "segformer", "tipsv2"):  # one map: of probabilities, or of labels
        assert found.shape[-2:] == ((64, 64) if family.name == "clipseg" else (48, 64))
        return
    assert (ours.label > 0).any()
    # transformers leaves boxes that reach out of the image as they are, where ours are cut to it.
    assert ((ours.label > 0) == found.any(dim=0).numpy()).mean() > 0.94
