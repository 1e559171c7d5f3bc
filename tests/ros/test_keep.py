# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""An operator points at an object: ~/keep gives it a class and a track_id of its own, and ~/forget ends that."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from planner import (
    Planner,
    image_message,
    pixels,
    repeating,
    running_node,
    stamp,
    target,
    values,
    wait_until,
)
from sensor_msgs.msg import Image

from zs_seg_ros.msg import Vocabulary
from zs_seg_ros.perception.kept_object import KeptObject
from zs_seg_ros.segmenters.fake import PALETTE
from zs_seg_ros.srv import ForgetObject, GetVocabulary, KeepObject, SetVocabulary

HEIGHT, WIDTH, SIDE = 64, 96, 12
STEP_NS = 100_000_000
PARAMETERS = {"classes": ["red", "blue"], "min_area": 4}


class Table:
    """Images of squares on white, ten a second. A square is (colour, left, top)."""

    def __init__(self, planner: Planner) -> None:
        self.planner = planner
        self.stamp_ns = time.time_ns()

    def show(self, *squares: tuple[str, int, int]) -> Image:
        """Publish an image. Returns its message."""
        message = image_message(image_of(*squares))
        self.stamp_ns += STEP_NS
        stamp(message, self.stamp_ns)
        self.planner.send(message)
        return message

    def publish(self, *squares: tuple[str, int, int]) -> None:
        """Publish an image."""
        self.show(*squares)

    def objects(self, *squares: tuple[str, int, int]) -> Any:
        """Publish an image. Returns its objects."""
        received = self.planner.outputs("objects")
        return self.planner.output_with_stamp_of(self.show(*squares), received)

    def keep(self, *squares: tuple[str, int, int], **request: Any) -> KeepObject.Response:
        """The answer to ~/keep, while the squares are shown."""
        future = self.planner.ask(KeepObject, "keep", keep_request(**request))
        while not future.done():
            self.objects(*squares)
        answer: KeepObject.Response = future.result()
        return answer

    def forget(self, **request: Any) -> ForgetObject.Response:
        answer: ForgetObject.Response = self.planner.call(
            ForgetObject, "forget", ForgetObject.Request(**request)
        )
        return answer

    def vocabulary(self) -> Vocabulary:
        answer = self.planner.call(GetVocabulary, "get_vocabulary", GetVocabulary.Request())
        vocabulary: Vocabulary = answer.vocabulary
        return vocabulary


