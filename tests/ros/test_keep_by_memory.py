# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.


"""~/keep with a mask model that has a video memory: the object is followed by it, also where nothing detects it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from planner import running_node, target, values
from test_keep import Table, mask_message, of_class, square_mask

from zs_seg_ros.srv import SetVocabulary
from zs_seg_ros.testing.grounding_dino import small_grounding_dino_config, write_grounding_dino
from zs_seg_ros.testing.owlv2 import small_owlv2_config, write_owlv2
from zs_seg_ros.testing.sam2 import shift_object_score, small_sam2_memory_config, write_sam2

SHOWN = (("red", 10, 10),)


def write_model(folder: Path, detector: str, finds: bool = True) -> str:
    """Write a pair whose memory finds its object in every image, or in none."""
    if detector == "owlv2":
        write_owlv2(folder / detector, small_owlv2_config(), words=("red",), seed=1)
    else:
        config = small_grounding_dino_config("grounding-dino")
        write_grounding_dino(folder / detector, config, (64, 96), words=("red",))
    write_sam2(folder / "sam2", small_sam2_memory_config(), seed=3)
    shift_object_score(folder / "sam2", 1000.0 if finds else -1000.0)
    return f"{folder / detector} + {folder / 'sam2'}"


@pytest.fixture(params=["owlv2", "grounding-dino"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Table]:
    parameters = {
        "model": write_model(tmp_path, request.param),
        "device": "cpu",
        "classes": ["red"],
        "min_area": 1,
        "default_threshold": 1.0,  # nothing is detected
    }
    with running_node(parameters) as planner:
        yield Table(planner)


def test_what_is_not_detected_is_followed_under_one_track_id_until_it_is_forgotten(
    table: Table,
) -> None:
    """Also with Grounding DINO, which takes no exemplars."""
    mask = mask_message(square_mask(10, 10))
    answer = table.keep(*SHOWN, mask=mask, class_name="part 7")
    assert answer.success, answer.message
    assert [each.name for each in table.vocabulary().classes] == ["red", "part 7"]
    for step in range(10):
        [kept] = of_class(table.objects(("red", 10 + 2 * step, 10)), "part 7")
        assert (kept.track_id, kept.class_id) == (answer.track_id, answer.class_id)
        assert kept.area > 0 and kept.score == pytest.approx(1.0)
    forgotten = table.forget(class_name="part 7")
    assert forgotten.success, forgotten.message
    assert of_class(table.objects(*SHOWN), "part 7") == []
    assert [each.name for each in table.vocabulary().classes] == ["red"]


def test_diagnostics_have_the_video_memory_which_does_not_grow_and_ends_with_forget(
    table: Table,
) -> None:
    mask = mask_message(square_mask(10, 10))
    assert table.keep(*SHOWN, mask=mask, class_name="part 7").success

    def kept_bytes() -> int:
        status = table.planner.diagnosis(
            "model", lambda status: values(status)["kept objects"] == "1", "one kept object"
        )
        name, _, number = values(status)["kept objects (bytes)"].partition(": ")
        assert name == "part 7"
        return int(number)

    for _ in range(16):
        table.objects(*SHOWN)
    full = kept_bytes()
    # 7 images with 16 features of 64 numbers in 16 bits, and 16 pointers of 128 in 32 bits.
    assert full > 7 * 16 * 64 * 2 + 16 * 128 * 4
    for _ in range(20):
        table.objects(*SHOWN)
    masks_of_one_image = 64 * 96
    assert abs(kept_bytes() - full) <= masks_of_one_image
    table.forget()
    status = table.planner.diagnosis(
        "model", lambda status: values(status)["kept objects"] == "0", "no kept object"
    )
    assert values(status)["kept objects (bytes)"] == ""


@pytest.mark.parametrize("detector", ["owlv2", "grounding-dino"])
def test_what_the_memory_has_lost_is_detected_by_its_exemplar_where_the_model_takes_one(
    tmp_path: Path, detector: str
) -> None:
    """After four seconds, under the same class and track id. Grounding DINO takes none: it stays lost."""
    parameters = {
        "model": write_model(tmp_path, detector, finds=False),
        "device": "cpu",
        "classes": ["red"],
        "min_area": 1,
        "default_threshold": 1.0,
    }
    with running_node(parameters) as planner:
        table = Table(planner)
        mask = mask_message(square_mask(10, 10))
        answer = table.keep(*SHOWN, mask=mask, class_name="part 7")
        assert answer.success, answer.message
        classes = [target("red", threshold=1.0), *table.vocabulary().classes[1:]]
        classes[1].threshold = 0.001
        request = SetVocabulary.Request(classes=classes)
        assert planner.call(SetVocabulary, "set_vocabulary", request).success
        for _ in range(20):
            assert of_class(table.objects(*SHOWN), "part 7") == []
        table.stamp_ns += 4 * 10**9
        objects = of_class(table.objects(*SHOWN), "part 7")
        assert len(objects) == (detector == "owlv2")
        for kept in objects:
            assert (kept.track_id, kept.class_id) == (answer.track_id, answer.class_id)
            assert kept.area > 0
        assert table.forget(class_name="part 7").success
        assert table.objects(*SHOWN).objects == []
