# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The references of `zs-seg bench` detect the same objects as this package's segmenters."""

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
def test_a_reference_detects_the_same_pixels(family: Family, tmp_path: Path) -> None:
    model = family.write(tmp_path)
    blots = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    image = blots.repeat(8, axis=0).repeat(8, axis=1)
    name = family.names(1)[0]
    vocabulary = Vocabulary().changed_to([TargetClass(name)])
    segmenter = load_segmenter(model, CPU)
    # transformers has no scores of Florence-2's boxes, and so all of them.
    threshold = 0.0 if family.name == "florence2+sam2" else family.threshold
    batch = Batch((image,), vocabulary.thresholds(threshold))
    [segmentation] = segmenter.segment(batch, segmenter.encode(vocabulary))
    reference = load_reference(model, CPU)(image, [name], threshold)
    if family.name in (
        "clipseg",
        "eomt",
        "segformer",
        "tipsv2",
    ):  # a map of probabilities, or of labels
        assert reference.shape[-2:] == ((64, 64) if family.name == "clipseg" else (48, 64))
        return
    assert (segmentation.label > 0).any()
    # The segmenters clip boxes to the image, and transformers does not.
    assert ((segmentation.label > 0) == reference.any(dim=0).numpy()).mean() > 0.94