def image_of(*squares: tuple[str, int, int]) -> NDArray[np.uint8]:
    rng = np.random.default_rng(
        0
    )  # noise that the optical flow can follow, and that changes no colour
    image = rng.integers(225, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    for colour, left, top in squares:
        image[top : top + SIDE, left : left + SIDE] = PALETTE[colour]
    return image


def keep_request(roi: tuple[int, int, int, int] = (0, 0, 0, 0), **fields: Any) -> Any:
    request = KeepObject.Request(**fields)
    (request.roi.x_offset, request.roi.y_offset, request.roi.width, request.roi.height) = roi
    return request


def mask_message(mask: NDArray[np.bool_]) -> Image:
    return image_message(mask.astype(np.uint8) * 255, "mono8")


def square_mask(left: int, top: int) -> NDArray[np.bool_]:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[top : top + SIDE, left : left + SIDE] = True
    return mask


def of_class(objects: Any, name: str) -> list[Any]:
    return [detected for detected in objects.objects if detected.class_name == name]


def first_since(received: list[Any], version: int) -> Any:
    """The first result that belongs to this version of the vocabulary."""
    return wait_until(
        lambda: [o for o in received if o.vocabulary_version == version],
        f"a result of version {version}",
    )[0]


def names(objects: Any) -> list[str]:
    return sorted(detected.class_name for detected in objects.objects)


@pytest.fixture
def table() -> Iterator[Table]:
    with running_node(PARAMETERS) as planner:
        yield Table(planner)


TWO_REDS = (("red", 10, 10), ("red", 60, 40))


def test_a_pixel_gives_its_object_a_class_and_keeps_its_track_id(table: Table) -> None:
    table.objects(*TWO_REDS)
    before = table.objects(*TWO_REDS)
    (there,) = [o for o in before.objects if o.roi.x_offset == 10]
    answer = table.keep(*TWO_REDS, roi=(12, 12, 1, 1))
    assert answer.success, answer.message
    assert (answer.class_name, answer.track_id) == ("kept 1", there.track_id)
    assert answer.object.class_id == answer.class_id
    assert answer.object.roi == there.roi
    vocabulary = table.vocabulary()
    assert vocabulary.version == answer.vocabulary_version
    assert [c.name for c in vocabulary.classes] == ["red", "blue", "kept 1"]
    assert vocabulary.ids[2] == answer.class_id
    (exemplar,) = vocabulary.classes[2].exemplars
    assert (pixels(exemplar.image).shape[:2], pixels(exemplar.mask)[12, 12]) == (
        (HEIGHT, WIDTH),
        255,
    )
    for step in range(1, 8):  # it moves, and the other one rests
        objects = table.objects(("red", 10 + 3 * step, 10), ("red", 60, 40))
        assert objects.vocabulary_version == answer.vocabulary_version
        (kept,) = of_class(objects, "kept 1")
        (other,) = of_class(objects, "red")
        assert (kept.track_id, kept.class_id) == (answer.track_id, answer.class_id)
        assert (kept.roi.x_offset, other.roi.x_offset) == (10 + 3 * step, 60)


def test_the_label_image_has_the_id_of_the_class_on_the_kept_object_alone(table: Table) -> None:
    answer = table.keep(*TWO_REDS, roi=(12, 12, 1, 1))
    labels, confidences = table.planner.outputs("label"), table.planner.outputs("confidence")
    message = table.show(*TWO_REDS)
    label = pixels(table.planner.output_with_stamp_of(message, labels))
    confidence = pixels(table.planner.output_with_stamp_of(message, confidences))
    assert (label[square_mask(10, 10)] == answer.class_id).all()
    assert (label == answer.class_id).sum() == SIDE * SIDE
    assert (label[square_mask(60, 40)] == 1).all()
    assert ((confidence > 0) == (label > 0)).all()


def test_a_box_around_an_object_takes_the_object(table: Table) -> None:
    answer = table.keep(*TWO_REDS, roi=(8, 8, SIDE + 4, SIDE + 4), class_name="my part")
    assert answer.success, answer.message
    assert (answer.class_name, answer.object.area) == ("my part", SIDE * SIDE)


def test_a_mask_decides_the_pixels(table: Table) -> None:
    mask = square_mask(10, 10)
    mask[:, 16:] = False
    answer = table.keep(*TWO_REDS, mask=mask_message(mask))
    assert answer.success, answer.message
    assert (answer.object.roi.width, answer.object.roi.height) == (6, SIDE)


def test_a_pixel_refers_to_the_image_of_its_stamp(table: Table) -> None:
    table.keep(*TWO_REDS, roi=(5000, 0, 1, 1))  # refused, and images are held from now on
    then = table.objects(("red", 10, 10), ("blue", 60, 40))
    for step in range(1, 9):
        table.objects(("red", 10 + 4 * step, 10), ("blue", 60, 40))
    answer = table.planner.call(
        KeepObject, "keep", keep_request((12, 12, 1, 1), stamp=then.header.stamp)
    )
    assert answer.success, answer.message
    assert answer.object.roi.x_offset == 10
    (kept,) = of_class(table.objects(("red", 42, 10), ("blue", 60, 40)), "kept 1")
    assert (kept.roi.x_offset, kept.track_id) == (42, answer.track_id)


def test_an_image_that_is_not_held_any_more_leads_to_the_object_by_its_track(table: Table) -> None:
    table.objects(("red", 10, 10))
    then = table.objects(("red", 10, 10))
    for step in range(1, 5):
        table.objects(("red", 10 + 3 * step, 10))
    request = keep_request((12, 12, 1, 1), stamp=then.header.stamp)
    answer = table.planner.call(KeepObject, "keep", request)
    assert answer.success, answer.message
    assert answer.object.roi.x_offset == 22


def test_an_object_that_comes_back_within_four_seconds_is_the_kept_one(table: Table) -> None:
    answer = table.keep(("red", 10, 10), roi=(12, 12, 1, 1))
    for _ in range(10):
        table.objects()
    (kept,) = of_class(table.objects(("red", 12, 10)), "kept 1")
    assert kept.track_id == answer.track_id


def test_a_model_without_exemplars_loses_it_after_four_seconds_and_says_so(table: Table) -> None:
    table.keep(("red", 10, 10), roi=(12, 12, 1, 1))
    for _ in range(45):
        table.objects()
    assert names(table.objects(("red", 10, 10))) == ["red"]
    lost = "the kept 'kept 1' is lost"
    table.planner.diagnosis_saying("model", lost, "forget it and keep it again")
    assert table.forget().count == 1
    table.planner.diagnosis("model", lambda status: lost not in status.message, "no problem")


@pytest.mark.parametrize("by", ["class_name", "track_id", "nothing"])
def test_forget_ends_it_by_name_by_track_id_or_with_all_others(table: Table, by: str) -> None:
    answer = table.keep(*TWO_REDS, roi=(12, 12, 1, 1))
    fields = {} if by == "nothing" else {by: getattr(answer, by)}
    forgotten = table.forget(**fields)
    assert (forgotten.success, forgotten.count) == (True, 1), forgotten.message
    assert forgotten.vocabulary_version == answer.vocabulary_version + 1
    assert names(table.objects(*TWO_REDS)) == ["red", "red"]
    again = table.forget()
    assert not again.success
    assert again.message == "no object is kept: keep one with ~/keep first"


def test_two_objects_keep_their_ids_when_one_more_is_kept_and_one_forgotten(table: Table) -> None:
    first = table.keep(*TWO_REDS, roi=(12, 12, 1, 1))
    second = table.keep(*TWO_REDS, roi=(62, 42, 1, 1), class_name="the other")
    objects = table.objects(*TWO_REDS)
    ids = {o.class_name: o.track_id for o in objects.objects}
    assert ids == {"kept 1": first.track_id, "the other": second.track_id}
    assert table.forget(class_name="kept 1").success
    objects = table.objects(*TWO_REDS)
    assert names(objects) == ["red", "the other"]
    assert of_class(objects, "the other")[0].track_id == second.track_id


def test_a_vocabulary_without_the_class_ends_it_and_one_with_it_does_not(table: Table) -> None:
    answer = table.keep(*TWO_REDS, roi=(12, 12, 1, 1))
    same = SetVocabulary.Request(classes=[*table.vocabulary().classes, target("green")])
    assert table.planner.call(SetVocabulary, "set_vocabulary", same).success
    objects = table.objects(*TWO_REDS)
    assert of_class(objects, "kept 1")[0].track_id == answer.track_id
    assert table.planner.set_vocabulary(target("red")).success
    assert names(table.objects(*TWO_REDS)) == ["red", "red"]
    assert "no object is kept" in table.forget().message


@pytest.mark.parametrize(
    ("request_fields", "reason"),
    [
        ({}, "roi and mask are empty: mark the object by a pixel, a box or a mask"),
        ({"camera": "rear", "roi": (12, 12, 1, 1)}, "there is no camera 'rear'"),
        ({"roi": (40, 30, 1, 1)}, "no object is detected at the pixel (40, 30): mark it by a box"),
        ({"roi": (90, 60, 20, 20)}, "outside of the image of 96x64 pixels"),
        ({"roi": (2**32 - 1, 2**32 - 1, 2**32 - 1, 2**32 - 1)}, "outside of the image"),
        (
            {"mask": mask_message(np.ones((8, 8), np.bool_))},
            "mask has 8x8 pixels and the image 96x64",
        ),
        ({"mask": mask_message(np.zeros((HEIGHT, WIDTH), np.bool_))}, "mask marks no pixel"),
        ({"mask": Image(height=HEIGHT, width=WIDTH, encoding="mono8")}, "mask cannot be used"),
        ({"mask": Image(height=1, width=1, encoding="rgb8")}, "the encoding of mask is 'rgb8'"),
        ({"roi": (12, 12, 1, 1), "class_name": "red"}, "has a class 'red' already"),
        ({"roi": (12, 12, 1, 1), "class_name": "x" * 301}, "has 301 characters"),
        ({"roi": (12, 12, 1, 1), "class_name": "a\nb"}, "has a line break or a tab"),
        ({"roi": (40, 40, 9, 9)}, "no object is detected there whose class could be followed"),
    ],
)
def test_a_request_that_cannot_be_answered_is_refused_in_one_sentence(
    table: Table, request_fields: dict[str, Any], reason: str
) -> None:
    table.objects(("red", 10, 10))
    version = table.vocabulary().version
    answer = table.keep(("red", 10, 10), **request_fields)
    assert not answer.success
    assert reason in answer.message
    assert (answer.class_id, answer.class_name, answer.track_id) == (0, "", 0)
    assert table.vocabulary().version == version
    assert names(table.objects(("red", 10, 10))) == ["red"]


def test_an_old_stamp_is_refused(table: Table) -> None:
    then = table.objects(("red", 10, 10))
    table.stamp_ns += 6_000_000_000
    table.objects(("red", 10, 10))
    request = keep_request((12, 12, 1, 1), stamp=then.header.stamp)
    answer = table.planner.call(KeepObject, "keep", request)
    assert "was segmented in the last 5 s: take the stamp of a result" in answer.message


def test_the_same_object_is_not_kept_twice(table: Table) -> None:
    table.keep(*TWO_REDS, roi=(12, 12, 1, 1))
    answer = table.keep(*TWO_REDS, roi=(12, 12, 1, 1))
    assert "this object is kept already, as 'kept 1'" in answer.message


def test_their_number_is_bounded() -> None:
    with running_node({**PARAMETERS, "max_kept_objects": 1}) as planner:
        table = Table(planner)
        assert table.keep(*TWO_REDS, roi=(12, 12, 1, 1)).success
        answer = table.keep(*TWO_REDS, roi=(62, 42, 1, 1))
        assert "1 objects are kept and max_kept_objects is 1: forget one first" in answer.message


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"class_name": "red"}, "no object with the class 'red' is kept: there are 'kept 1'"),
        ({"track_id": 4_000_000_000}, "no object with the track id 4000000000 is kept"),
        (
            {"class_name": "kept 1", "track_id": 4_000_000_000},
            "the class 'kept 1' and the track id",
        ),
    ],
)
def test_forget_refuses_what_is_not_kept(table: Table, fields: Any, reason: str) -> None:
    table.keep(*TWO_REDS, roi=(12, 12, 1, 1))
    answer = table.forget(**fields)
    assert not answer.success
    assert reason in answer.message
    assert len(table.vocabulary().classes) == 3


