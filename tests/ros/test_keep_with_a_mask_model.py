# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A click where nothing is detected: ~/keep gives it the mask of the mask model, if the loaded pair has one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from planner import pixels, running_node
from test_keep import HEIGHT, WIDTH, Table, image_of

from zs_seg_ros.perception.masks import decode_runs, full_mask
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.mask_prompts import MarkedPoint, MaskPrompt, mask_prompter_of
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.testing.owlv2 import small_owlv2_config, write_owlv2
from zs_seg_ros.testing.sam2 import small_sam2_video_config, write_sam2
from zs_seg_ros.types import Box


def test_a_click_on_what_is_not_detected_gets_a_mask_and_becomes_the_exemplar(
    tmp_path: Path,
) -> None:
    write_owlv2(tmp_path / "owlv2", small_owlv2_config(), words=("red",), seed=1)
    write_sam2(tmp_path / "sam2", small_sam2_video_config(), seed=3)
    model = f"{tmp_path / 'owlv2'} + {tmp_path / 'sam2'}"
    shown = (("red", 10, 10),)
    prompter = mask_prompter_of(load_segmenter(model, LoadOptions(device="cpu")))
    [expected] = prompter.masks_of_prompts(
        image_of(*shown), [MaskPrompt((MarkedPoint(70.5, 50.5),))]
    )
    assert expected.area > 4
    parameters = {
        "model": model,
        "device": "cpu",
        "classes": ["red"],
        "min_area": 4,
        "default_threshold": 1.0,  # nothing is detected
    }
    with running_node(parameters) as planner:
        table = Table(planner)
        answer = table.keep(*shown, roi=(70, 50, 1, 1), class_name="part 7")
        assert answer.success, answer.message
        kept = answer.object
        assert (kept.roi.x_offset, kept.roi.y_offset) == (expected.box.left, expected.box.top)
        mask = decode_runs(kept.counts, kept.roi.height, kept.roi.width)
        assert np.array_equal(mask, expected.mask)
        [exemplar] = table.vocabulary().classes[-1].exemplars
        box = Box(kept.roi.x_offset, kept.roi.y_offset, kept.roi.width, kept.roi.height)
        whole = full_mask(mask, box, (HEIGHT, WIDTH))
        assert np.array_equal(pixels(exemplar.mask) > 0, whole)
        outside = table.keep(*shown, roi=(WIDTH, 0, 1, 1))
        assert not outside.success and "outside of the image" in outside.message
