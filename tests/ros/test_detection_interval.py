# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.


"""detection_interval: between two detections, SAM 3's memory follows what was detected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planner import Planner, image_message, running_node, stamp

from zs_seg_ros.testing.sam2 import shift_object_score
from zs_seg_ros.testing.sam3 import small_sam3_memory_config, write_sam3

WORDS = ("red", "blue")


@pytest.fixture
def planner(tmp_path: Path) -> Iterator[Planner]:
    write_sam3(tmp_path, small_sam3_memory_config(), words=WORDS, seed=2)
    shift_object_score(tmp_path, 1000.0)  # the memory finds everything in every image
    parameters = {
        "model": str(tmp_path),
        "device": "cpu",
        "classes": list(WORDS),
        "min_area": 1,
        "track": False,
        "default_threshold": 0.3,
        "detection_interval": 3600.0,
    }
    with running_node(parameters) as planner:
        yield planner


def objects_of(planner: Planner, seed: int) -> Any:
    """Publish an image of coloured squares, one second after the one of the seed before. Returns its objects."""
    squares = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    message = image_message(squares.repeat(8, axis=0).repeat(8, axis=1))
    stamp(message, (1000 + seed) * 10**9)
    received = planner.outputs("objects")
    planner.send(message)
    return planner.output_with_stamp_of(message, received).objects


def scores(objects: Any) -> set[tuple[str, float]]:
    return {(detected.class_name, round(detected.score, 4)) for detected in objects}


def test_other_images_have_the_objects_of_the_last_detection_at_other_places(
    planner: Planner,
) -> None:
    detected = objects_of(planner, 1)
    assert detected
    for seed in (2, 3):
        followed = objects_of(planner, seed)
        assert followed and scores(followed) <= scores(detected)
        assert {tuple(o.counts) for o in followed} != {tuple(o.counts) for o in detected}
    planner.set_parameters({"detection_interval": 0.0})
    assert not scores(objects_of(planner, 4)) <= scores(detected)