def test_diagnostics_have_the_memory_of_each_kept_object(table: Table) -> None:
    table.keep(*TWO_REDS, roi=(12, 12, 1, 1))
    status = table.planner.diagnosis(
        "model", lambda status: values(status)["kept objects"] == "1", "one kept object"
    )
    image, masks = HEIGHT * WIDTH * 3, HEIGHT * WIDTH + SIDE * SIDE
    assert values(status)["kept objects (bytes)"] == f"kept 1: {image + masks}"


def test_a_camera_with_a_kept_object_is_segmented_without_subscribers() -> None:
    with running_node(PARAMETERS) as planner:
        table = Table(planner)
        future = planner.ask(KeepObject, "keep", keep_request((12, 12, 1, 1)))
        while not future.done():
            table.show(*TWO_REDS)
        assert future.result().success, future.result().message
        health = planner.diagnosis("camera", lambda s: int(values(s)["frames out"]) > 0, "results")
        table.show(*TWO_REDS)  # the subscription stays
        more = int(values(health)["frames out"])
        planner.diagnosis("camera", lambda s: int(values(s)["frames out"]) > more, "more results")
        assert table.forget().success
        planner.diagnosis_saying("camera", "the results have no subscribers")


def test_a_hundred_calls_of_keep_and_forget_under_load_leave_nothing() -> None:
    with running_node(PARAMETERS) as planner:
        table = Table(planner)
        objects = planner.outputs("objects")
        classes: list[int] = []
        table.show(*TWO_REDS)
        with repeating(lambda: table.publish(*TWO_REDS), 40):
            for _ in range(50):
                answer = planner.call(KeepObject, "keep", keep_request((12, 12, 1, 1)))
                assert answer.success, answer.message
                classes.append(answer.class_id)
                (kept,) = of_class(first_since(objects, answer.vocabulary_version), "kept 1")
                assert kept.track_id == answer.track_id
                objects.clear()
                assert table.forget(track_id=answer.track_id).count == 1
        assert set(classes) == {3}
        assert [c.name for c in table.vocabulary().classes] == ["red", "blue"]
        wait_until(lambda: names(table.objects(*TWO_REDS)) == ["red", "red"], "the words alone")
        planner.diagnosis("model", lambda s: values(s)["kept objects"] == "0", "no kept object")
    gc.collect()
    assert not [o for o in gc.get_objects() if type(o) is KeptObject]


