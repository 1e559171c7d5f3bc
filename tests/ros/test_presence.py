# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""SAM 3's presence scores are on /diagnostics, by class, also where nothing is detected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from planner import image_message, running_node, values

from zs_seg_ros.ros.diagnostics import presence_text
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.testing.sam3 import small_sam3_config, write_sam3
from zs_seg_ros.types import Batch
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

WORDS = ("red", "blue")


@pytest.mark.parametrize("rotation", [0, 90])
def test_diagnostics_have_the_scores_of_the_newest_image(tmp_path: Path, rotation: int) -> None:
    write_sam3(tmp_path, small_sam3_config(), words=WORDS, seed=2)
    segmenter = load_segmenter(str(tmp_path), LoadOptions(device="cpu"))
    encoded = segmenter.encode(Vocabulary().changed_to(map(TargetClass, WORDS)))
    squares = np.random.default_rng(3).integers(0, 256, (6, 8, 3), np.uint8)
    image = squares.repeat(8, axis=0).repeat(8, axis=1)
    upright = np.ascontiguousarray(np.rot90(image, -rotation // 90))
    [result] = segmenter.segment(Batch((upright,), np.ones(2, np.float32)), encoded)
    assert result.presence is not None
    expected = presence_text(dict(zip(WORDS, result.presence.values(), strict=True)))
    parameters = {
        "model": str(tmp_path),
        "device": "cpu",
        "classes": list(WORDS),
        "default_threshold": 1.0,  # nothing is detected
        "camera.rotation": rotation,
    }
    with running_node(parameters) as planner:
        assert not planner.answer_to(image_message(image), "objects").objects
        planner.diagnosis(
            "camera",
            lambda status: values(status).get("presence scores") == expected,
            f"the scores {expected}",
        )


def test_a_model_without_such_scores_has_no_key() -> None:
    with running_node({"classes": ["red"]}) as planner:
        planner.answer_to(image_message(np.zeros((8, 8, 3), np.uint8)), "objects")
        status = planner.diagnosis("camera", lambda s: values(s)["frames out"] != "0", "a result")
        assert "presence scores" not in values(status)


def test_the_highest_scores_of_many_classes_are_named() -> None:
    text = presence_text({f"class {i}": i / 100 for i in range(30)} | {"a\nb": 0.5})
    parts = text.split(", ")
    assert parts[:2] == ["a\\nb 0.50", "class 29 0.29"]
    assert len(parts) == 21 and parts[-1] == "11 more"