def test_nonsense_never_stops_the_services(table: Table) -> None:
    rng = np.random.default_rng(2)
    table.objects(*TWO_REDS)
    for _ in range(60):
        request = keep_request(
            tuple(int(v) for v in rng.choice([0, 1, 12, 95, 2**31, 2**32 - 1], 4)),
            class_name=str(rng.choice(["", "red", "\x00", "x" * 400, "kept 1", " "])),
            camera=str(rng.choice(["camera", "no camera", "a" * 5000])),
        )
        request.stamp.sec = int(rng.choice([-(2**31), 1, 2**31 - 1]))
        request.mask = Image(
            height=int(rng.choice([0, 1, HEIGHT, 2**32 - 1])),
            width=int(rng.choice([0, 1, WIDTH, 2**32 - 1])),
            encoding=str(rng.choice(["mono8", "", "rgb8"])),
        )
        answer = table.planner.call(KeepObject, "keep", request)
        assert not answer.success
        assert 0 < len(answer.message) < 4000 and "fails" not in answer.message
        assert not table.forget(class_name=request.class_name, track_id=7).success
    assert table.keep(*TWO_REDS, roi=(12, 12, 1, 1)).success


def test_a_restart_keeps_no_object_and_gives_its_id_to_no_other_name(tmp_path: Path) -> None:
    parameters = {**PARAMETERS, "vocabulary_file": str(tmp_path / "vocabulary.yaml")}
    with running_node(parameters) as planner:
        table = Table(planner)
        kept = table.keep(*TWO_REDS, roi=(12, 12, 1, 1))
        assert kept.success, kept.message
    with running_node(parameters) as planner:
        table = Table(planner)
        vocabulary = table.vocabulary()
        assert [c.name for c in vocabulary.classes] == ["red", "blue"]
        assert vocabulary.version == kept.vocabulary_version + 1
        planner.set_vocabulary(target("red"), target("green"))
        assert kept.class_id not in table.vocabulary().ids
